//! `cargo xtask sim` and `replay`: builds the simulator with a profile of its own, and runs it.

use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::{cargo, root};

/// Runs the simulator with these arguments; returns whether it succeeded.
pub(crate) fn run(args: &[&str]) -> Result<bool> {
    let mut command = Command::new(cargo());
    command.current_dir(root()).args(BUILT).args(args);
    Ok(command.status().context("cargo could not be started")?.success())
}

/// The arguments of cargo up to those of the program.
pub(crate) const BUILT: [&str; 12] = [
    "run",
    "--quiet",
    "--profile",
    "sim",
    "--package",
    "agent-testkit",
    "--no-default-features",
    "--features",
    "cli",
    "--bin",
    "livekit-testkit",
    "--",
];
