//! Agents: the trait that users implement, and agents that wrap agents.

pub(crate) mod agent_fn;
pub(crate) mod checked;
pub mod layers;
pub(crate) mod router;
pub(crate) mod typed;

use std::future::Future;
use std::sync::Arc;

#[cfg(feature = "schema")]
use agent_core::MetadataSchema;
use agent_core::{Answer, EndedJob, Job, JobError, JobResult};
use agent_rtc::BoxFuture;

use crate::job::context::JobContext;

/// Handles jobs. One agent serves all concurrent jobs of a worker, so shared state goes into `self`.
///
/// Any `async fn(JobContext) -> JobResult`, and any such [closure](crate::guide::closures) that can be
/// cloned, is an agent. A type implements the trait to choose which jobs to accept, to be notified of their
/// outcome, or to have state, which the tasks and callbacks of a job share by cloning one [`Arc`]:
///
/// ```
/// use agent_worker::{Agent, Answer, EndedJob, Job, JobContext, JobResult};
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// #[derive(Default)]
/// struct Counter {
///     succeeded: AtomicUsize,
/// }
///
/// impl Agent for Counter {
///     async fn on_request(&self, job: &Job) -> Answer {
///         if job.room.name.starts_with("private-") { Answer::Decline } else { Answer::accept().name("Counter") }
///     }
///
///     async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
///         let counter = self.clone();
///         ctx.on_cleanup(async move |ctx| {
///             tracing::info!("{} after {:?}", ctx.job().id, counter.succeeded);
///         });
///         ctx.cancelled().await;
///         Ok(())
///     }
///
///     async fn on_ended(&self, ended: &EndedJob) {
///         if ended.outcome.is_success() {
///             self.succeeded.fetch_add(1, Ordering::Relaxed);
///         }
///     }
/// }
/// ```
#[doc(alias = "entrypoint")]
#[doc(alias = "entrypoint_fnc")]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an agent",
    label = "neither an `async fn(JobContext) -> JobResult` nor a type with `impl Agent`",
    note = "a function: `async fn greet(ctx: JobContext) -> JobResult {{ … Ok(()) }}`",
    note = "a closure, whose state can be cloned: `async move |ctx: JobContext| {{ … Ok(()) }}`",
    note = "a function that returns another `Result<(), E>`: `agent_fn(greet)`"
)]
pub trait Agent: Send + Sync + 'static {
    /// Whether to accept a job, and the identity to join its room with. Without an answer within the answer
    /// timeout (1 s unless set), and after a panic, the job is declined: the server offers it to another
    /// worker.
    #[doc(alias = "request_fnc")]
    fn on_request(&self, job: &Job) -> impl Future<Output = Answer> + Send {
        let _ = job;
        async { Answer::accept() }
    }

    /// Checks an assigned job before its room is joined. An error ends the job as failed, without a call of
    /// [`run`](Self::run). It must not block. An agent that wraps another one forwards this, too.
    ///
    /// # Errors
    /// What is wrong with the job, preferably as [`JobError::invalid`](crate::JobError::invalid).
    fn check(&self, job: &Job) -> JobResult {
        let _ = job;
        Ok(())
    }

    /// Runs the job. Returning ends it: `Ok` is reported to the server as success, an error or a panic as
    /// failure with its text. After a retryable error it may be called again for the same job, see
    /// [`RetryPolicy`](crate::RetryPolicy), but never concurrently.
    fn run(self: Arc<Self>, ctx: JobContext) -> impl Future<Output = JobResult> + Send;

    /// The schema of the agent's metadata, for [`Router::schema`](crate::Router::schema); `None` if unknown.
    /// An agent that wraps another one forwards this, too.
    #[cfg(feature = "schema")]
    fn metadata_schema(&self) -> Option<MetadataSchema> {
        None
    }

    /// Called exactly once for each assigned job, when its outcome is decided.
    fn on_ended(&self, ended: &EndedJob) -> impl Future<Output = ()> + Send {
        let _ = ended;
        async {}
    }
}

/// A function or closure; each job gets a clone of it.
impl<F, Fut> Agent for F
where
    F: FnOnce(JobContext) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = JobResult> + Send,
{
    fn run(self: Arc<Self>, ctx: JobContext) -> impl Future<Output = JobResult> + Send {
        F::clone(&self)(ctx)
    }
}

/// One agent for several workers, for example one for each kind of job, with shared state.
impl<A: Agent> Agent for Arc<A> {
    fn on_request(&self, job: &Job) -> impl Future<Output = Answer> + Send {
        A::on_request(self, job)
    }

    fn check(&self, job: &Job) -> JobResult {
        A::check(self, job)
    }

    #[cfg(feature = "schema")]
    fn metadata_schema(&self) -> Option<MetadataSchema> {
        A::metadata_schema(self)
    }

    fn run(self: Arc<Self>, ctx: JobContext) -> impl Future<Output = JobResult> + Send {
        A::run(Self::clone(&self), ctx)
    }

    fn on_ended(&self, ended: &EndedJob) -> impl Future<Output = ()> + Send {
        A::on_ended(self, ended)
    }
}

/// An [`Agent`] with its type erased.
pub(crate) trait AnyAgent: Send + Sync + 'static {
    fn on_request<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Answer>;
    fn check(&self, job: &Job) -> JobResult;
    fn run(self: Arc<Self>, ctx: JobContext) -> BoxFuture<'static, JobResult>;
    #[cfg(feature = "schema")]
    fn metadata_schema(&self) -> Option<MetadataSchema> {
        None
    }
    /// Decides the kind of an error that `?` converted.
    fn classify(&self, error: JobError) -> JobError {
        error
    }
    /// An offer was answered without a call of [`on_request`](Self::on_request), as its job is invalid.
    fn on_dismissed(&self) {}
    fn on_ended<'a>(&'a self, ended: &'a EndedJob) -> BoxFuture<'a, ()>;
}

impl<A: Agent> AnyAgent for A {
    fn on_request<'a>(&'a self, job: &'a Job) -> BoxFuture<'a, Answer> {
        Box::pin(Agent::on_request(self, job))
    }

    fn check(&self, job: &Job) -> JobResult {
        Agent::check(self, job)
    }

    fn run(self: Arc<Self>, ctx: JobContext) -> BoxFuture<'static, JobResult> {
        Box::pin(Agent::run(self, ctx))
    }

    #[cfg(feature = "schema")]
    fn metadata_schema(&self) -> Option<MetadataSchema> {
        Agent::metadata_schema(self)
    }

    fn on_ended<'a>(&'a self, ended: &'a EndedJob) -> BoxFuture<'a, ()> {
        Box::pin(Agent::on_ended(self, ended))
    }
}
