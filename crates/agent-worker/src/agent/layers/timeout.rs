//! Time limit for a handler.

use std::sync::Arc;
use std::time::Duration;

use agent_core::{JobError, JobResult};

use super::layer::{Around, AroundHandler};
use crate::agent::Agent;
use crate::job::context::JobContext;

/// Drops a handler that exceeds the limit, and fails its job as `job_timeout`.
///
/// Unlike the worker's own [`job_timeout`](crate::WorkerBuilder::job_timeout) it counts from the call of the
/// handler, for one attempt, and has no grace: it can limit one part of an agent.
#[derive(Clone, Copy, Debug)]
pub struct Timeout {
    after: Duration,
}

/// An agent with the layer [`Timeout`].
pub type TimeoutAgent<A> = Around<A, Timeout>;

impl Timeout {
    /// With this limit.
    #[must_use]
    pub const fn after(after: Duration) -> Self {
        Self { after }
    }
}

impl AroundHandler for Timeout {
    async fn run<A: Agent>(&self, inner: Arc<A>, ctx: JobContext) -> JobResult {
        match tokio::time::timeout(self.after, inner.run(ctx)).await {
            Ok(result) => result,
            Err(_) => Err(JobError::fatal("job_timeout")
                .with_source(format!("the handler took longer than {:?}", self.after))),
        }
    }
}
