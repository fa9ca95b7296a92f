//! One call of cargo, with its tests counted.

use std::ffi::{OsStr, OsString};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::Result;

use super::outcome::{Counts, Outcome, failure};
use super::process::{self, Output};
use super::settings::Settings;
use super::tools::{lacks_component, succeeds};
use crate::workspace::{cargo, root};

/// A cargo command.
pub(super) struct Cargo {
    command: Command,
    limit: Option<Duration>,
    /// Whether its output is shown only if it fails.
    quiet: bool,
    /// Which of its output is read.
    read: Output,
}

impl Cargo {
    /// In CI Cargo.lock must be up to date, and the command has a timeout.
    pub(super) fn new(args: &[&str], settings: Settings) -> Self {
        let (subcommand, rest) = args.split_at(1);
        let mut command = if settings.beside { gently() } else { Command::new(cargo()) };
        command.current_dir(root()).args(subcommand);
        if settings.strict && subcommand != ["fmt"] {
            command.arg("--locked");
        }
        // All failures in one run.
        if subcommand == ["test"] && !rest.contains(&"--no-run") {
            command.arg("--no-fail-fast");
        }
        command.args(rest);
        let read = if settings.beside { Output::All } else { Output::Stdout };
        Self { command, limit: settings.limit(), quiet: settings.beside, read }
    }

    /// With clippy as the compiler of this workspace's crates, if it is installed: the build of the tests
    /// warns of what lints find, and hardly anything is compiled for lints alone.
    pub(super) fn linting(args: &[&str], settings: Settings) -> Self {
        let cargo = Self::new(args, settings);
        match lacks_component("clippy", "clippy", settings.strict) {
            None => cargo.env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver"),
            Some(_) => cargo,
        }
    }

    pub(super) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(super) fn without_env(mut self, names: &[&str]) -> Self {
        for name in names {
            self.command.env_remove(name);
        }
        self
    }

    /// Runs a check, which succeeds or fails.
    pub(super) fn check(mut self) -> Result<Outcome> {
        let status = self.run(|_| ())?;
        Ok(match status {
            Some(status) if status.success() => Outcome::Ok,
            Some(status) => Outcome::failed(format!("see above ({status})")),
            None => Outcome::failed(process::hung()),
        })
    }

    /// As `check`; a warning about a crate of this workspace is a failure. To deny warnings would build all
    /// dependencies once more.
    pub(super) fn check_without_warnings(mut self) -> Result<Outcome> {
        self.read = Output::All;
        let (mut all, mut warned) = (String::new(), Vec::new());
        let status = self.run(|line| {
            all.extend([line, "\n"]);
            warned.extend(warning(line).map(str::to_owned));
        })?;
        if self.quiet && !warned.is_empty() && status.is_some_and(|status| status.success()) {
            print!("\n{all}");
        }
        Ok(match status {
            Some(status) if status.success() && warned.is_empty() => Outcome::Ok,
            Some(status) if status.success() => Outcome::failed(warned.join("; ")),
            Some(status) => Outcome::failed(format!("see above ({status})")),
            None => Outcome::failed(process::hung()),
        })
    }

    /// Runs tests and counts them.
    pub(super) fn test(mut self) -> Result<Outcome> {
        let mut counts = Counts::default();
        let mut failures = Vec::new();
        let status = self.run(|line| {
            counts.add_line(line);
            failures.extend(failure(line).map(str::to_owned));
        })?;
        Ok(match status {
            Some(status) => Outcome::of_tests(counts, status.success(), &failures),
            None => Outcome::Failed(process::hung(), counts),
        })
    }

    /// Returns its stdout, which is not shown, if it succeeds.
    pub(super) fn output(mut self) -> Result<Option<Vec<String>>> {
        let mut lines = Vec::new();
        let status =
            process::run_lines(&mut self.command, Output::Stdout, self.limit, |line| lines.push(line))?;
        Ok(status.is_some_and(|status| status.success()).then_some(lines))
    }

