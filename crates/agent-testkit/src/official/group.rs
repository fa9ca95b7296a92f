//! A process with all those that it starts: they end together, and not later than we do.

use std::io;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::process::{Target, end, read_lines, watchdog};

/// Killed processes close their pipes at once. One that left its group would not.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// A running group; dropping it kills all of it.
#[derive(Debug)]
pub(super) struct Group {
    leader: Child,
    watchdog: Option<Child>,
    /// Says so when the last process of the group has closed its output.
    silent: mpsc::Receiver<()>,
}

impl Group {
    /// Starts a group. `take` gets each line of stdout and stderr; `None` when all processes are gone.
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
        let (says, silent) = mpsc::channel();
        std::thread::spawn(move || {
            for reader in readers {
                if reader.join().is_err() {
                    tracing::error!("a reader of an official worker's output panicked");
                }
            }
            take(None);
            // Nobody listens until the group is to end.
            let _ = says.send(());
        });
        Ok(Self { leader, watchdog, silent })
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
        // Before the leader is waited for: until then the number of the group is its own.
        #[cfg(unix)]
        if let Err(error) =
            crate::process::signal(Target::Group(self.pid()), nix::sys::signal::Signal::SIGKILL)
        {
            tracing::error!(%error, pid = self.pid(), "the processes of an official worker could not be ended");
        }
        end(&mut self.leader);
        if self.silent.recv_timeout(GONE_WITHIN).is_err() {
            tracing::error!(pid = self.pid(), "a process of an official worker outlives it");
        }
    }
}
