//! Tasks of the workspace, run as `cargo xtask TASK`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its terminal")]

mod api;
mod bench;
mod codegen;
mod command;
mod deny;
mod deploy;
mod notices;
mod packages;
mod pypi;
mod sim;
mod test;
mod workspace;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask TASK
  api                    compare the lists of the public API with the sources; UPDATE_API=1 rewrites them
  codegen [--check]      make crates/agent-proto/src/gen from proto/ (--check: fail if it is out of date)
  notices [--check]      write THIRD-PARTY-NOTICES.md (--check: fail if it is out of date)
  test [--long] [--suite NAME]...
                         every test suite that this machine's tools allow, or only the named ones (--long: the full
                         numbers of repetitions, which are reduced otherwise, and `static`)
  bench [OPTION]...      our worker beside a raw WebSocket client, in release; metadata: the cost of worst-case input;
                         echo: delay, processor time and memory of an echo; start: the start of a static program
                         beside that of the official workers; --help, --quick
  sim [OPTION]...        the simulator, optimised: --seeds N --from S --seconds T; --help
  replay SEED            what happens in the run of one seed, line by line
  ci                     the same as test with CI=true: a missing tool is a failure, Cargo.lock must be up to date
  test suites:";

fn main() -> ExitCode {
    if let Some(code) = api::as_rustdoc() {
        return code;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a task; returns whether it succeeded.
fn run(args: &[&str]) -> Result<bool> {
    let ci = std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"));
    match args {
        ["api"] => api::check().map(|()| true),
        ["codegen"] => codegen::write().map(|()| true),
        ["codegen", "--check"] => codegen::check().map(|()| true),
        ["notices"] => notices::write().map(|()| true),
        ["notices", "--check"] => notices::check().map(|()| true),
        ["bench", options @ ..] => bench::run(options),
        ["sim" | "replay", ..] => sim::run(args),
        ["test", options @ ..] => {
            let (suites, long) = of_test(options)?;
            test::run(&suites, long, ci)
        }
        ["ci"] => test::run(&[], false, true),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}\n{}", test::list());
            Ok(true)
        }
        _ => bail!("unknown task {args:?}\n{USAGE}\n{}", test::list()),
    }
}

/// The names in `--suite NAME --suite NAME`, and whether there is a `--long`.
fn of_test<'a>(mut options: &[&'a str]) -> Result<(Vec<&'a str>, bool)> {
    let (mut names, mut long) = (Vec::new(), false);
    loop {
        options = match options {
            [] => return Ok((names, long)),
            ["--suite", name, rest @ ..] => {
                names.push(*name);
                rest
            }
            ["--long", rest @ ..] => {
                long = true;
                rest
            }
            _ => bail!("unknown options {options:?}\n{USAGE}\n{}", test::list()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_test() {
        assert_eq!(of_test(&["--suite", "fmt", "--suite", "docs"]).unwrap(), (vec!["fmt", "docs"], false));
        assert_eq!(of_test(&["--long", "--suite", "fmt"]).unwrap(), (vec!["fmt"], true));
        assert_eq!(of_test(&[]).unwrap(), (vec![], false));
        assert!(of_test(&["--suite"]).is_err());
        assert!(of_test(&["fmt"]).is_err());
        assert!(run(&["test", "--suite", "no-such-suite"]).is_err());
        assert!(run(&["no-such-task"]).is_err());
    }
}
