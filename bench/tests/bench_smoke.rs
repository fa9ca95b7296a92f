//! Everything that the benchmark does, as small as possible. Its figures mean nothing here, and are not
//! checked.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of a test")]

use std::process::Command;

/// The benchmark itself fails if a job was not offered, accepted, run and ended successfully, on both sides.
#[test]
fn every_figure_is_there() {
    let output = Command::new(env!("CARGO_BIN_EXE_agent-bench")).arg("--quick").output().unwrap();
    let (table, errors) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{errors}");
    for figure in [
        "50 at a time: jobs/s",
        "50 at a time: processor time a job, µs",
        "50 at a time: assignment → handler p50, µs",
        "50 at a time: assignment → handler p99, µs",
        "50 at a time: cores the load server needs",
        "50 at a time, no settling: jobs/s",
        "50 at a time, no settling: processor time a job, µs",
        "1 at a time: assignment → handler p50, µs",
        "1 at a time: assignment → handler p99, µs",
        "memory per held job of 200, bytes",
    ] {
        let row = table
            .lines()
            .find_map(|line| line.strip_prefix(figure))
            .unwrap_or_else(|| panic!("no {figure:?} in\n{table}"));
        let [ours, raw, ratio, spread] = row.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{figure}: {row}");
        };
        for number in [ours, raw, ratio, spread.strip_suffix('%').unwrap()] {
            let number: f64 = number.parse().unwrap();
            assert!(number >= 0.0, "{figure}: {row}");
        }
    }
}

/// A row for each shape of type, with the time and the memory of each reader.
#[test]
fn metadata_is_read_by_everyone() {
    let output = Command::new(env!("CARGO_BIN_EXE_agent-bench"))
        .args(["metadata", "--documents", "1"])
        .output()
        .unwrap();
    let (table, errors) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{errors}");
    for shape in ["plain", "tagged", "untagged", "flattened", "recursive"] {
        let row = table.lines().find(|line| line.starts_with(&format!("{shape} "))).unwrap();
        assert_eq!((row.matches(" ms ").count(), row.matches(" MiB ").count()), (3, 3), "{row}");
    }
}

/// Both times, and what a scrape is.
#[test]
fn a_worker_is_scraped() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_agent-bench")).args(["scrape", "--quick"]).output().unwrap();
    let (table, errors) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{errors}");
    assert!(table.starts_with("20 running jobs, 1 rounds of 1 s"), "{table}");
    assert_eq!(table.matches("% of a core").count(), 2, "{table}");
    assert!(table.contains(" ms, ") && table.ends_with(" KiB\n"), "{table}");
}

/// A wrong option is reported before anything is started.
#[test]
fn a_wrong_option_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_agent-bench")).args(["--held", "0"]).output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    let printed = String::from_utf8(output.stderr).unwrap();
    assert_eq!(printed, "agent-bench: --held is 0: give 1 to 100000\n");
}
