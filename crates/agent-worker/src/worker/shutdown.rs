//! Running until something asks for the end, and what is then left of the jobs.

use std::time::Duration;

use tokio::task::JoinSet;
use tracing::Instrument;

use agent_core::{DrainReport, ShutdownLimits};

use crate::worker::driver::close_timeout;
use crate::worker::signals::{self, Signals};
use crate::worker::{Worker, WorkerError};

/// How long what was aborted may take to go before it counts as blocked.
const ABORT: Duration = Duration::from_secs(1);

impl Worker {
    /// Runs until `shutdown` is done, then drains for up to its
    /// [`drain_timeout`](crate::WorkerBuilder::drain_timeout). For programs that decide themselves when to
    /// stop: no signal is listened to, and the process is never ended.
    ///
    /// ```no_run
    /// # async fn agent(_: agent_worker::JobContext) -> agent_worker::JobResult { Ok(()) }
    /// # async fn main_() -> Result<(), Box<dyn std::error::Error>> {
    /// use agent_worker::Worker;
    ///
    /// let (stop, stopped) = tokio::sync::oneshot::channel::<()>(); // dropping `stop` stops the worker, too
    /// Worker::builder(agent).from_env().build()?.run_until(stopped).await?;
    /// # drop(stop);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`run`](Self::run), and [`WorkerError::Stuck`] when blocking code was left behind.
    pub async fn run_until(self, shutdown: impl Future) -> Result<DrainReport, WorkerError> {
        Self::run_all_until([self], shutdown).await
    }

    /// Runs several workers at once as [`run_until`](Self::run_until). When one of them ends with an error,
    /// the others are drained and the error is returned.
    ///
    /// # Errors
    /// The first error of any worker.
    pub async fn run_all_until(
        workers: impl IntoIterator<Item = Self>,
        shutdown: impl Future,
    ) -> Result<DrainReport, WorkerError> {
        run_all(workers.into_iter().collect(), shutdown).await.result(false)
    }

    /// Runs until SIGTERM or SIGINT (on Windows Ctrl-C), then drains. A second signal aborts what still runs,
    /// and a third one ends the process at once, with 130. Signals within a second of one that counts are the
    /// same one: a process group and a supervisor may both send it.
    ///
    /// Code of a job that *blocks* its thread can be neither aborted nor waited for, and the runtime would
    /// wait for it without end when `main` returns. If any is left, this ends the process instead of
    /// returning, after logging: with the [exit code](WorkerError::exit_code) of its error. So it does when
    /// the runtime has no thread left that runs the worker. In all other cases it returns, and `main` goes
    /// on.
    ///
    /// From its first call on, these signals are its own. After it has returned, the next one ends the
    /// process: nothing is left to drain, and something keeps `main` from ending. A program that handles
    /// signals itself uses [`run_until`](Self::run_until).
    ///
    /// # Errors
    /// As [`run`](Self::run); [`WorkerError::Forced`] after a second signal; [`WorkerError::Stuck`] when an
    /// attempt had to be left behind, though it has ended since.
    pub async fn run_until_signal(self) -> Result<DrainReport, WorkerError> {
        Self::run_all_until_signal([self]).await
    }

    /// Runs several workers at once, until SIGTERM or SIGINT as [`run_until_signal`](Self::run_until_signal).
    /// When one of them ends with an error, the others are drained and the error is returned.
    ///
    /// # Errors
    /// The first error of any worker.
    pub async fn run_all_until_signal(
        workers: impl IntoIterator<Item = Self>,
    ) -> Result<DrainReport, WorkerError> {
        let workers: Vec<Self> = workers.into_iter().collect();
        let limits =
            workers.iter().map(Self::shutdown_limits).fold(ShutdownLimits::default(), ShutdownLimits::and);
        let handles = workers.iter().map(|worker| (worker.handle(), worker.drain_timeout())).collect();
        let mut signals = Signals::listen(handles, limits).map_err(WorkerError::Signal)?;
        let ended = run_all(workers, signals.first()).await;
        let blocked = ended.blocked;
        let result = ended.result(signals.forced());
        if let Err(error) = &result
            && blocked > 0
        {
            signals::exit(
                error.exit_code(),
                format!("{blocked} tasks of jobs block their threads: {error:?}"),
            );
        }
        result
    }
}

impl Worker {
    fn drain_timeout(&self) -> Duration {
        self.setup.parts.settings.drain_timeout
    }

    /// How long it may take to stop.
    fn shutdown_limits(&self) -> ShutdownLimits {
        let rules = &self.setup.parts.settings.rules;
        ShutdownLimits::of(rules, self.drain_timeout(), close_timeout(rules).saturating_add(ABORT))
    }
}

/// How workers ended.
#[derive(Debug)]
struct Ended {
    report: DrainReport,
    failure: Option<WorkerError>,
    /// Tasks that are left though they were aborted.
    blocked: usize,
}

async fn run_all(workers: Vec<Worker>, shutdown: impl Future) -> Ended {
    let mut handles = Vec::new();
    let mut task_counts = Vec::new();
    let mut running = JoinSet::new();
    for worker in workers {
        handles.push((worker.handle(), worker.drain_timeout()));
        task_counts.push(worker.setup.parts.tasks.clone());
        running.spawn(worker.run().in_current_span());
    }
    let drain = || handles.iter().for_each(|(handle, within)| handle.start_drain(*within));
    let mut ended = Ended { report: DrainReport::default(), failure: None, blocked: 0 };
    let mut draining = false;
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            stopped = running.join_next() => match stopped {
                None => break,
                Some(Ok(Ok(report))) => ended.report = ended.report.and(report),
                Some(Ok(Err(error))) => {
                    ended.failure.get_or_insert(error);
                    drain();
                }
                Some(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
            },
            _ = &mut shutdown, if !draining => {
                draining = true;
                tracing::info!("draining worker");
                drain();
            }
        }
    }
    for tasks in task_counts {
        ended.blocked += tasks.left_after(ABORT).await;
    }
    ended
}

impl Ended {
    fn result(self, forced: bool) -> Result<DrainReport, WorkerError> {
        let Self { report, failure, blocked } = self;
        match failure {
            Some(error) => Err(error),
            None if forced => Err(WorkerError::Forced(report)),
            None if report.stuck > 0 || blocked > 0 => Err(WorkerError::Stuck(report)),
            None => Ok(report),
        }
    }
}

#[cfg(test)]
mod tests {
    use agent_core::StopError;

    use super::*;

    /// Whatever is left behind is no success, and the code says whether somebody forced it.
    #[test]
    fn the_exit_codes() {
        let stuck = |stuck| {
            let mut report = DrainReport::default();
            report.stuck = stuck;
            report
        };
        let failed = || Some(StopError::GaveUp { attempts: 1, last: "refused".into() }.into());
        for (failure, forced, report, blocked, expected) in [
            (None, false, stuck(0), 0, 0),
            (None, false, stuck(1), 0, 1),
            (None, false, stuck(0), 1, 1),
            (None, false, stuck(1), 1, 1),
            (None, true, stuck(0), 0, 130),
            (None, true, stuck(1), 1, 130),
            (failed(), false, stuck(0), 0, 1),
            (failed(), false, stuck(1), 1, 1),
            (failed(), true, stuck(1), 1, 1),
        ] {
            let ended = Ended { report, failure, blocked };
            let case = format!("{ended:?} forced: {forced}");
            let code = ended.result(forced).map_or_else(|error| error.exit_code(), |_| 0);
            assert_eq!(code, expected, "{case}");
        }
    }
}
