//! A child process whose output is read line by line, and which is stopped after a timeout with all that it
//! has started.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The timeout of a hanging process in CI, so that its name is known. At a desk there is Ctrl-C. Checks need
/// some 5 minutes by themselves, and beside the tests as many times longer as these leave of the processor.
pub(super) const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Which output of a child is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// stdout; stderr goes to the terminal.
    Stdout,
    /// stdout and stderr, in the order of writing.
    All,
}

/// Passes on each line of a command's output. No status: it was stopped after the timeout.
pub(super) fn run_lines(
    command: &mut Command,
    output: Output,
    limit: Option<Duration>,
    mut on_line: impl FnMut(String),
) -> Result<Option<ExitStatus>> {
    if limit.is_some() {
        own_group(command);
    }
    let program = command.get_program().to_string_lossy().into_owned();
    let (read, write) = std::io::pipe().context("no pipe")?;
    if output == Output::All {
        command.stderr(write.try_clone().context("no pipe")?);
    }
    command.stdin(Stdio::null()).stdout(write);
    let mut child = command.spawn().with_context(|| format!("{program} could not be started"))?;
    // The command still holds our ends of the pipe, which would never end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (lines, line) = channel();
    std::thread::spawn(move || {
        each_line(read, |line| lines.send(line).is_ok());
    });
    let deadline = limit.map(|limit| Instant::now() + limit);
    loop {
        let received = match deadline {
            None => line.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => line.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        match received {
            Ok(line) => on_line(line),
            Err(RecvTimeoutError::Disconnected) => return Ok(Some(child.wait()?)),
            Err(RecvTimeoutError::Timeout) => {
                stop(&mut child);
                return Ok(None);
            }
        }
    }
}

/// Tests may print anything: it need not be UTF-8.
fn each_line(read: impl Read, mut next: impl FnMut(String) -> bool) {
    for bytes in BufReader::new(read).split(b'\n') {
        let Ok(bytes) = bytes else { break };
        if !next(String::from_utf8_lossy(&bytes).into_owned()) {
            break;
        }
    }
}

pub(super) fn hung() -> String {
    format!("did not end within {} minutes", LIMIT.as_secs() / 60)
}

/// So that `stop` also reaches the tests and their child processes.
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
#[cfg(unix)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_outputs_are_read_in_their_order() {
        let mut lines = Vec::new();
        let script = "echo a; echo b >&2; printf '\\377\\nc'; exit 3";
        let status = run_lines(&mut sh(script), Output::All, None, |line| lines.push(line)).unwrap().unwrap();
        assert_eq!(status.code(), Some(3));
        assert_eq!(lines, ["a", "b", "\u{fffd}", "c"]);
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = run_lines(&mut Command::new("no-such-program"), Output::All, None, drop).unwrap_err();
        assert!(format!("{error:#}").starts_with("no-such-program could not be started: "), "{error:#}");
    }

    /// The grandchild holds the pipe open: only its end closes it.
    #[test]
    fn a_hanging_process_is_stopped_with_its_children() {
        let (mut read, write) = std::io::pipe().unwrap();
        let mut hanging = sh("sleep 30 & echo started >&2; wait");
        hanging.stderr(write);
        let start = Instant::now();
        let status = run_lines(&mut hanging, Output::Stdout, Some(Duration::from_secs(1)), drop).unwrap();
        assert!(status.is_none(), "{status:?}");
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "started\n");
        assert!(start.elapsed() < Duration::from_secs(20), "sleep lived on");
    }
}
