//! The layouts of control groups that there are, as files.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use agent_core::Time;

use crate::load::cgroup::Groups;
use crate::load::linux::{Memory, Processors};

/// A machine with four processors and 8 GB, of which a half is in use.
const MACHINE: &[(&str, &str)] = &[
    (
        "proc/stat",
        "cpu  1000 0 500 8000 500 0 0 0 0 0\ncpu0 1 0 0 0\ncpu1 1 0 0 0\ncpu2 1 0 0 0\ncpu3 1 0 0 0\nintr 5\n",
    ),
    (
        "proc/meminfo",
        "MemTotal:        8000000 kB\nMemFree:          100000 kB\nMemAvailable:    4000000 kB\n",
    ),
    ("proc/self/stat", "7 (a (b) c) S 1 7 7 0 -1 4194560 1 0 0 0 300 200 0 0 20 0 1 0\n"),
];

/// A directory as the root of a file system with these files.
fn machine(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, content) in MACHINE.iter().chain(files) {
        write(dir.path(), path, content);
    }
    dir
}

fn write(root: &Path, path: &str, content: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// The smallest quota, and the directory below `sys/fs/cgroup` that has it.
fn quota(files: &[(&str, &str)]) -> Option<(f32, String)> {
    let root = machine(files);
    let groups = Groups::of(root.path(), "cpu");
    let (quota, dir) = groups.processors()?;
    let dir = dir.strip_prefix(root.path().join("sys/fs/cgroup")).unwrap();
    Some((quota, dir.display().to_string()))
}

const TWO: (&str, &str) = ("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");

#[test]
fn version_2_in_a_container() {
    let own = |max| quota(&[("proc/self/cgroup", "0::/\n"), TWO, ("sys/fs/cgroup/cpu.max", max)]);
    assert_eq!(own("50000 100000\n"), Some((0.5, String::new())));
    assert_eq!(own("250000 100000\n"), Some((2.5, String::new())));
    for none in ["max 100000\n", "", "0 100000\n", "100000 0\n", "nonsense"] {
        assert_eq!(own(none), None, "{none:?}");
    }
}

#[test]
fn version_2_has_the_smallest_quota_of_the_tree() {
    let files = [
        ("proc/self/cgroup", "0::/system.slice/greeter.service\n"),
        TWO,
        ("sys/fs/cgroup/system.slice/cpu.max", "150000 100000\n"),
        ("sys/fs/cgroup/system.slice/greeter.service/cpu.max", "200000 100000\n"),
    ];
    assert_eq!(quota(&files), Some((1.5, "system.slice".to_owned())));
}

#[test]
fn version_1_in_a_container_and_outside() {
    let quota_file = ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "75000\n");
    let period = ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    // The path is that of the host, which the container does not see.
    let seen = "12:cpu,cpuacct:/docker/0123\n5:memory:/docker/0123\n";
    assert_eq!(
        quota(&[("proc/self/cgroup", seen), quota_file, period]),
        Some((0.75, "cpu,cpuacct".to_owned()))
    );
    let own = "12:cpu,cpuacct:/user.slice\n0::/user.slice\n";
    let files = [
        ("proc/self/cgroup", own),
        ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
        period,
        ("sys/fs/cgroup/cpu,cpuacct/user.slice/cpu.cfs_quota_us", "300000\n"),
        ("sys/fs/cgroup/cpu,cpuacct/user.slice/cpu.cfs_period_us", "100000\n"),
    ];
    assert_eq!(quota(&files), Some((3.0, "cpu,cpuacct/user.slice".to_owned())));
    // Some systems name the mount after one of its controllers.
    let files = [
        ("proc/self/cgroup", own),
        ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n"),
        ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
    ];
    assert_eq!(quota(&files), Some((1.0, "cpu".to_owned())));
}

#[test]
fn version_2_beside_version_1() {
    let files = [
        ("proc/self/cgroup", "1:name=systemd:/x\n0::/x\n"),
        ("sys/fs/cgroup/unified/cgroup.controllers", "cpu\n"),
        ("sys/fs/cgroup/unified/x/cpu.max", "100000 100000\n"),
    ];
    assert_eq!(quota(&files), Some((1.0, "unified/x".to_owned())));
}

#[test]
fn without_control_groups_there_is_no_quota() {
    for list in ["", "nonsense\n", "0::/x/../../..\n"] {
        assert_eq!(quota(&[("proc/self/cgroup", list)]), None, "{list:?}");
    }
    let outside = [("proc/self/cgroup", "0::/../..\n"), TWO, ("sys/cpu.max", "1 1\n")];
    assert_eq!(quota(&outside), None, "nothing outside of the mount is read");
}

const fn seconds(seconds: u64) -> Time {
    Time::from_nanos(seconds * 1_000_000_000)
}

