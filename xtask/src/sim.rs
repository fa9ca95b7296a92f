//! `cargo xtask sim` and `replay`: builds the simulator with settings of its own, and runs it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::workspace::{cargo, metadata, root};

/// Runs the simulator with these arguments; returns whether it succeeded.
pub(crate) fn run(args: &[&str]) -> Result<bool> {
    let Build { arguments, build_folder } = build()?;
    let mut command = Command::new(cargo());
    command.current_dir(root()).args(arguments).args(args).env(BUILD_FOLDER, build_folder);
    Ok(command.status().context("cargo could not be started")?.success())
}

/// cargo's variable for the folder of what it compiles.
pub(crate) const BUILD_FOLDER: &str = "CARGO_BUILD_BUILD_DIR";

/// How cargo builds and runs the simulator.
pub(crate) struct Build {
    /// Up to those of the program.
    pub(crate) arguments: Vec<String>,
    /// The value of `BUILD_FOLDER`.
    pub(crate) build_folder: PathBuf,
}

/// Crates are compiled in the folder of all builds, so that those that need no other settings are shared. The
/// program has a folder of its own: tests use one of the same name, with other features.
pub(crate) fn build() -> Result<Build> {
    let metadata = metadata()?;
    let folder = |key: &str| metadata.get(key).and_then(Value::as_str).map(PathBuf::from);
    let target = folder("target_directory").context("cargo metadata names no target folder")?;
    let build_folder = folder("build_directory").unwrap_or_else(|| target.clone());
    let target = target.join("sim").into_os_string().into_string();
    let target =
        target.map_err(|path| anyhow::anyhow!("the target folder {} is not UTF-8", path.display()))?;
    let arguments = [
        "run",
        "--quiet",
        "--config",
        "xtask/sim.toml",
        "--target-dir",
        &target,
        "--package",
        "agent-testkit",
        "--no-default-features",
        "--features",
        "cli",
        "--bin",
        "livekit-testkit",
        "--",
    ];
    Ok(Build { arguments: arguments.map(str::to_owned).to_vec(), build_folder })
}
