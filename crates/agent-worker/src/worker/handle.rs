//! The handle of a running worker.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use agent_core::{CancelReason, DrainReport, JobId, Lifecycle, SlotCounts};

use crate::telemetry::Meter;
#[cfg(feature = "http")]
use crate::telemetry::TimeHistogram;
use crate::worker::driver::{Command, Snapshot};
#[cfg(feature = "http")]
use crate::worker::driver::{JobPage, Page};
use crate::worker::stats::WorkerStats;

/// Controls and observes a running worker. Cheap to clone.
#[derive(Clone)]
pub struct WorkerHandle {
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(super) done: watch::Receiver<Option<DrainReport>>,
    pub(super) registered: watch::Receiver<bool>,
    pub(super) closing: watch::Receiver<bool>,
    pub(super) meter: Arc<Meter>,
    /// What is reported of it when it has stopped.
    #[cfg(feature = "http")]
    pub(crate) ended: Arc<Snapshot>,
}

/// A snapshot of a running worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct WorkerStatus {
    /// Whether it is registered with the server.
    pub registered: bool,
    /// Whether it drains: it accepts no new jobs.
    pub draining: bool,
    /// Whether it accepts no new jobs until an [`undrain`](WorkerHandle::undrain).
    pub quiet: bool,
    /// How its slots are used.
    pub slots: SlotCounts,
}

impl fmt::Debug for WorkerHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerHandle")
            .field("registered", &*self.registered.borrow())
            .field("done", &*self.done.borrow())
            .finish_non_exhaustive()
    }
}

impl WorkerHandle {
    /// Accepts no new jobs, lets running jobs continue for up to `within`, cancels the rest, and waits until
    /// the worker has stopped. If it drains already, the earlier of both limits counts.
    pub async fn drain(&self, within: Duration) -> DrainReport {
        self.start_drain(within);
        self.stopped().await
    }

    /// Starts to [drain](Self::drain), without waiting.
    pub fn start_drain(&self, within: Duration) {
        let _ = self.commands.send(Command::Drain { within });
    }

    /// Accepts no new jobs until [`undrain`](Self::undrain), and goes on with those that it has, retries
    /// included: before maintenance, or to look at a worker that misbehaves. It stays registered, and is not
    /// ready. Without effect while it drains.
    ///
    /// [`Worker::run_until_signal`](crate::Worker::run_until_signal) does the same on SIGTSTP.
    pub fn quiet(&self) {
        let _ = self.commands.send(Command::Quiet(true));
    }

    /// Accepts jobs again after [`quiet`](Self::quiet). A [drain](Self::drain) cannot be taken back.
    pub fn undrain(&self) {
        let _ = self.commands.send(Command::Quiet(false));
    }

    /// Cancels a job, with [`CancelReason::Shutdown`] and this text: its handler has its grace to return, and
    /// is aborted then. `false` if the worker has no such job, or does not run.
    pub async fn cancel_job(&self, job: &JobId, reason: impl Into<String>) -> bool {
        let (answer, found) = oneshot::channel();
        let reason = CancelReason::Shutdown(reason.into());
        let _ = self.commands.send(Command::Cancel { job: job.clone(), reason, answer });
        found.await.unwrap_or(false)
    }

    /// Aborts all jobs, reports them, and stops; see [`stopped`](Self::stopped).
    pub fn stop(&self) {
        let _ = self.commands.send(Command::Stop);
    }

    /// Waits until the worker has stopped.
    pub async fn stopped(&self) -> DrainReport {
        let mut done = self.done.clone();
        match done.wait_for(Option::is_some).await {
            Ok(report) => report.unwrap_or_default(),
            Err(_) => DrainReport::default(),
        }
    }

    /// Waits until the worker only finishes its shutdown in the background.
    pub(crate) async fn closing(&self) {
        // An error means that the worker was dropped.
        let _ = self.closing.clone().wait_for(|closing| *closing).await;
    }

    /// Waits until the server dispatches to the worker: it has answered a message that was sent after the
    /// registration, or offered a job. A room that is created from then on gets its agent. `false` if the
    /// worker stopped before that.
    pub async fn registered(&self) -> bool {
        self.registered.clone().wait_for(|registered| *registered).await.is_ok()
    }

    /// The lifecycle state of a job; `None` if the worker does not know it, or does not run.
    pub async fn lifecycle(&self, job: &JobId) -> Option<Lifecycle> {
        let (answer, lifecycle) = oneshot::channel();
        self.commands.send(Command::Lifecycle { job: job.clone(), answer }).ok()?;
        lifecycle.await.ok()?
    }

    /// A snapshot of the worker; `None` if it does not run any more.
    pub async fn status(&self) -> Option<WorkerStatus> {
        let Snapshot { registered, draining, quiet, slots, .. } = self.ask_status()?.await.ok()?;
        Some(WorkerStatus { registered, draining, quiet, slots })
    }

    /// Asks for a snapshot; `None` if the worker does not run any more.
    pub(crate) fn ask_status(&self) -> Option<oneshot::Receiver<Snapshot>> {
        let (answer, status) = oneshot::channel();
        self.commands.send(Command::Status { answer }).ok()?;
        Some(status)
    }

    /// Asks for live jobs; `None` if the worker does not run any more.
    #[cfg(feature = "http")]
    pub(crate) fn ask_jobs(&self, page: Page) -> Option<oneshot::Receiver<JobPage>> {
        let (answer, jobs) = oneshot::channel();
        self.commands.send(Command::Jobs { page, answer }).ok()?;
        Some(jobs)
    }

    /// The times from assignments to the first calls of their handlers.
    #[cfg(feature = "http")]
    pub(crate) fn launches(&self) -> TimeHistogram {
        self.meter.launches()
    }

    /// The statistics of the worker; also after it has stopped.
    ///
    /// These and further metrics are exported through the `metrics` facade, for a program that installs a
    /// recorder: [`guide::metrics`](crate::guide::metrics).
    #[must_use]
    pub fn stats(&self) -> WorkerStats {
        self.meter.stats()
    }
}