#[test]
fn the_time_of_the_group_counts_against_its_quota() {
    let files = [
        ("proc/self/cgroup", "0::/\n"),
        TWO,
        ("sys/fs/cgroup/cpu.max", "50000 100000\n"),
        ("sys/fs/cgroup/cpu.stat", "usage_usec 1000000\nuser_usec 1\n"),
    ];
    let root = machine(&files);
    let mut processors = Processors::find(root.path(), false).unwrap();
    assert_eq!(processors.share(seconds(0)), None);
    write(root.path(), "sys/fs/cgroup/cpu.stat", "usage_usec 1250000\nuser_usec 1\n");
    assert_eq!(processors.share(seconds(1)), Some(0.5), "0.25 s of 0.5");
    // The limit is raised while the program runs.
    write(root.path(), "sys/fs/cgroup/cpu.max", "100000 100000\n");
    write(root.path(), "sys/fs/cgroup/cpu.stat", "usage_usec 1500000\n");
    assert_eq!(processors.share(seconds(2)), Some(0.25));
    // And taken away: then all four count, of the machine.
    write(root.path(), "sys/fs/cgroup/cpu.max", "max 100000\n");
    assert_eq!(processors.share(seconds(3)), None, "another counter");
    write(root.path(), "proc/stat", "cpu  1100 0 600 8700 600 0 0 0 0 0\ncpu0\ncpu1\ncpu2\ncpu3\n");
    assert_eq!(processors.share(seconds(4)), Some(0.5), "2 s of 4");
}

#[test]
fn a_quota_above_the_machine_is_none() {
    let files = [("proc/self/cgroup", "0::/\n"), TWO, ("sys/fs/cgroup/cpu.max", "800000 100000\n")];
    let root = machine(&files);
    let mut processors = Processors::find(root.path(), false).unwrap();
    processors.share(seconds(0));
    write(root.path(), "proc/stat", "cpu  1200 0 700 8500 600 0 0 0 0 0\ncpu0\ncpu1\ncpu2\ncpu3\n");
    assert_eq!(processors.share(seconds(1)), Some(1.0), "4 s of 4");
}

#[test]
fn the_time_of_the_process_alone() {
    let root = machine(&[]);
    let mut processors = Processors::find(root.path(), true).unwrap();
    assert_eq!(processors.share(seconds(0)), None);
    let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 1 0 0 0 400 300 0 0 20 0 1 0\n";
    write(root.path(), "proc/self/stat", stat);
    assert_eq!(processors.share(seconds(1)), Some(0.5), "2 s of 4");
}

/// Version 1 may mount the counter elsewhere.
#[test]
fn a_group_without_a_counter_is_counted_by_its_process() {
    let files = [
        ("proc/self/cgroup", "3:cpu:/\n4:cpuacct:/\n"),
        ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "100000\n"),
        ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
    ];
    let root = machine(&files);
    let mut processors = Processors::find(root.path(), false).unwrap();
    processors.share(seconds(0));
    let stat = "7 (x) S 1 7 7 0 -1 4194560 1 0 0 0 325 200 0 0 20 0 1 0\n";
    write(root.path(), "proc/self/stat", stat);
    assert_eq!(processors.share(seconds(1)), Some(0.25));
}

#[test]
fn files_that_cannot_be_read_change_nothing() {
    let root = machine(&[]);
    let mut processors = Processors::find(root.path(), false).unwrap();
    processors.share(seconds(0));
    for content in ["", "cpu", "cpu  x\ncpu0\n", "cpu  1 2\ncpu0 1\n"] {
        write(root.path(), "proc/stat", content);
        assert_eq!(processors.share(seconds(1)), None, "{content:?}");
        assert!(Processors::find(root.path(), false).is_err(), "{content:?}");
    }
    assert!(Memory::find(tempfile::tempdir().unwrap().path()).is_err());
}

fn memory(files: &[(&str, &str)]) -> f32 {
    let root = machine(files);
    Memory::find(root.path()).unwrap().share().unwrap()
}

#[test]
fn memory_by_the_limit_that_is_closest() {
    assert_eq!(memory(&[]), 0.5, "of the machine");
    let list = ("proc/self/cgroup", "0::/\n");
    let limit = ("sys/fs/cgroup/memory.max", "1000000\n");
    let used = ("sys/fs/cgroup/memory.current", "900000\n");
    let cache = ("sys/fs/cgroup/memory.stat", "anon 5\ninactive_file 100000\n");
    assert_eq!(memory(&[list, TWO, limit, used, cache]), 0.8, "without the cache of files");
    let unlimited = ("sys/fs/cgroup/memory.max", "max\n");
    assert_eq!(memory(&[list, TWO, unlimited, used, cache]), 0.5);
    // Version 1.
    let list = ("proc/self/cgroup", "5:memory:/docker/0123\n");
    let used = ("sys/fs/cgroup/memory/memory.usage_in_bytes", "900000\n");
    let cache = ("sys/fs/cgroup/memory/memory.stat", "inactive_file 5\ntotal_inactive_file 150000\n");
    let limit = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1000000\n");
    assert_eq!(memory(&[list, limit, used, cache]), 0.75);
    let unlimited = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_eq!(memory(&[list, unlimited, used, cache]), 0.5);
}

/// What this machine really has.
#[test]
fn this_machine_can_be_measured() {
    let memory = super::MemoryLoad::new().function().unwrap();
    assert!(memory() > 0.0, "something is in use");
    let cpu = super::CpuLoad::new().of_process().grace(Duration::ZERO).function().unwrap();
    let both = super::max(cpu, super::MemoryLoad::new().full_at(1.0).function().unwrap());
    assert!(both().is_finite());
}
