//! The measured programs: our worker, or a raw client that runs the same jobs.
//!
//! A subject answers each line on its standard input with one line of JSON, its [`Mark`], and ends when its
//! input ends.

mod ours;
mod probe;
mod raw;
mod task;

pub(crate) use probe::Mark;
pub(crate) use task::Task;

use std::io::{BufRead, Write};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::ValueEnum;

use probe::Probe;

/// The kind of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Our worker, through its public API.
    Ours,
    /// A WebSocket client that does only what the protocol requires: the upper bound.
    Raw,
}

/// Runs the subject until its standard input ends.
pub(crate) fn run(kind: Kind, task: &Task) -> Result<()> {
    let probe = Arc::new(Probe::new()?);
    let (subject, own_task) = (Arc::clone(&probe), task.clone());
    // The main thread reads the commands, and sleeps while the subject works.
    std::thread::spawn(move || {
        let ended = match kind {
            Kind::Ours => ours::run(&own_task, &subject),
            Kind::Raw => raw::run(&own_task, &subject),
        };
        // The load server notices the end of the connection, for any reason.
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
