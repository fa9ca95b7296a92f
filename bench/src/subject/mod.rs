//! What is measured: our worker, or a raw client that does the same jobs.
//!
//! A subject answers each line on its standard input with one line of JSON, its [`Mark`], and ends when its input ends.

mod ours;
mod probe;
mod raw;

pub(crate) use probe::Mark;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use probe::Probe;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::time::Duration;

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Our worker, through its public API.
    Ours,
    /// A WebSocket client that does no more than the protocol asks for: the ceiling.
    Raw,
}

/// What it has to do.
#[derive(Args, Clone, Debug)]
pub(crate) struct Task {
    /// The load server.
    #[arg(long)]
    pub(crate) url: String,
    /// Jobs at once, at most.
    #[arg(long)]
    pub(crate) max_jobs: usize,
    /// Jobs go on until they are told to stop; without it they end at once.
    #[arg(long)]
    pub(crate) hold: bool,
    /// The worker's settling time, if not its own default.
    #[arg(long)]
    pub(crate) settling_ms: Option<u64>,
}

impl Task {
    fn settling(&self) -> Option<Duration> {
        self.settling_ms.map(Duration::from_millis)
    }
}

/// Runs the subject until its standard input ends.
pub(crate) fn run(kind: Kind, task: &Task) -> Result<()> {
    let probe = Arc::new(Probe::new()?);
    let (subject, own_task) = (Arc::clone(&probe), task.clone());
    // The main thread is the one that reads the commands: it sleeps while the subject works.
    std::thread::spawn(move || {
        let ended = match kind {
            Kind::Ours => ours::run(&own_task, &subject),
            Kind::Raw => raw::run(&own_task, &subject),
        };
        // The load server notices that the connection is gone, whatever the reason.
        eprintln!("agent-bench: the {kind:?} subject ended: {ended:?}");
        std::process::exit(1);
    });
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        line.context("standard input")?;
        writeln!(out, "{}", serde_json::to_string(&probe.mark()?)?)?;
        out.flush()?;
    }
    Ok(())
}
