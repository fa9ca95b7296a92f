//! Child processes of the tests: their output is read, and they end when we do.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

/// The target of the [`watchdog`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// One process.
    Process(u32),
    /// All processes of the group with this number.
    Group(u32),
}

/// Kills a child and waits for its end.
pub(crate) fn end(child: &mut Child) {
    if let Err(error) = child.kill().and_then(|()| child.wait()) {
        tracing::error!(%error, pid = child.id(), "a child process of the test could not be killed");
    }
}

/// Sends a signal to a child, or to all of the group that it leads. The child must not have been waited for:
/// until then its number cannot be reused.
#[cfg(unix)]
pub(crate) fn signal(target: Target, signal: nix::sys::signal::Signal) -> io::Result<()> {
    let pid = |pid: u32| i32::try_from(pid).map(nix::unistd::Pid::from_raw).map_err(io::Error::other);
    match target {
        Target::Process(id) => nix::sys::signal::kill(pid(id)?, signal)?,
        Target::Group(leader) => nix::sys::signal::killpg(pid(leader)?, signal)?,
    }
    Ok(())
}

/// A shell that waits until its stdin closes, which the system does however we end, and then kills the
/// target.
///
/// This is the only way that needs no `unsafe`. A caller that ends the target itself must end the watchdog
/// first, as it kills by a number that may be reused.
pub(crate) fn watchdog(target: Target) -> Option<Child> {
    if !cfg!(unix) {
        return None;
    }
    let target = match target {
        Target::Process(pid) => pid.to_string(),
        Target::Group(pid) => format!("-{pid}"),
    };
    let mut shell = Command::new("sh");
    // Not `-9`: some shells then read `--` as a number.
    shell.args(["-c", "read -r _; kill -s KILL -- \"$1\"", "sh", &target]);
    // In a group of its own, so that an interrupt from the terminal does not end it; a target with its own
    // group is not interrupted either.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut shell, 0);
    shell
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .inspect_err(|error| tracing::warn!(%error, "no shell for a watchdog: child processes would outlive a killed test"))
        .ok()
}

/// Calls `take` with each line, in a thread, until the other side closes the pipe.
///
/// A thread, not a task: a child must never wait for a test that blocks its runtime, or whose clock is
/// paused.
pub(crate) fn read_lines(
    out: impl Read + Send + 'static,
    mut take: impl FnMut(&str) + Send + 'static,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut out = BufReader::new(out);
        let mut line = Vec::new();
        loop {
            line.clear();
            match out.read_until(b'\n', &mut line) {
                Ok(0) => return,
                Ok(_) => take(String::from_utf8_lossy(&line).trim_end()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return take(&format!("the output could not be read: {error}")),
            }
        }
    })
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::process::CommandExt;

    use super::*;

    #[test]
    fn a_watchdog_kills_a_whole_group_when_we_are_gone() {
        // A shell and its child, both with the pipe; without the kill the pipe stays open for a minute.
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & echo up; wait"])
            .process_group(0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, received) = std::sync::mpsc::channel();
        let reader =
            read_lines(shell.stdout.take().unwrap(), move |line| lines.send(line.to_owned()).unwrap());
        assert_eq!(received.recv().unwrap(), "up");
        let mut watchdog = watchdog(Target::Group(shell.id())).unwrap();
        drop(watchdog.stdin.take());
        assert!(watchdog.wait().unwrap().success());
        reader.join().unwrap();
        assert!(!shell.wait().unwrap().success());
    }
}
