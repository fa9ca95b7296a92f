//! A process group: a process with all those that it starts, which end together, at the latest when we do.

use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::process::{Target, end, read_lines, watchdog};

/// Timeout for the end of killed processes, which close their pipes at once. One that left its group would
/// not.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// A running group; dropping it kills all its processes.
#[derive(Debug)]
pub(super) struct Group {
    leader: Child,
    watchdog: Option<Child>,
    /// Receives a value when the last process of the group has closed its output.
    all_closed: mpsc::Receiver<()>,
}

impl Group {
    /// Starts a group. `take` is called with each line of stdout and stderr, and with `None` when all
    /// processes have ended.
    pub(super) fn spawn(
        command: &mut Command,
        take: impl Fn(Option<&str>) + Clone + Send + 'static,
    ) -> io::Result<Self> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        let mut leader =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let watchdog = watchdog(Target::Group(leader.id()));
        let line = || {
            let take = take.clone();
            move |line: &str| take(Some(line))
        };
        let mut readers = Vec::new();
        readers.extend(leader.stdout.take().map(|out| read_lines(out, line())));
        readers.extend(leader.stderr.take().map(|out| read_lines(out, line())));
        let (closed, all_closed) = mpsc::channel();
        std::thread::spawn(move || {
            for reader in readers {
                if reader.join().is_err() {
                    tracing::error!("a reader of an official worker's output panicked");
                }
            }
            take(None);
            // The receiver waits only when the group is dropped.
            let _ = closed.send(());
        });
        Ok(Self { leader, watchdog, all_closed })
    }

    pub(super) fn pid(&self) -> u32 {
        self.leader.id()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(mut watchdog) = self.watchdog.take() {
            end(&mut watchdog);
        }
        // Before waiting for the leader: until then its number cannot be reused for another group.
        #[cfg(unix)]
        if let Err(error) =
            crate::process::signal(Target::Group(self.pid()), nix::sys::signal::Signal::SIGKILL)
        {
            tracing::error!(%error, pid = self.pid(), "official worker processes could not be killed");
        }
        end(&mut self.leader);
        if self.all_closed.recv_timeout(END_TIMEOUT).is_err() {
            tracing::error!(
                pid = self.pid(),
                "a process of an official worker is still running after the kill"
            );
        }
    }
}
