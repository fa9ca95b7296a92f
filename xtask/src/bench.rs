//! `cargo xtask bench`: builds the benchmark in release mode, and runs it.

use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::{MUSL, cargo, root};

/// Runs the benchmark with these options; returns whether it succeeded.
pub(crate) fn run(options: &[&str]) -> Result<bool> {
    let bench =
        |command, options: &[&str]| release(command, &[&["--package", "agent-bench"], options].concat());
    // They start a second program, which `cargo run` does not build.
    if matches!(options.first(), Some(&"echo" | &"scrape")) && !bench("build", &["--bins"])? {
        return Ok(false);
    }
    if options.first() == Some(&"start") && !static_greeter()? {
        return Ok(false);
    }
    bench("run", &[&["--"], options].concat())
}

/// Builds the example `greeter` as one static file, as the guide's page on deployment has it.
fn static_greeter() -> Result<bool> {
    let built = release("build", &["--target", MUSL, "--bin", "greeter"])?;
    if !built {
        eprintln!("it needs `rustup target add {MUSL}` and Debian's musl-tools");
    }
    Ok(built)
}

/// Runs a command of cargo in release mode; returns whether it succeeded.
fn release(command: &str, options: &[&str]) -> Result<bool> {
    let mut cargo = Command::new(cargo());
    cargo.current_dir(root()).args([command, "--quiet", "--release"]).args(options);
    Ok(cargo.status().context("cargo could not be started")?.success())
}
