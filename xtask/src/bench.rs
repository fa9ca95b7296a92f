//! `cargo xtask bench`: builds the benchmark in release mode, and runs it.

use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::{cargo, root};

/// Runs the benchmark with these options; returns whether it succeeded.
pub(crate) fn run(options: &[&str]) -> Result<bool> {
    let mut command = Command::new(cargo());
    command.current_dir(root()).args(["run", "--quiet", "--release", "--package", "agent-bench", "--"]);
    Ok(command.args(options).status().context("cargo could not be started")?.success())
}
