//! The dead-letter callback for permanently failed jobs.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use agent_core::{EndedJob, Job, JobErrorKind, Outcome};
use agent_rtc::BoxFuture;

use crate::worker::stats::{kind_label, reason_label};

/// Called with each permanently failed job.
pub(crate) type FailureHook = Arc<dyn Fn(FailedJob) -> BoxFuture<'static, ()> + Send + Sync>;

/// A job that has failed permanently, after all its attempts. See
/// [`WorkerBuilder::on_failure`](crate::WorkerBuilder::on_failure).
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct FailedJob {
    /// The job, with its metadata: enough to dispatch it again.
    pub job: Arc<Job>,
    /// The kind of the last failure.
    pub kind: JobErrorKind,
    /// The error text that was reported to the server; with
    /// [`redact_errors`](crate::WorkerBuilder::redact_errors), the original text.
    pub error: String,
    /// Number of attempts; 0 if it failed before the first.
    pub attempts: u32,
    /// From its assignment to its outcome. With the feature `serde` in seconds.
    #[cfg_attr(feature = "serde", serde(with = "agent_proto::seconds"))]
    pub duration: Duration,
    /// How long the last attempt took. With the feature `serde` in seconds.
    #[cfg_attr(feature = "serde", serde(with = "agent_proto::seconds"))]
    pub last_attempt: Duration,
}

impl FailedJob {
    /// `None` if the job has not failed. `restore` returns the original of a redacted text.
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

    /// The label of the kind of failure: `fatal`, `invalid`, `retryable`, `panicked`, `timed_out` or
    /// `cancelled`.
    #[must_use]
    pub fn kind_label(&self) -> &'static str {
        kind_label(&self.kind)
    }

    /// The label of the reason, as set by the handler: `quota_exceeded`, `job_timeout`, `invalid_input`.
    #[must_use]
    pub fn reason(&self) -> Cow<'static, str> {
        reason_label(&self.kind)
    }
}
