//! The worker: built by the builder, run by the driver.

pub(crate) mod builder;
pub(crate) mod config_error;
pub(crate) mod driver;
pub(crate) mod failure;
pub(crate) mod fd_limit;
pub(crate) mod handle;
pub(crate) mod parts;
pub(crate) mod redact;
pub(crate) mod server;
pub(crate) mod settings;
pub(crate) mod shutdown;
pub(crate) mod signals;
pub(crate) mod stats;
pub(crate) mod stores;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::Instrument;

use agent_core::{DrainReport, FAILED_EXIT_CODE, FORCED_EXIT_CODE, StopError};
use agent_proto::error_text;
use agent_proto::text::{line, name};

use crate::agent::Agent;
use crate::worker::builder::WorkerBuilder;
#[cfg(feature = "http")]
use crate::worker::driver::Snapshot;
use crate::worker::driver::{Command, Driver, Setup};
use crate::worker::handle::WorkerHandle;
use crate::worker::settings::Settings;

/// A worker: registers with a LiveKit server, and runs the jobs that it is offered.
///
/// ```no_run
/// # async fn agent(_: agent_worker::JobContext) -> agent_worker::JobResult { Ok(()) }
/// # async fn main_() -> Result<(), Box<dyn std::error::Error>> {
/// use agent_worker::Worker;
///
/// Worker::builder(agent).from_env().agent_name("greeter").build()?.run_until_signal().await?;
/// # Ok(()) }
/// ```
///
/// Several workers, each with its own agent, run in one process with [`Worker::run_all_until_signal`].
#[doc(alias = "AgentServer")]
#[doc(alias = "WorkerOptions")]
pub struct Worker {
    pub(crate) setup: Setup,
    handle: WorkerHandle,
    commands: mpsc::UnboundedReceiver<Command>,
    done: watch::Sender<Option<DrainReport>>,
    registered: watch::Sender<bool>,
    closing: watch::Sender<bool>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("handle", &self.handle).finish_non_exhaustive()
    }
}

/// Why a worker ended without being drained. The message contains what to do.
///
/// `Debug` shows the message, too: it is what Rust prints when `main` returns the error.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The server refused the worker, or is unreachable.
    #[error(transparent)]
    Stopped(#[from] StopError),
    /// A second signal arrived during the drain, and jobs were aborted.
    #[error("forced to stop by a second signal: {0:?}")]
    Forced(DrainReport),
    /// It has stopped, but code that blocks its thread could not be aborted and still runs. Dropping the
    /// runtime would wait for it: end the process, as [`run_until_signal`](Worker::run_until_signal) does.
    #[error(
        "the worker has stopped, but code of its jobs blocks a thread and cannot be aborted (move such code to `tokio::task::spawn_blocking`): {0:?}"
    )]
    Stuck(DrainReport),
    /// Listening for signals failed.
    #[error("cannot listen for signals")]
    Signal(#[source] std::io::Error),
}

impl WorkerError {
    /// The exit code for a program that ends with this error: 130 if it was forced to stop, else 1. After a
    /// drain it is 0, whatever the signal.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Forced(_) => FORCED_EXIT_CODE,
            Self::Stopped(_) | Self::Stuck(_) | Self::Signal(_) => FAILED_EXIT_CODE,
        }
    }
}

impl fmt::Debug for WorkerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        error_text::debug(self, f)
    }
}

impl Worker {
    /// Returns a builder of a worker with this agent.
    pub fn builder<A: Agent>(agent: A) -> WorkerBuilder {
        WorkerBuilder::new(agent)
    }

    pub(crate) fn new(setup: Setup) -> Self {
        let (sender, commands) = mpsc::unbounded_channel();
        let (done, report) = watch::channel(None);
        let (registered, is_registered) = watch::channel(false);
        let (closing, is_closing) = watch::channel(false);
        let meter = Arc::clone(&setup.parts.meter);
        let handle = WorkerHandle {
            commands: sender,
            done: report,
            registered: is_registered,
            closing: is_closing,
            meter,
            #[cfg(feature = "http")]
            ended: Arc::new(Snapshot::stopped(&setup.parts.settings, &setup.server.url)),
        };
        Self { setup, handle, commands, done, registered, closing }
    }

