//! One call of cargo, whose output passes through to the terminal while the tests in it are counted.

use super::report::{Counts, Outcome};
use crate::{cargo, root};
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// In CI a ring that hangs ends after this long, and its name is known. At a desk there is Ctrl-C.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// A cargo command.
pub(super) struct Cargo {
    command: Command,
    limit: Option<Duration>,
}

impl Cargo {
    /// `strict`: Cargo.lock must be up to date, and the command must end within a limit.
    pub(super) fn new(args: &[&str], strict: bool) -> Self {
        let (subcommand, rest) = args.split_at(1);
        let mut command = Command::new(cargo());
        command.current_dir(root()).args(subcommand).stdin(Stdio::null());
        if strict && subcommand != ["fmt"] {
            command.arg("--locked");
        }
        // All failures in one run.
        if subcommand == ["test"] {
            command.arg("--no-fail-fast");
        }
        command.args(rest);
        Self { command, limit: strict.then_some(LIMIT) }
    }

    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(super) fn without_env(mut self, names: &[&str]) -> Self {
        for name in names {
            self.command.env_remove(name);
        }
        self
    }

    /// Runs a check: it succeeds or fails.
    pub(super) fn check(mut self) -> Result<Outcome> {
        let status = self.run(|_| ())?;
        Ok(match status {
            Some(status) if status.success() => Outcome::Ok,
            Some(status) => Outcome::failed(format!("see above ({status})")),
            None => Outcome::failed(hung()),
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
            None => Outcome::Failed(hung(), counts),
        })
    }

    /// Shows each line of its output and hands it on. No status: it was stopped at its limit.
    fn run(&mut self, mut on_line: impl FnMut(&str)) -> Result<Option<ExitStatus>> {
        if self.limit.is_some() {
            own_group(&mut self.command);
        }
        let mut child = self.command.stdout(Stdio::piped()).spawn().context("cargo does not start")?;
        let output = child.stdout.take().context("cargo has no output")?;
        let (lines, line) = channel();
        std::thread::spawn(move || {
            // Whatever a test prints: it need not be UTF-8.
            for bytes in BufReader::new(output).split(b'\n') {
                let Ok(bytes) = bytes else { break };
                if lines.send(String::from_utf8_lossy(&bytes).into_owned()).is_err() {
                    break;
                }
            }
        });
        let deadline = self.limit.map(|limit| Instant::now() + limit);
        loop {
            let received = match deadline {
                None => line.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => line.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match received {
                Ok(line) => {
                    println!("{line}");
                    on_line(&line);
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(Some(child.wait()?)),
                Err(RecvTimeoutError::Timeout) => {
                    stop(&mut child);
                    return Ok(None);
                }
            }
        }
    }
}

fn hung() -> String {
    format!("did not end within {} minutes", LIMIT.as_secs() / 60)
}

/// The name of the test that a line of libtest says has failed.
fn failure(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

/// So that `stop` reaches the tests and what they have started, too.
#[cfg(unix)]
fn own_group(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

#[cfg(not(unix))]
fn own_group(_: &mut Command) {}

fn stop(child: &mut Child) {
    if cfg!(unix) {
        // The shell's own kill: not every machine has the program.
        let script = format!("kill -s KILL -- -{}", child.id());
        let _ = Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).status();
    }
    let _ = child.kill();
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_named() {
        assert_eq!(failure("test a::b ... FAILED"), Some("a::b"));
        assert_eq!(failure("test src/lib.rs - f (line 3) ... FAILED"), Some("src/lib.rs - f (line 3)"));
        assert_eq!(failure("test a::b ... ok"), None);
        assert_eq!(failure("a::b ... FAILED"), None);
    }

    /// `sh` in the place of cargo, for what cargo would do.
    #[cfg(unix)]
    fn sh(script: &str, limit: Option<Duration>) -> Cargo {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        Cargo { command, limit }
    }

    #[cfg(unix)]
    #[test]
    fn tests_are_counted_as_they_come() {
        let script = "echo 'test a ... FAILED'; printf '\\377\\n'
            echo 'test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured'; exit 101";
        let counts = Counts { passed: 2, failed: 1, ignored: 0 };
        assert_eq!(sh(script, None).test().unwrap(), Outcome::Failed("1 failed: a".to_owned(), counts));
    }

    #[cfg(unix)]
    #[test]
    fn a_failing_check_fails() {
        assert_eq!(sh("true", None).check().unwrap(), Outcome::Ok);
        assert!(matches!(sh("exit 3", None).check().unwrap(), Outcome::Failed(..)));
    }

    /// The grandchild holds the pipe open: only its end closes it.
    #[cfg(unix)]
    #[test]
    fn what_hangs_is_stopped_with_all_that_it_started() {
        use std::io::Read;
        let (mut read, write) = std::io::pipe().unwrap();
        let mut hanging = sh("sleep 30 & echo started >&2; wait", Some(Duration::from_secs(1)));
        hanging.command.stderr(write);
        let start = Instant::now();
        let outcome = hanging.check().unwrap();
        assert!(matches!(outcome, Outcome::Failed(..)), "{outcome:?}");
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "started\n");
        assert!(start.elapsed() < Duration::from_secs(20), "sleep lived on");
    }
}
