//! Runs test programs, several of them concurrently, and reads their output.

use std::collections::VecDeque;
use std::fmt;
use std::process::Command;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::outcome::{Counts, Outcome, failure};
use super::process::{self, Output};
use super::programs::Program;
use super::settings::Settings;

/// The prefixes of the testkit's line about a skipped test, and of a test's line about a reduced number.
const SKIPPED: &str = "agent-testkit: skipped: ";
const SHORTENED: &str = "shortened: ";

/// A program that has run.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) name: String,
    pub(super) real: bool,
    pub(super) outcome: Outcome,
    pub(super) took: Duration,
    /// The test that ended last.
    pub(super) last: Option<String>,
    pub(super) skipped: Vec<String>,
    pub(super) shortened: Vec<String>,
    /// Its whole output, if it has failed.
    output: String,
}

#[cfg(test)]
impl Ran {
    /// A program without notable output.
    pub(super) fn new(name: &str, outcome: Outcome, took: Duration, last: Option<String>) -> Self {
        let (skipped, shortened, output) = Default::default();
        Self { name: name.to_owned(), real: false, outcome, took, last, skipped, shortened, output }
    }
}

/// Number of concurrent programs, and of concurrent tests in each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Width {
    pub(super) programs: usize,
    pub(super) tests: usize,
}

