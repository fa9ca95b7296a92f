//! `livekit-testkit sim` and `replay`: the simulator.

use std::io::{self, Write};
use std::num::NonZeroU64;
use std::process::ExitCode;
use std::time::Duration;

use agent_testkit::sim::{Options, run_seed, run_seeds};

pub(crate) fn run(seeds: NonZeroU64, from: u64, seconds: Option<NonZeroU64>, unchecked: bool) -> ExitCode {
    let options = if unchecked { Options::default().unchecked() } else { Options::default() };
    let time = seconds.map(|seconds| Duration::from_secs(seconds.get()));
    let report = run_seeds(from, seeds.get(), time, options);
    println!("{report}");
    if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

pub(crate) fn replay(seed: u64) -> ExitCode {
    let run = run_seed(seed, Options::default().recorded().run_again());
    let mut out = io::stdout().lock();
    let failures = run.failures.iter().map(|failure| format!("failed: {failure}"));
    for line in run.timeline.iter().cloned().chain(failures) {
        // The reader may have seen enough.
        if writeln!(out, "{line}").is_err() {
            break;
        }
    }
    if run.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
