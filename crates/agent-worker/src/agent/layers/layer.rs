//! The traits for layers.

use std::fmt;
use std::sync::Arc;

use agent_core::{Answer, EndedJob, Job, JobResult};

use crate::agent::Agent;
use crate::job::context::JobContext;

/// Wraps an agent in another one.
pub trait Layer<A: Agent> {
    /// The wrapped agent.
    type Agent: Agent;

    /// Wraps `inner`.
    fn layer(self, inner: A) -> Self::Agent;
}

/// Adds layers to an agent.
pub trait Layered: Agent + Sized {
    /// Wraps this agent in a layer.
    #[must_use]
    fn layer<L: Layer<Self>>(self, layer: L) -> L::Agent {
        layer.layer(self)
    }
}

impl<A: Agent> Layered for A {}

/// A layer around the handler only: requests, checks and notifications go to the inner agent.
///
/// ```
/// use agent_worker::layers::{AroundHandler, Layered};
/// use agent_worker::{Agent, JobContext, JobResult};
/// use std::sync::Arc;
///
/// /// Sends a greeting before the handler runs.
/// struct Polite;
///
/// impl AroundHandler for Polite {
///     async fn run<A: Agent>(&self, inner: Arc<A>, ctx: JobContext) -> JobResult {
///         ctx.room().publish_data("chat", "hello").await?;
///         inner.run(ctx).await
///     }
/// }
///
/// async fn wait(ctx: JobContext) -> JobResult {
///     ctx.cancelled().await;
///     Ok(())
/// }
///
/// let agent = wait.layer(Polite);
/// # let _ = agent;
/// ```
pub trait AroundHandler: Send + Sync + 'static {
    /// Runs the handler of the inner agent, or not.
    fn run<A: Agent>(&self, inner: Arc<A>, ctx: JobContext) -> impl Future<Output = JobResult> + Send;
}

/// An agent with a layer around its handler.
#[derive(Clone)]
pub struct Around<A, L> {
    inner: Arc<A>,
    layer: L,
}

impl<A: Agent, L: AroundHandler> Layer<A> for L {
    type Agent = Around<A, L>;

    fn layer(self, inner: A) -> Around<A, L> {
        Around { inner: Arc::new(inner), layer: self }
    }
}

impl<A: Agent, L: AroundHandler> Agent for Around<A, L> {
    fn on_request(&self, job: &Job) -> impl Future<Output = Answer> + Send {
        self.inner.on_request(job)
    }

    fn check(&self, job: &Job) -> JobResult {
        self.inner.check(job)
    }

    #[cfg(feature = "schema")]
    fn metadata_schema(&self) -> Option<agent_core::MetadataSchema> {
        self.inner.metadata_schema()
    }

    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        self.layer.run(Arc::clone(&self.inner), ctx).await
    }

    fn on_ended(&self, ended: &EndedJob) -> impl Future<Output = ()> + Send {
        self.inner.on_ended(ended)
    }
}

impl<A, L: fmt::Debug> fmt::Debug for Around<A, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Around").field("layer", &self.layer).finish_non_exhaustive()
    }
}
