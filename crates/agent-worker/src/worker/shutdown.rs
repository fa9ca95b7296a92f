//! Running a worker until a signal or another event, and ending it.

use std::time::Duration;

use tokio::task::JoinSet;
use tracing::Instrument;

use agent_core::{DrainReport, ShutdownLimits};

use crate::worker::driver::close_timeout;
use crate::worker::signals::{self, Signals};
use crate::worker::{Worker, WorkerError};

/// How long an aborted task may take to end before it counts as blocked.
const ABORT: Duration = Duration::from_secs(1);

impl Worker {
    /// Runs until `shutdown` is done, then drains for up to its
    /// [`drain_timeout`](crate::WorkerBuilder::drain_timeout). For programs that decide themselves when to
    /// stop: signals are not handled, and the process is never ended.
    ///
    /// ```no_run
    /// # async fn agent(_: agent_worker::JobContext) -> agent_worker::JobResult { Ok(()) }
    /// # async fn main_() -> Result<(), Box<dyn std::error::Error>> {
    /// use agent_worker::Worker;
    ///
    /// let (stop, stopped) = tokio::sync::oneshot::channel::<()>(); // dropping `stop` stops the worker as well
    /// Worker::builder(agent).from_env().build()?.run_until(stopped).await?;
    /// # drop(stop);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`run`](Self::run), and [`WorkerError::Stuck`] if blocking code still runs.
    pub async fn run_until(self, shutdown: impl Future) -> Result<DrainReport, WorkerError> {
        Self::run_all_until([self], shutdown).await
    }

    /// Runs several workers at once, like [`run_until`](Self::run_until). When one of them ends with an
    /// error, the others are drained and the error is returned.
    ///
    /// # Errors
    /// The first error of any worker.
    pub async fn run_all_until(
        workers: impl IntoIterator<Item = Self>,
        shutdown: impl Future,
    ) -> Result<DrainReport, WorkerError> {
        run_all(workers.into_iter().collect(), shutdown).await.result(false)
    }

    /// Runs until SIGTERM or SIGINT (on Windows Ctrl-C), then drains. A second signal aborts the remaining
    /// jobs, and a third one ends the process at once, with exit code 130. Signals within a second of a
    /// counted one count as the same signal: a process group and a supervisor may both send it.
    ///
    /// Code of a job that *blocks* its thread can be neither aborted nor awaited, and the runtime would wait
    /// for it forever when `main` returns. If such code is left, this ends the process instead of returning,
    /// after logging, with the [exit code](WorkerError::exit_code) of its error. It does the same if the
    /// runtime has no thread left to run the worker. In all other cases it returns, and `main` continues.
    ///
    /// On SIGTSTP it accepts no new jobs ([`WorkerHandle::quiet`](crate::WorkerHandle::quiet)), and on
    /// SIGCONT jobs again. Not if the standard input is a terminal: there Ctrl-Z suspends the program.
    ///
    /// From the first call on, it handles these signals. After it has returned, the next signal ends the
    /// process, as nothing is left to drain and `main` does not end. A program that handles signals itself
    /// uses [`run_until`](Self::run_until).
    ///
    /// # Errors
    /// As [`run`](Self::run); [`WorkerError::Forced`] after a second signal; [`WorkerError::Stuck`] if an
    /// attempt could not be aborted, even if it has ended since.
    pub async fn run_until_signal(self) -> Result<DrainReport, WorkerError> {
        Self::run_all_until_signal([self]).await
    }

    /// Runs several workers at once until SIGTERM or SIGINT, like
    /// [`run_until_signal`](Self::run_until_signal). When one of them ends with an error, the others are
    /// drained and the error is returned.
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
    pub(crate) fn drain_timeout(&self) -> Duration {
        self.setup.parts.settings.drain_timeout
    }

    /// The time limits of its shutdown.
    fn shutdown_limits(&self) -> ShutdownLimits {
        let rules = &self.setup.parts.settings.rules;
        ShutdownLimits::of(rules, self.drain_timeout(), close_timeout(rules).saturating_add(ABORT))
    }
}

/// The end of the workers.
#[derive(Debug)]
struct Ended {
    report: DrainReport,
    failure: Option<WorkerError>,
    /// Aborted tasks that still run.
    blocked: usize,
}

async fn run_all(workers: Vec<Worker>, shutdown: impl Future) -> Ended {
    let mut handles = Vec::new();
    let mut taskss = Vec::new();
    let mut running = JoinSet::new();
    for worker in workers {
        handles.push((worker.handle(), worker.drain_timeout()));
        taskss.push(worker.setup.parts.tasks.clone());
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
    for tasks in taskss {
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

    /// Leftover tasks are not a success, and the code shows whether the end was forced.
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
