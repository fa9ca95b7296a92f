//! The user's own functions beside the agent's.

use std::error::Error;
use std::sync::Arc;

use agent_core::{Job, JobErrorKind, Lifecycle};

use crate::worker::builder::WorkerBuilder;
use crate::worker::failure::FailedJob;
use crate::worker::redact::Redaction;

impl WorkerBuilder {
    /// Called with each lifecycle state that a job reaches. Keep it short: it runs on the worker's own task.
    pub fn on_lifecycle(mut self, hook: impl Fn(&Job, Lifecycle) + Send + Sync + 'static) -> Self {
        self.settings.hooks.on_lifecycle = Some(Arc::new(hook));
        self
    }

    /// Called with each job that has failed for good, when the server has been told: a place to keep it, and
    /// to dispatch it again later. It runs on a task of its own, and may take 10 s.
    ///
    /// ```
    /// # async fn agent(_: agent_worker::JobContext) -> agent_worker::JobResult { Ok(()) }
    /// use agent_worker::Worker;
    ///
    /// let builder = Worker::builder(agent).on_failure(|failed| async move {
    ///     let (id, attempts) = (&failed.job.id, failed.attempts);
    ///     eprintln!("{id} failed after {attempts} attempts ({}): {}", failed.reason(), failed.error);
    /// });
    /// ```
    pub fn on_failure<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(FailedJob) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.settings.hooks.on_failure = Some(Arc::new(move |failed| Box::pin(hook(failed))));
        self
    }

    /// Decides what others may see of an error's text: what the function returns is sent to the server and
    /// written to the log, for the errors that handlers return, what is wrong with a job's metadata, and
    /// panics. As it is, unless set, and at most 4,096 bytes of it.
    ///
    /// An error may hold what a customer has said, and the server shows it to everybody who may see the job.
    /// The [failure hook](Self::on_failure) still gets the original text, and the kind of the error, which
    /// says why metadata is invalid; [`Agent::on_ended`](crate::Agent::on_ended) gets the text that the
    /// server was sent. What a program logs itself is its own.
    ///
    /// ```
    /// use agent_worker::{JobContext, JobResult, Worker};
    ///
    /// async fn call(_: JobContext) -> JobResult {
    ///     Err("no answer from +49 30 901820".into())
    /// }
    ///
    /// let without_digits = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "#");
    /// let worker = Worker::builder(call).redact_errors(without_digits);
    /// # let _ = worker;
    /// ```
    pub fn redact_errors(mut self, redact: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        self.settings.hooks.redaction = Redaction::new(redact);
        self
    }

    /// Decides what kind of failure an error is that a handler returned with `?`. The rule is asked of the
    /// error and of each one behind it, the outer first; `None` leaves it to the next, and at last to
    /// [`classify`](crate::job::classify).
    ///
    /// ```
    /// # use agent_worker::{JobContext, JobResult};
    /// use agent_worker::{JobErrorKind, Worker};
    /// use std::time::Duration;
    ///
    /// # async fn agent(_: JobContext) -> JobResult { Ok(()) }
    /// # #[derive(Debug, thiserror::Error)]
    /// # #[error("busy")]
    /// # struct Busy;
    /// let worker = Worker::builder(agent).classify(|error| {
    ///     error.is::<Busy>().then_some(JobErrorKind::Retryable { after: Duration::from_secs(30) })
    /// });
    /// # let _ = worker;
    /// ```
    pub fn classify(
        mut self,
        rule: impl Fn(&(dyn Error + 'static)) -> Option<JobErrorKind> + Send + Sync + 'static,
    ) -> Self {
        self.checks.classify = Some(Arc::new(rule));
        self
    }
}