    /// Shows each line of its output and passes it on. No status: it was stopped after the timeout.
    fn run(&mut self, mut on_line: impl FnMut(&str)) -> Result<Option<ExitStatus>> {
        if !self.quiet {
            return process::run_lines(&mut self.command, self.read, self.limit, |line| {
                println!("{line}");
                on_line(&line);
            });
        }
        let mut all = String::new();
        let status = process::run_lines(&mut self.command, self.read, self.limit, |line| {
            all.extend([&line, "\n"]);
            on_line(&line);
        })?;
        if !status.is_some_and(|status| status.success()) {
            print!("\n{all}");
        }
        Ok(status)
    }
}

/// The sum in a line of cargo about the warnings of a crate.
fn warning(line: &str) -> Option<&str> {
    line.strip_prefix("warning: ").filter(|sum| sum.starts_with('`') && sum.contains(" generated "))
}

/// cargo with what other programs leave of the processor, as the checks must not disturb the tests.
fn gently() -> Command {
    // A process of the idle class gives way at once; one of the lowest priority may finish its slice of time.
    let idle = |program: OsString| {
        let mut command = Command::new("chrt");
        command.args(["--idle", "0"]).arg(program);
        command
    };
    if cfg!(target_os = "linux") && succeeds(&mut idle("true".into())) {
        return idle(cargo());
    }
    if !cfg!(unix) {
        return Command::new(cargo());
    }
    let mut nice = Command::new("nice");
    nice.args(["-n", "19"]).arg(cargo());
    nice
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `sh` instead of cargo, with a script for cargo's output.
    #[cfg(unix)]
    fn sh(script: &str) -> Cargo {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Cargo { command, limit: None, quiet: false, read: Output::Stdout }
    }

    #[cfg(unix)]
    #[test]
    fn tests_are_counted_as_they_come() {
        let script = "echo 'test a ... FAILED'; printf '\\377\\n'
            echo 'test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured'; exit 101";
        let counts = Counts { passed: 2, failed: 1, ignored: 0 };
        let failed = Outcome::Failed("1 failed: a".to_owned(), counts);
        assert_eq!(sh(script).test().unwrap(), failed);
        assert_eq!(Cargo { quiet: true, ..sh(script) }.test().unwrap(), failed);
    }

    #[test]
    fn checks_are_cargo_with_the_processor_that_tests_leave() {
        let settings = |beside| Settings { strict: false, long: false, beside };
        let version = |beside| Cargo::new(&["--version"], settings(beside)).output().unwrap().unwrap();
        assert!(version(true).iter().all(|line| line.starts_with("cargo ")), "{:?}", version(true));
        assert_eq!(version(true), version(false));
    }

    #[cfg(unix)]
    #[test]
    fn a_failing_check_fails() {
        assert_eq!(sh("true").check().unwrap(), Outcome::Ok);
        assert!(matches!(sh("exit 3").check().unwrap(), Outcome::Failed(..)));
    }

    #[cfg(unix)]
    #[test]
    fn a_warning_is_a_failure_where_none_may_be() {
        let script = "echo 'warning: unused variable' >&2; echo 'warning: `a` (lib) generated 1 warning' >&2";
        let failed = Outcome::failed("`a` (lib) generated 1 warning");
        assert_eq!(sh(script).check_without_warnings().unwrap(), failed);
        assert_eq!(Cargo { quiet: true, ..sh(script) }.check_without_warnings().unwrap(), failed);
        assert_eq!(sh("echo 'warning: no' >&2").check_without_warnings().unwrap(), Outcome::Ok);
        assert!(matches!(sh("exit 3").check_without_warnings().unwrap(), Outcome::Failed(..)));
        assert_eq!(sh(script).check().unwrap(), Outcome::Ok);
    }

    #[cfg(unix)]
    #[test]
    fn only_the_output_of_a_success_is_taken() {
        assert_eq!(sh("echo a; echo b").output().unwrap(), Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(sh("echo a; exit 101").output().unwrap(), None);
    }
}
