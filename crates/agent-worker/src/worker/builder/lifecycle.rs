//! How long jobs and their ends may take, and when they are retried.

use std::time::Duration;

use agent_core::{EndWhen, RetryPolicy};

use crate::worker::builder::WorkerBuilder;

impl WorkerBuilder {
    /// How long a job may run, from its assignment, with all its attempts and the waits between them; as long
    /// as it likes unless this or [`max_job_timeout`](Self::max_job_timeout) is set. A number of seconds in
    /// the job's metadata, as `timeout`, wins over it. A job over its time is cancelled with
    /// [`Deadline`](crate::CancelReason::Deadline), and fails as `job_timeout` whatever its handler then
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

    /// The longest time that a job's metadata may ask for. With this alone, a job that asks for nothing may
    /// run for 5 minutes ([`DEFAULT_JOB_TIMEOUT`](crate::job::DEFAULT_JOB_TIMEOUT)).
    pub fn max_job_timeout(mut self, limit: Duration) -> Self {
        self.settings.rules.max_job_timeout = Some(limit);
        self
    }

    /// How a job is tried again after an error that is worth it: unless set, up to 3 attempts in all, with a
    /// growing random wait between them. See [`RetryPolicy`]; [`RetryPolicy::never`] turns it off.
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

    /// When a job is over because of who is in its room. Unless set: a room job 10 s after the last person
    /// left, a participant or publisher job 10 s after its participant left or when that one is back in
    /// another session ([`EndWhen::TargetLeft`]). Earlier where the room's own timeouts ask for it, so that
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

    /// How long a cancelled handler may take to return before it is aborted; 10 s unless set.
    #[doc(alias = "shutdown_process_timeout")]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.rules.grace = grace;
        self
    }

    /// How soon after its assignment an outcome counts as settled; 500 ms unless set. An earlier one is sent
    /// twice, since a server may not know of its own assignment yet.
    pub fn settling(mut self, time: Duration) -> Self {
        self.settings.rules.settling = time;
        self
    }

    /// How long the cleanup of an attempt may take, all its [callbacks](crate::JobContext::on_cleanup)
    /// together; 10 s unless set. While the worker drains it may get less: the drain does not wait longer for
    /// a cleanup than for its handler.
    ///
    /// Each callback may take an equal share of what is left: of three callbacks the first one that runs may
    /// take a third, and the last one all that the others did not need. One that takes longer is dropped.
    pub fn cleanup_timeout(mut self, limit: Duration) -> Self {
        self.settings.rules.cleanup_timeout = limit;
        self
    }

    /// How long one [cleanup callback](crate::JobContext::on_cleanup) may take at most; its share of
    /// [`cleanup_timeout`](Self::cleanup_timeout) unless set, and never more than that.
    pub fn cleanup_callback_timeout(mut self, limit: Duration) -> Self {
        self.settings.rules.cleanup_callback_timeout = Some(limit);
        self
    }

    /// How long [`run_until_signal`](crate::Worker::run_until_signal) and
    /// [`run_until`](crate::Worker::run_until) let jobs go on when they drain; 1 h unless set.
    pub fn drain_timeout(mut self, limit: Duration) -> Self {
        self.settings.drain_timeout = limit;
        self
    }
}
