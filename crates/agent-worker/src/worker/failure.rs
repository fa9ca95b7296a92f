//! The dead-letter sink: where jobs go that have failed for good.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use agent_core::{EndedJob, Job, JobErrorKind, Outcome};
use agent_rtc::BoxFuture;

use crate::worker::stats::{kind_label, reason_label};

/// Called with each job that has failed for good.
pub(crate) type FailureHook = Arc<dyn Fn(FailedJob) -> BoxFuture<'static, ()> + Send + Sync>;

/// A job that has failed for good: all its attempts are made. See
/// [`WorkerBuilder::on_failure`](crate::WorkerBuilder::on_failure).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct FailedJob {
    /// The job, with its metadata: enough to dispatch it again.
    pub job: Arc<Job>,
    /// What kind of failure it was, the last time.
    pub kind: JobErrorKind,
    /// The text that the server was told; with [`redact_errors`](crate::WorkerBuilder::redact_errors) as it
    /// was before.
    pub error: String,
    /// How many attempts were made; 0 when it failed before its first.
    pub attempts: u32,
    /// From its assignment to its outcome. With the feature `serde` in seconds.
    #[cfg_attr(feature = "serde", serde(with = "agent_proto::seconds"))]
    pub duration: Duration,
    /// How long the last attempt took. With the feature `serde` in seconds.
    #[cfg_attr(feature = "serde", serde(with = "agent_proto::seconds"))]
    pub last_attempt: Duration,
}

impl FailedJob {
    /// `None` when it has not failed. `restore` gives the original of an error's text.
    pub(crate) fn of(ended: &EndedJob, restore: impl FnOnce(&str) -> String) -> Option<Self> {
        match (&ended.outcome, &ended.kind) {
            (Outcome::Failed { error }, Some(kind)) => Some(Self {
                job: Arc::clone(&ended.job),
                kind: kind.clone(),
                error: restore(error),
                attempts: ended.attempts,
                duration: ended.duration,
                last_attempt: ended.last_attempt,
            }),
            _ => None,
        }
    }

    /// The kind of failure in one word: `fatal`, `invalid`, `retryable`, `panicked`, `timed_out` or
    /// `cancelled`.
    #[must_use]
    pub fn kind_label(&self) -> &'static str {
        kind_label(&self.kind)
    }

    /// Why it failed in one word, as the handler gave it: `quota_exceeded`, `job_timeout`, `invalid_input`.
    #[must_use]
    pub fn reason(&self) -> Cow<'static, str> {
        reason_label(&self.kind)
    }
}
