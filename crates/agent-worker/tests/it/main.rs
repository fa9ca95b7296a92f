//! Tests of agent-worker's public behaviour on mock servers and raw sockets: all that need no real tool and
//! no process of their own.
//!
//! `cargo xtask test` runs each of these modules as a program of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may fail, and its processes talk over their output"
)]

mod checkpoints;
mod cli;
mod coordination;
mod doctor;
mod http;
mod jobs;
mod joins;
mod lifecycle;
mod log_lines;
#[cfg(unix)]
mod open_files;
mod reconnect;
#[cfg(unix)]
mod signals;
#[path = "../support/mod.rs"]
mod support;
mod troubleshooting;

use agent_worker::WorkerBuilder;

/// Workers of the lifecycle suite as they are: the crate's own tests run it once more, with another executor.
fn prepare(worker: WorkerBuilder) -> WorkerBuilder {
    worker
}
