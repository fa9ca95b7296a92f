//! A dispatched job and its outcome.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};

use agent_server::Hub;
use agent_server::{DeleteDispatch, RecordedStatus, ServerEvent};
use agent_worker::Outcome;

use super::order::Order;
use super::room::MockRoom;
use super::timeline::Timeline;

/// The timeout of [`MockJob::outcome`].
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(30);

/// A job that was dispatched with [`MockServer::dispatch`](crate::MockServer::dispatch).
pub struct MockJob {
    pub(super) hub: Arc<Hub>,
    pub(super) order: Order,
    pub(super) room: String,
    pub(super) dispatch: String,
    /// The participant whose job this is, if its dispatch makes several.
    pub(super) target: Option<String>,
    pub(super) panics: Mutex<Panics>,
}

/// The panics of scripts.
pub(super) type Panics = mpsc::UnboundedReceiver<Box<dyn Any + Send>>;

/// Why a job has no outcome. The text, which `unwrap` prints, contains the whole timeline.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoOutcome {
    /// No worker accepted the job.
    #[error("no worker accepted the job: {reason}\n{timeline}")]
    Unserved {
        /// The reason.
        reason: String,
        /// The events on the server.
        timeline: Timeline,
    },
    /// The job did not end in time.
    #[error("the job has not ended within {within:?}\n{timeline}")]
    TimedOut {
        /// The timeout.
        within: Duration,
        /// The events on the server.
        timeline: Timeline,
    },
}

impl fmt::Debug for NoOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl MockJob {
    /// The dispatch's id (`AD_…`).
    #[must_use]
    pub fn dispatch_id(&self) -> &str {
        &self.dispatch
    }

    /// The job's room.
    #[must_use]
    pub fn room(&self) -> MockRoom {
        MockRoom::new(self.hub.clone(), self.order.clone(), &self.room)
    }

    /// The job's id (`AJ_…`), once it was offered to a worker.
    pub async fn job_id(&self) -> String {
        self.hub.find(|event| self.offered(event)).await
    }

    /// The id of this job, if the event is its offer.
    fn offered(&self, event: &ServerEvent) -> Option<String> {
        let ServerEvent::Offered { job_id, dispatch_id, .. } = event else { return None };
        let is_ours = *dispatch_id == self.dispatch
            && self.target.as_ref().is_none_or(|target| {
                self.hub.inspect(|server| server.target_of(job_id)).as_ref() == Some(target)
            });
        is_ours.then(|| job_id.clone())
    }

    /// Whether a worker accepted the job, and got it.
    pub(super) fn was_assigned(&self) -> bool {
        let log = self.hub.log();
        let Some(id) = log.iter().find_map(|(_, event)| self.offered(event)) else { return false };
        log.iter().any(|(_, event)| matches!(event, ServerEvent::Assigned { job_id, .. } if *job_id == id))
    }

    /// Waits up to 30 s for the end of the job, as the server records it. If a dispatch to participants makes
    /// several jobs, this is that of the [target](crate::JobSpec::for_participant), or else the first one.
    ///
    /// # Errors
    /// [`NoOutcome`] if no worker accepts the job or it does not end in time; its text contains the timeline.
    ///
    /// # Panics
    /// With the panic of a script of the job, if one has panicked.
    pub async fn outcome(&self) -> Result<Outcome, NoOutcome> {
        self.outcome_within(OUTCOME_TIMEOUT).await
    }

    /// As [`outcome`](Self::outcome), with this timeout.
    ///
    /// # Errors
    /// As [`outcome`](Self::outcome).
    pub async fn outcome_within(&self, within: Duration) -> Result<Outcome, NoOutcome> {
        let mut job = None;
        let end = |event: &ServerEvent| match event {
            ServerEvent::Offered { .. } => {
                job = job.take().or_else(|| self.offered(event));
                None
            }
            ServerEvent::Unserved { dispatch_id, reason, .. } if *dispatch_id == self.dispatch => {
                Some(Err(reason.clone()))
            }
            ServerEvent::Ended { job_id, status, error, .. } if job.as_ref() == Some(job_id) => {
                Some(Ok(match status {
                    RecordedStatus::Success => Outcome::Success,
                    RecordedStatus::Failed => Outcome::Failed { error: error.clone() },
                }))
            }
            _ => None,
        };
        let ended = tokio::time::timeout(within, self.hub.find(end));
        let mut panics = self.panics.lock().await;
        let ended = tokio::select! {
            biased;
            Some(panic) = panics.recv() => std::panic::resume_unwind(panic),
            ended = ended => ended,
        };
        match ended {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(reason)) => Err(NoOutcome::Unserved { reason, timeline: self.timeline() }),
            Err(_) => Err(NoOutcome::TimedOut { within, timeline: self.timeline() }),
        }
    }

    /// Deletes the dispatch: the server ends its jobs as a success, and removes their agents 3 s later. A job
    /// that no worker has accepted yet is not affected and runs: wait for a sign of it first.
    pub fn terminate(&self) {
        let (room, id) = (self.room.clone(), self.dispatch.clone());
        let _ = self.hub.call(DeleteDispatch { room, id });
    }

    /// All events on the server so far.
    #[must_use]
    pub fn timeline(&self) -> Timeline {
        Timeline::of(&self.hub)
    }
}

impl fmt::Debug for MockJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockJob")
            .field("dispatch", &self.dispatch)
            .field("room", &self.room)
            .finish_non_exhaustive()
    }
}