/// Runs all programs; `each` is called when one ends.
pub(super) fn run_programs(
    programs: impl IntoIterator<Item = Program>,
    width: Width,
    settings: Settings,
    mut each: impl FnMut(&Ran),
) -> Vec<Ran> {
    let queue: Mutex<VecDeque<Program>> = Mutex::new(programs.into_iter().collect());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let (ended, ran) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..width.programs {
            let (ended, next) = (ended.clone(), &next);
            scope.spawn(move || {
                while let Some(program) = next() {
                    if ended.send(run_one(program, width.tests, settings)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(ended);
        ran.into_iter().inspect(|ran| each(ran)).collect()
    })
}

fn run_one(program: Program, tests: usize, settings: Settings) -> Ran {
    let start = Instant::now();
    let mut command = command(&program, tests, settings);
    let mut read = Read::default();
    let status = process::run_lines(&mut command, Output::All, settings.limit(), |line| read.line(line));
    let outcome = match status {
        Ok(Some(status)) => read.outcome(status.success()),
        Ok(None) => Outcome::Failed(process::hung(), read.counts),
        Err(error) => Outcome::Failed(format!("{error:#}"), read.counts),
    };
    Ran {
        name: program.name,
        real: program.real,
        output: if matches!(outcome, Outcome::Failed(..)) { read.all } else { String::new() },
        outcome,
        took: start.elapsed(),
        last: read.last,
        skipped: read.skipped,
        shortened: read.shortened,
    }
}

/// The command of a program, with the environment that cargo would set.
fn command(program: &Program, tests: usize, settings: Settings) -> Command {
    let mut command = Command::new(&program.executable);
    command.arg(format!("--test-threads={tests}"));
    if let Some(tests) = &program.tests {
        command.arg("--exact").args(tests);
    }
    let folder = program.manifest.parent().unwrap_or(&program.manifest);
    command.current_dir(folder).env("CARGO_MANIFEST_DIR", folder);
    command.env("CARGO_MANIFEST_PATH", &program.manifest);
    command.env("AGENT_TEST_REAL", if program.real { "1" } else { "0" });
    if settings.long {
        command.env("AGENT_TEST_LONG", "1");
    } else {
        command.env_remove("AGENT_TEST_LONG");
    }
    command
}

/// The contents of a program's output.
#[derive(Debug, Default)]
struct Read {
    counts: Counts,
    /// Whether it has written its result.
    whole: bool,
    failures: Vec<String>,
    last: Option<String>,
    skipped: Vec<String>,
    shortened: Vec<String>,
    all: String,
}

impl Read {
    fn line(&mut self, line: String) {
        self.counts.add_line(&line);
        self.whole |= line.starts_with("test result: ");
        self.failures.extend(failure(&line).map(str::to_owned));
        if let Some(name) = ended(&line) {
            self.last = Some(name.to_owned());
        }
        // Another thread may have written on the same line before.
        let after = |word: &str| line.split_once(word).map(|(_, rest)| rest.to_owned());
        self.skipped.extend(after(SKIPPED));
        self.shortened.extend(after(SHORTENED));
        self.all.extend([line.as_str(), "\n"]);
    }

    /// A program may have no tests, but must have a result: one of its tests might have ended it.
    fn outcome(&self, clean: bool) -> Outcome {
        if clean && self.whole && self.counts == Counts::default() {
            Outcome::Passed(self.counts)
        } else {
            Outcome::of_tests(self.counts, clean && self.whole, &self.failures)
        }
    }
}

/// The name of the ended test in a line of libtest.
fn ended(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.rsplit_once(" ... ").map(|(name, _)| name)
}

/// The output of a failed program, then one line.
impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.output.is_empty() {
            writeln!(f, "\n---- {} ----\n{}", self.name, self.output)?;
        }
        write!(f, "{:>6.1} s  {}: {}", self.took.as_secs_f64(), self.name, self.outcome)
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::test::programs::Part;

    /// A script instead of a test program. Written by another process: a file that is open for writing in
    /// this one, while another test starts a program, cannot be executed.
    fn script(folder: &Path, name: &str, text: &str) -> Program {
        let executable = folder.join(name);
        let mut write = Command::new("sh");
        write.args(["-c", "printf '#!/bin/sh\n%s\n' \"$1\" > \"$0\" && chmod 755 \"$0\""]);
        assert!(write.arg(&executable).arg(text).status().unwrap().success());
        let manifest = folder.join("Cargo.toml");
        Program { name: name.to_owned(), tests: None, executable, manifest, real: true, part: Part::Real }
    }

    fn settings(long: bool) -> Settings {
        Settings { strict: true, long, beside: false }
    }

    const ONE: Width = Width { programs: 1, tests: 3 };

    fn only(program: Program, long: bool) -> Ran {
        run_programs([program], ONE, settings(long), |_| ()).pop().unwrap()
    }

    #[test]
    fn the_output_of_a_program_is_read_and_shown_if_it_fails() {
        let folder = tempfile::tempdir().unwrap();
        let text = "echo 'agent-testkit: skipped: t, as there is no x (get x)' >&2
            echo 'test a ... shortened: 2 of 50 cuts'
            echo 'test a ... ok'; echo 'test b ... FAILED'; echo why
            echo 'test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured'; exit 101";
        let ran = only(script(folder.path(), "p", text), false);
        assert_eq!(
            ran.outcome,
            Outcome::Failed("1 failed: b".to_owned(), Counts { passed: 1, failed: 1, ignored: 0 })
        );
        assert_eq!(ran.last.as_deref(), Some("b"));
        assert_eq!(ran.skipped, ["t, as there is no x (get x)"]);
        assert_eq!(ran.shortened, ["2 of 50 cuts"]);
        let shown = ran.to_string();
        assert!(shown.contains("\nwhy\n") && shown.ends_with("p: FAILED, 1 failed: b; 1 passed"), "{shown}");
    }

    #[test]
    fn a_program_gets_the_environment_that_cargo_would_set() {
        let folder = tempfile::tempdir().unwrap();
        let text =
            "echo \"test $1 $AGENT_TEST_REAL${AGENT_TEST_LONG:-0} in $(pwd -P)|$CARGO_MANIFEST_DIR ... ok\"
            echo 'test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured'";
        for (long, digits) in [(false, "10"), (true, "11")] {
            let ran = only(script(folder.path(), "p", text), long);
            assert_eq!(ran.outcome, Outcome::Passed(Counts { passed: 1, failed: 0, ignored: 0 }));
            let (here, real) = (folder.path().display(), folder.path().canonicalize().unwrap());
            let expected = format!("--test-threads=3 {digits} in {}|{here}", real.display());
            assert_eq!(ran.last, Some(expected));
        }
    }

    #[test]
    fn only_the_tests_of_a_subject_run() {
        let folder = tempfile::tempdir().unwrap();
        let text =
            "echo \"test $* ... ok\"; echo 'test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured'";
        let mut program = script(folder.path(), "p", text);
        program.tests = Some(vec!["a::b".to_owned(), "a::c".to_owned()]);
        assert_eq!(only(program, false).last.as_deref(), Some("--test-threads=3 --exact a::b a::c"));
    }

    #[test]
    fn a_program_without_tests_passes_and_one_that_breaks_off_fails() {
        let folder = tempfile::tempdir().unwrap();
        let none = "echo 'test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured'";
        assert_eq!(only(script(folder.path(), "a", none), false).outcome, Outcome::Passed(Counts::default()));
        for end in ["kill -9 $$", "echo 'test a ... ok'; exit 0"] {
            let ran = only(script(folder.path(), "b", end), false);
            assert_eq!(ran.outcome, Outcome::failed("did not build or was aborted"), "{end}");
        }
    }

    /// Each waits for the other one.
    #[test]
    fn two_run_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let meet = |own: &str, other: &str| {
            let text = format!(
                "mkfifo {own} 2>/dev/null; mkfifo {other} 2>/dev/null; echo x > {own} & read x < {other}
                echo 'test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured'"
            );
            script(folder.path(), &format!("meet-{own}"), &text)
        };
        let (a, b) = (meet("a", "b"), meet("b", "a"));
        let mut ended = 0;
        let ran = run_programs([a, b], Width { programs: 2, tests: 1 }, settings(false), |_| ended += 1);
        assert_eq!((ran.len(), ended), (2, 2));
        assert!(ran.iter().all(|ran| matches!(ran.outcome, Outcome::Passed(_))), "{ran:?}");
    }
}
