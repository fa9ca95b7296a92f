//! Questions to a running worker: each has its time, and at most one of a kind waits.

use std::time::Duration;

use tokio::sync::{Mutex, oneshot};
use tokio::time::timeout;

use agent_core::{HealthProblem, JobId};

use crate::worker::driver::{JobPage, Page, Snapshot};
use crate::worker::handle::WorkerHandle;

/// How long the worker's task may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A worker that answers questions.
pub(super) struct Asked {
    worker: WorkerHandle,
    status: Pending<Snapshot>,
    jobs: Pending<JobPage>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("{}", HealthProblem::Stopped)]
    Stopped,
    #[error(
        "the worker's task has not answered within {TIMEOUT:?}: it does not run yet, or blocking code of handlers holds \
         the runtime's threads (move it to `tokio::task::spawn_blocking`)"
    )]
    Silent,
}

/// A question that was not answered in time. The next one waits for it, so that questions to a worker that
/// does not answer do not pile up.
struct Pending<T>(Mutex<Option<oneshot::Receiver<T>>>);

impl Asked {
    pub(super) fn new(worker: WorkerHandle) -> Self {
        Self { worker, status: Pending::new(), jobs: Pending::new() }
    }

    pub(super) const fn worker(&self) -> &WorkerHandle {
        &self.worker
    }

    pub(super) async fn status(&self) -> Result<Snapshot, NoAnswer> {
        self.status.ask(|| self.worker.ask_status()).await
    }

    /// Cancels a job. `false` if the worker does not have it.
    pub(super) async fn cancel(&self, job: &JobId, reason: &str) -> Result<bool, NoAnswer> {
        timeout(TIMEOUT, self.worker.cancel_job(job, reason)).await.map_err(|_| NoAnswer::Silent)
    }

    pub(super) async fn jobs(&self, page: Page) -> Result<JobPage, NoAnswer> {
        self.jobs.ask(|| self.worker.ask_jobs(page)).await
    }
}

impl<T> Pending<T> {
    fn new() -> Self {
        Self(Mutex::new(None))
    }

    async fn ask(&self, send: impl FnOnce() -> Option<oneshot::Receiver<T>>) -> Result<T, NoAnswer> {
        let asked = async {
            let mut pending = self.0.lock().await;
            if let Some(earlier) = pending.as_mut() {
                // Its answer is out of date, and an answered question must not be awaited again.
                drop(earlier.await);
                *pending = None;
            }
            let answer = pending.insert(send().ok_or(NoAnswer::Stopped)?).await;
            *pending = None;
            answer.map_err(|_| NoAnswer::Stopped)
        };
        timeout(TIMEOUT, asked).await.unwrap_or(Err(NoAnswer::Silent))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn questions_to_a_silent_worker_do_not_pile_up() {
        let pending = Pending::<u32>::new();
        let sent = RefCell::new(Vec::new());
        let send = || {
            let (answer, answered) = oneshot::channel();
            sent.borrow_mut().push(answer);
            Some(answered)
        };
        for _ in 0..3 {
            assert_eq!(pending.ask(send).await, Err(NoAnswer::Silent));
        }
        let first = sent.take();
        assert_eq!(first.len(), 1, "the others wait for it");
        for answer in first {
            answer.send(1).unwrap();
        }
        let answer_later = async {
            let answer = loop {
                if let Some(answer) = sent.borrow_mut().pop() {
                    break answer;
                }
                tokio::task::yield_now().await;
            };
            answer.send(2).unwrap();
        };
        let (answer, ()) = tokio::join!(pending.ask(send), answer_later);
        assert_eq!(answer, Ok(2), "and not what is out of date");
        let (_, closed) = oneshot::channel();
        assert_eq!(pending.ask(|| Some(closed)).await, Err(NoAnswer::Stopped));
        assert_eq!(pending.ask(|| None).await, Err(NoAnswer::Stopped));
    }

    /// A worker that is busy, and ends with the question.
    #[tokio::test(start_paused = true)]
    async fn a_worker_that_stops_without_an_answer_has_stopped() {
        let pending = Pending::<u32>::new();
        let (answer, answered) = oneshot::channel();
        assert_eq!(pending.ask(|| Some(answered)).await, Err(NoAnswer::Silent));
        drop(answer);
        for _ in 0..3 {
            assert_eq!(pending.ask(|| None).await, Err(NoAnswer::Stopped));
        }
    }
}
