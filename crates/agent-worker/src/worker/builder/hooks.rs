//! The user's callbacks beside the agent's.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use agent_core::{BoxError, Job, JobErrorKind, Lifecycle};

use crate::worker::builder::WorkerBuilder;
use crate::worker::failure::FailedJob;
use crate::worker::redact::Redaction;

/// Time limit of the start hook, unless set.
const START_TIMEOUT: Duration = Duration::from_secs(300);

impl WorkerBuilder {
    /// Runs once when the worker starts, before it connects: loads a model, opens a pool, tests what the jobs
    /// depend on. Until it has returned, the worker is not [ready](crate::guide::health) and gets no job.
    ///
    /// If it fails, panics, or takes longer than the [start timeout](Self::start_timeout), the worker ends
    /// with [`StopError::NotPrepared`](crate::net::StopError::NotPrepared). A drain, a stop or a signal drops
    /// it. What it loads is shared with the agent by the program:
    ///
    /// ```
    /// use agent_worker::{JobContext, Worker};
    /// use std::sync::{Arc, OnceLock};
    ///
    /// # struct Model;
    /// # impl Model { async fn load() -> std::io::Result<Self> { Ok(Self) } }
    /// let model: Arc<OnceLock<Model>> = Arc::default();
    /// let loaded = Arc::clone(&model);
    /// let agent = move |_ctx: JobContext| {
    ///     let model = Arc::clone(&model);
    ///     async move {
    ///         let _model = model.get().ok_or("it is loaded before any job")?;
    ///         Ok(())
    ///     }
    /// };
    /// let builder = Worker::builder(agent).on_start(async move || {
    ///     let _ = loaded.set(Model::load().await?);
    ///     Ok(())
    /// });
    /// # let _ = builder;
    /// ```
    pub fn on_start<F, Fut>(mut self, hook: F) -> Self
    where
        F: FnOnce() -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.settings.hooks.on_start = Some(Arc::new(move || Box::pin(hook.clone()())));
        self.settings.rules.start_timeout.get_or_insert(START_TIMEOUT);
        self
    }

    /// How long the [start hook](Self::on_start) may take; 5 minutes unless set.
    #[doc(alias = "initialize_process_timeout")]
    pub fn start_timeout(mut self, limit: Duration) -> Self {
        self.settings.rules.start_timeout = Some(limit);
        self
    }

    /// Called with each lifecycle state that a job reaches. Must not block: it runs on the worker's task.
    pub fn on_lifecycle(mut self, hook: impl Fn(&Job, Lifecycle) + Send + Sync + 'static) -> Self {
        self.settings.hooks.on_lifecycle = Some(Arc::new(hook));
        self
    }

    /// Called with each permanently failed job, after its outcome was reported: a dead-letter callback, to
    /// store the job or dispatch it again later. It runs on its own task, for at most 10 s.
    ///
    /// ```
    /// # async fn agent(_: agent_worker::JobContext) -> agent_worker::JobResult { Ok(()) }
    /// use agent_worker::Worker;
    ///
    /// let builder = Worker::builder(agent).on_failure(async |failed| {
    ///     let (id, attempts) = (&failed.job.id, failed.attempts);
    ///     eprintln!("{id} failed after {attempts} attempts ({}): {}", failed.reason(), failed.error);
    /// });
    /// ```
    pub fn on_failure<F, Fut>(mut self, hook: F) -> Self
    where
        F: FnOnce(FailedJob) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.settings.hooks.on_failure = Some(Arc::new(move |failed| Box::pin(hook.clone()(failed))));
        self
    }

    /// Redacts error texts: what the function returns is sent to the server and logged, for errors that
    /// handlers return, errors in a job's metadata, and panics. Unless set, texts are unchanged. At most
    /// 4,096 bytes are used.
    ///
    /// An error may contain a customer's data, and the server shows it to everyone who can see the job. The
    /// [failure hook](Self::on_failure) still gets the original text, and the error kind with the details of
    /// invalid metadata; [`Agent::on_ended`](crate::Agent::on_ended) gets the text that was sent to the
    /// server. The program's own log lines are not redacted.
    ///
    /// A panic of a handler, or of another part of the agent, is logged with its redacted text, on one line;
    /// a program that has no log at all writes that line to the standard error.
    /// The standard library, which would write the original text to the standard error, does not see it; its
    /// backtrace is written if `RUST_BACKTRACE` asks for one. What the handler catches itself, as in
    /// `catch_unwind` or a `LocalSet`, is not written at all. A
    /// [panic hook](std::panic::set_hook) of the program does, if it was set before the first worker runs;
    /// one that is set later replaces this rule, and calls the one before it or not. Panics of tasks and
    /// threads that the program starts itself, and of a room's RPC methods, are written as usual.
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

    /// Decides the kind of an error that a handler returned with `?`. The rule is called with the error and
    /// each of its sources, the outermost first; `None` continues with the next one, and finally with
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
