//! The server's process: a child whose output is read, and which never outlives us.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use super::log::ServerLog;

/// A running server; dropping it kills it and waits for its end.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// Kills the server if we are killed ourselves. The one thing that needs no `unsafe` for it is a pipe that closes.
    watchdog: Option<Child>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    pub(super) fn spawn(binary: &Path, config: &Path, log: &ServerLog) -> io::Result<Self> {
        let mut child = Command::new(binary)
            .arg("--config")
            .arg(config)
            // Variables that the server would take as settings.
            .env_remove("LIVEKIT_CONFIG")
            .env_remove("LIVEKIT_KEYS")
            .env_remove("NODE_IP")
            .env_remove("REDIS_HOST")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        // Threads, not tasks: the server must never wait for a test that blocks its runtime, or whose clock stands still.
        let mut readers = Vec::new();
        readers.extend(child.stdout.take().map(|out| read_lines(out, log.clone())));
        readers.extend(child.stderr.take().map(|out| read_lines(out, log.clone())));
        let watchdog = watchdog(child.id());
        Ok(Self { child, watchdog, readers })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    #[cfg(unix)]
    pub(super) fn signal(&self, signal: rustix::process::Signal) -> io::Result<()> {
        // The child is not reaped while we hold it, so that its id is still its own.
        Ok(rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // First the one that would kill by number: from here on the number may become another process's.
        if let Some(mut watchdog) = self.watchdog.take() {
            end(&mut watchdog);
        }
        end(&mut self.child);
        for reader in self.readers.drain(..) {
            if reader.join().is_err() {
                tracing::error!("a reader of the server's log panicked");
            }
        }
    }
}

fn end(child: &mut Child) {
    if let Err(error) = child.kill().and_then(|()| child.wait()) {
        tracing::error!(%error, pid = child.id(), "a process of the test could not be ended");
    }
}

/// A shell that waits until its stdin closes, which the system does when we end in whatever way, and then kills `pid`.
fn watchdog(pid: u32) -> Option<Child> {
    if !cfg!(unix) {
        return None;
    }
    Command::new("sh")
        .args(["-c", "read -r _; kill -9 \"$1\"", "sh", &pid.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .inspect_err(|error| tracing::warn!(%error, "no shell: the server would outlive a killed test"))
        .ok()
}

fn read_lines(out: impl Read + Send + 'static, log: ServerLog) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut out = BufReader::new(out);
        let mut line = Vec::new();
        loop {
            line.clear();
            match out.read_until(b'\n', &mut line) {
                Ok(0) => return,
                Ok(_) => log.push(String::from_utf8_lossy(&line).trim_end()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return log.push(&format!("the log could not be read: {error}")),
            }
        }
    })
}
