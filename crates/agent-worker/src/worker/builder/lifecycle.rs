//! Time limits and retries of jobs.

use std::time::Duration;

use agent_core::{EndWhen, RetryPolicy};

use crate::worker::builder::WorkerBuilder;

impl WorkerBuilder {
    /// Time limit of a job, from its assignment, including all its attempts and the backoffs between them;
    /// unlimited unless this or [`max_job_timeout`](Self::max_job_timeout) is set. The field `timeout` of the
    /// job's metadata, in seconds, overrides it. A job that exceeds it is cancelled with
    /// [`Deadline`](crate::CancelReason::Deadline), and fails as `job_timeout`, whatever its handler then
    /// returns.
    ///
    /// ```
    /// # async fn agent(_: agent_worker::JobContext) -> agent_worker::JobResult { Ok(()) }
    /// use agent_worker::{Worker, job::DEFAULT_JOB_TIMEOUT};
    /// use std::time::Duration;
    ///
    /// let builder = Worker::builder(agent)
    ///     .job_timeout(DEFAULT_JOB_TIMEOUT) // 5 minutes; `{"timeout": 600}` asks for ten
    ///     .max_job_timeout(Duration::from_secs(3600)); // and `{"timeout": 86400}` gets an hour
    /// ```
    pub fn job_timeout(mut self, limit: Duration) -> Self {
        self.settings.rules.job_timeout = Some(limit);
        self
    }

    /// Maximum of the time limit in a job's metadata. With this alone, a job without a limit in its metadata
    /// may run for 5 minutes ([`DEFAULT_JOB_TIMEOUT`](crate::job::DEFAULT_JOB_TIMEOUT)).
    pub fn max_job_timeout(mut self, limit: Duration) -> Self {
        self.settings.rules.max_job_timeout = Some(limit);
        self
    }

    /// How a job is retried after a retryable error: unless set, up to 3 attempts in total, with exponential
    /// backoff and jitter. See [`RetryPolicy`]; [`RetryPolicy::never`] disables retries.
    ///
    /// ```
    /// use agent_worker::{JobContext, JobError, JobResult, RetryPolicy, Worker};
    /// use std::time::Duration;
    ///
    /// async fn agent(ctx: JobContext) -> JobResult {
    ///     if ctx.attempt() < 2 {
    ///         return Err(JobError::retryable("the model is still loading", Duration::from_secs(2)));
    ///     }
    ///     Ok(())
    /// }
    ///
    /// let builder = Worker::builder(agent).retry(
    ///     RetryPolicy::attempts(5)
    ///         .backoff(Duration::from_millis(500), Duration::from_secs(30))
    ///         .budget(Duration::from_secs(600)),
    /// );
    /// ```
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.settings.rules.retry = policy;
        self
    }

    /// When a job ends because participants have left. Unless set: a room job 10 s after the last person
    /// left, a participant or publisher job 10 s after its participant left, or when that participant is back
    /// in another session ([`EndWhen::TargetLeft`]). Earlier if the room's own timeouts require it, so that
    /// the server records the job's outcome: see [`EndWhen`].
    ///
    /// The job is then cancelled as [`Shutdown`](crate::CancelReason::Shutdown) or
    /// [`TargetReplaced`](crate::CancelReason::TargetReplaced), and ends in success if its handler returns
    /// within its grace.
    pub fn end_when(mut self, policy: EndWhen) -> Self {
        self.settings.rules.end_when = policy;
        self
    }

    /// How long a handler that has called [`progress`](crate::JobContext::progress) may be silent before the
    /// log warns; 60 s unless set.
    pub fn stale_after(mut self, limit: Duration) -> Self {
        self.settings.rules.stale_after = limit;
        self
    }

    /// How long code of a job may block its thread before the log warns, with what it is and of which job,
    /// while it does; 1 s unless set, [`Duration::MAX`] for never. A blocked thread runs no other job: a
    /// handler blocks it as long as it does not await. The metric is `lk_agents_blocked_threads_total`.
    pub fn blocked_after(mut self, limit: Duration) -> Self {
        self.settings.blocked_after = limit;
        self
    }

    /// How long a cancelled handler may take to return before it is aborted; 10 s unless set.
    #[doc(alias = "shutdown_process_timeout")]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.rules.grace = grace;
        self
    }

    /// Minimum time from an assignment to a settled outcome; 500 ms unless set. An earlier outcome is sent
    /// twice, as the server may not have recorded its assignment yet.
    pub fn settling(mut self, time: Duration) -> Self {
        self.settings.rules.settling = time;
        self
    }

    /// Time limit of an attempt's cleanup, for all [callbacks](crate::JobContext::on_cleanup) together; 10 s
    /// unless set. It may be shorter while the worker drains: the drain does not wait longer for a cleanup
    /// than for its handler.
    ///
    /// Each callback may take an equal share of the remaining time: of three callbacks the first may take a
    /// third, and the last one all the time that the others did not use. A callback that takes longer is
    /// dropped.
    pub fn cleanup_timeout(mut self, limit: Duration) -> Self {
        self.settings.rules.cleanup_timeout = limit;
        self
    }

    /// Time limit of one [cleanup callback](crate::JobContext::on_cleanup); unless set, its share of
    /// [`cleanup_timeout`](Self::cleanup_timeout), which also caps it.
    pub fn cleanup_callback_timeout(mut self, limit: Duration) -> Self {
        self.settings.rules.cleanup_callback_timeout = Some(limit);
        self
    }

    /// How long [`run_until_signal`](crate::Worker::run_until_signal) and
    /// [`run_until`](crate::Worker::run_until) let jobs continue when they drain; 1 h unless set.
    pub fn drain_timeout(mut self, limit: Duration) -> Self {
        self.settings.drain_timeout = limit;
        self
    }
}
