//! Compares our worker with a raw WebSocket client that runs the same jobs, and an echo of ours with that of
//! the official Python worker, the start of both, and a worker with and without scrapes: see this crate's
//! README.
//!
//! This process is the load server and evaluates the figures. Each subject runs in a process of its own, the
//! same program started again, so that processor time and memory are the subject's alone.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program talks to its terminal")]

#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
mod cli;
#[cfg(target_os = "linux")]
mod compare;
#[cfg(target_os = "linux")]
mod echo;
#[cfg(target_os = "linux")]
mod load;
#[cfg(target_os = "linux")]
mod metadata;
#[cfg(target_os = "linux")]
mod processes;
#[cfg(target_os = "linux")]
mod scrape;
#[cfg(target_os = "linux")]
mod start;
#[cfg(target_os = "linux")]
mod subject;
#[cfg(target_os = "linux")]
mod table;
#[cfg(target_os = "linux")]
mod usage;

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    match cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("agent-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("agent-bench: memory is read from /proc, so this runs on Linux only");
    ExitCode::FAILURE
}
