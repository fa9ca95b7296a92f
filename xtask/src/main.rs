//! Chores of the workspace, run as `cargo xtask CHORE`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its terminal")]

mod codegen;

use anyhow::{Result, bail};
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask CHORE
  codegen [--check]   make crates/agent-proto/src/gen from proto/ (--check: fail when it is out of date)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> Result<()> {
    match args {
        ["codegen"] => codegen::write(),
        ["codegen", "--check"] => codegen::check(),
        _ => bail!("unknown chore {args:?}\n{USAGE}"),
    }
}

/// The workspace's root, from where this tool was built.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}
