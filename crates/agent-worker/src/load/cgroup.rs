//! The control groups of this process, version 1 or 2, and their limits. They form a tree, and each may have
//! a limit: within a container its root is the container's own group.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where version 2 is mounted: alone, or beside version 1.
const UNIFIED: [&str; 2] = ["sys/fs/cgroup", "sys/fs/cgroup/unified"];
/// A limit of version 1 that is larger than this is none.
const NO_LIMIT: u64 = 1 << 60;

/// The groups of one controller, the process's own first, then those around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Groups {
    version: Version,
    dirs: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// Memory in use, and its limit, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MemoryUse {
    pub(super) used: u64,
    pub(super) limit: u64,
}

impl Groups {
    /// Those of a controller (`cpu` or `memory`), below this root directory; without any where there are no
    /// control groups.
    pub(super) fn of(root: &Path, controller: &str) -> Self {
        let list = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        // Each line is a number, the controllers of version 1, and the path of the group.
        let lines = || list.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        let one = lines().find(|(controllers, _)| controllers.split(',').any(|name| name == controller));
        if let Some((controllers, path)) = one {
            let mounts = [controllers, controller].map(|name| root.join("sys/fs/cgroup").join(name));
            if let Some(mount) = mounts.into_iter().find(|mount| mount.is_dir()) {
                return Self { version: Version::One, dirs: tree(&mount, path) };
            }
        }
        let two = lines().find(|(controllers, _)| controllers.is_empty()).map(|(_, path)| path);
        let mut mounts = UNIFIED.iter().map(|mount| root.join(mount));
        let mount = mounts.find(|mount| mount.join("cgroup.controllers").is_file());
        let dirs = two.zip(mount).map(|(path, mount)| tree(&mount, path)).unwrap_or_default();
        Self { version: Version::Two, dirs }
    }

    /// The smallest quota of processors, and the group that has it.
    pub(super) fn processors(&self) -> Option<(f32, &Path)> {
        let quotas = self.dirs.iter().filter_map(|dir| Some((self.quota(dir)?, dir.as_path())));
        quotas.min_by(|(one, _), (other, _)| one.total_cmp(other))
    }

    /// The quota of a group, as a number of processors.
    #[allow(clippy::cast_possible_truncation, reason = "a number of processors needs no more precision")]
    fn quota(&self, dir: &Path) -> Option<f32> {
        let (quota, period) = match self.version {
            Version::One => (read(dir, "cpu.cfs_quota_us")?, read(dir, "cpu.cfs_period_us")?),
            Version::Two => {
                let text = read(dir, "cpu.max")?;
                let (quota, period) = text.split_once(' ')?;
                (quota.to_owned(), period.to_owned())
            }
        };
        // Without a quota it is `max` or -1.
        let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
        (quota > 0 && period > 0).then(|| (quota as f64 / period as f64) as f32)
    }

    /// The processor time that a group has used.
    pub(super) fn processor_time(&self, dir: &Path) -> Option<Duration> {
        match self.version {
            Version::One => read(dir, "cpuacct.usage")?.parse().ok().map(Duration::from_nanos),
            Version::Two => field(&read(dir, "cpu.stat")?, "usage_usec").map(Duration::from_micros),
        }
    }

    /// Memory in use, of each group with a limit.
    pub(super) fn memory(&self) -> impl Iterator<Item = MemoryUse> {
        self.dirs.iter().filter_map(|dir| {
            let [limit, used, cache] = match self.version {
                Version::One => ["memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"],
                Version::Two => ["memory.max", "memory.current", "inactive_file"],
            };
            let limit = read(dir, limit)?.parse().ok().filter(|limit| *limit < NO_LIMIT && *limit > 0)?;
            let used: u64 = read(dir, used)?.parse().ok()?;
            let cache = field(&read(dir, "memory.stat").unwrap_or_default(), cache).unwrap_or_default();
            Some(MemoryUse { used: used.saturating_sub(cache), limit })
        })
    }
}

/// A group and those around it, up to the mount. A container may see the path of its group outside: then the
/// mount is its group.
fn tree(mount: &Path, path: &str) -> Vec<PathBuf> {
    let own = mount.join(path.trim_start_matches('/'));
    let own = if own.is_dir() && !path.contains("..") { own } else { mount.to_owned() };
    own.ancestors().take_while(|dir| dir.starts_with(mount)).map(Path::to_owned).collect()
}

fn read(dir: &Path, file: &str) -> Option<String> {
    Some(fs::read_to_string(dir.join(file)).ok()?.trim().to_owned())
}

/// A number in a file of names and numbers.
pub(super) fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(char::is_whitespace));
    let (_, value) = lines.find(|(known, _)| *known == name)?;
    value.split_whitespace().next()?.parse().ok()
}