    /// A handle to the worker; take it before the worker runs.
    #[must_use]
    pub fn handle(&self) -> WorkerHandle {
        self.handle.clone()
    }

    /// The name under which jobs are dispatched to it; empty: the server dispatches it to each new room.
    #[must_use]
    pub fn agent_name(&self) -> &str {
        &self.setup.parts.settings.rules.agent_name
    }

    /// Its deployment, which a dispatch has to name, too; empty: none.
    #[must_use]
    pub fn deployment(&self) -> &str {
        &self.setup.parts.settings.rules.deployment
    }

    /// Runs until it is drained or stopped by its [handle](Self::handle). Lost connections are
    /// re-established.
    ///
    /// Dropping the future drops its jobs: handlers and their tasks are aborted, no cleanup runs and no
    /// outcome is reported.
    ///
    /// # Errors
    /// [`WorkerError::Stopped`] if the server refuses the first connection, or the maximum number of
    /// connection attempts is reached.
    pub async fn run(self) -> Result<DrainReport, WorkerError> {
        self.log_start();
        let parts = &self.setup.parts;
        let rules = &parts.settings.rules;
        parts.meter.start(&rules.agent_name);
        let descriptors = fd_limit::prepare(rules.max_jobs, self.setup.descriptors);
        // A task on the runtime's worker threads, as the jobs that it starts begin on its thread; the future
        // of `main` has another thread. The set aborts it when this future is dropped.
        let mut driver = JoinSet::new();
        let worker = Driver::new(self.setup, self.registered, self.closing, descriptors);
        driver.spawn(worker.run(self.commands).in_current_span());
        let result = match driver.join_next().await {
            Some(Ok(result)) => result,
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The runtime shuts down.
            Some(Err(_)) | None => std::future::pending().await,
        };
        self.done.send_replace(Some(*result.as_ref().unwrap_or(&DrainReport::default())));
        Ok(result?)
    }

    /// Logs the settings, above all which time limits are set and which are not.
    fn log_start(&self) {
        let Settings { rules, rooms, checkpoints, coordination, drain_timeout, blocked_after, .. } =
            &self.setup.parts.settings;
        tracing::info!(
            agent = %name(&rules.agent_name),
            kind = %line(rules.kind),
            max_jobs = rules.max_jobs,
            answer_timeout = ?rules.answer_timeout,
            assignment_timeout = ?rules.assignment_timeout,
            join_timeout = ?rooms.join_timeout,
            room_reconnect_timeout = ?rooms.reconnect_timeout,
            job_timeout = %or_none(rules.usual_job_timeout()),
            max_job_timeout = %or_none(rules.max_job_timeout),
            grace = ?rules.grace,
            cleanup_timeout = ?rules.cleanup_timeout,
            cleanup_callback_timeout = %or_none(rules.cleanup_callback_timeout),
            drain_timeout = ?drain_timeout,
            end_when = ?rules.end_when,
            stale_after = ?rules.stale_after,
            start_timeout = %or_none(rules.start_timeout),
            settling = ?rules.settling,
            blocked_after = ?blocked_after,
            checkpoint_interval = ?checkpoints.interval,
            checkpoint_expiry = ?checkpoints.expiry,
            lease = ?coordination.lease,
            retry = ?rules.retry,
            "starting worker"
        );
    }
}

/// A time limit, or `none`.
fn or_none(limit: Option<Duration>) -> String {
    limit.map_or_else(|| "none".to_owned(), |limit| format!("{limit:?}"))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn log_lines_of_a_worker_are_in_the_span_of_its_program() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        let _here = tracing::subscriber::set_default(subscriber);
        let agent = |_: crate::JobContext| async { agent_core::JobResult::Ok(()) };
        // No process listens on this port: just released by the test.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let builder =
            Worker::builder(agent).url(format!("ws://127.0.0.1:{port}")).credentials("key", "secret");
        let worker = builder.max_connect_attempts(1).build().unwrap();
        worker.run().instrument(tracing::info_span!("program")).await.unwrap_err();
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let line =
            log.lines().find(|line| line.contains("worker stopped")).unwrap_or_else(|| panic!("{log}"));
        assert!(line.contains("program"), "{line}");
    }
}
