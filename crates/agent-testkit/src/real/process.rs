//! The server's process: a child whose output is read, and which ends when we do.

use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use super::log::ServerLog;
use crate::process::{Target, end, read_lines, watchdog};

/// A running server; dropping it kills it and waits for its end.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// Kills the server if we are killed ourselves.
    watchdog: Option<Child>,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    pub(super) fn spawn(binary: &Path, config: &Path, log: &ServerLog) -> io::Result<Self> {
        let mut child = Command::new(binary)
            .arg("--config")
            .arg(config)
            // Variables that the server would read as settings.
            .env_remove("LIVEKIT_CONFIG")
            .env_remove("LIVEKIT_KEYS")
            .env_remove("NODE_IP")
            .env_remove("REDIS_HOST")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let push = || {
            let log = log.clone();
            move |line: &str| log.push(line)
        };
        let mut readers = Vec::new();
        readers.extend(child.stdout.take().map(|out| read_lines(out, push())));
        readers.extend(child.stderr.take().map(|out| read_lines(out, push())));
        let watchdog = watchdog(Target::Process(child.id()));
        Ok(Self { child, watchdog, readers })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The exit status, if the process has ended.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    #[cfg(unix)]
    pub(super) fn signal(&self, signal: nix::sys::signal::Signal) -> io::Result<()> {
        crate::process::signal(Target::Process(self.pid()), signal)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // First the watchdog, which kills by number: from here on the number may be reused.
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
