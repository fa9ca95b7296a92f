//! `cargo xtask bench`: builds the benchmark as users build their programs, and runs it.

use crate::{cargo, root};
use anyhow::{Context, Result};
use std::process::Command;

/// Runs it with these options of its own; whether it went well.
pub(crate) fn run(options: &[&str]) -> Result<bool> {
    let mut command = Command::new(cargo());
    command.current_dir(root()).args(["run", "--quiet", "--release", "--package", "agent-bench", "--"]);
    Ok(command.args(options).status().context("cargo does not start")?.success())
}
