//! A handler has so long.

use std::time::Duration;

use agent_core::{JobError, JobResult};

use super::layer::{Around, AroundHandler};
use crate::agent::Agent;
use crate::job::context::JobContext;

/// Drops a handler that takes longer, and fails its job as `job_timeout`.
///
/// Unlike the worker's own [`job_timeout`](crate::WorkerBuilder::job_timeout) it counts from the moment at
/// which the handler is called, for one attempt, and gives no grace: it can bound a part of an agent that has
/// several.
#[derive(Clone, Copy, Debug)]
pub struct Timeout {
    after: Duration,
}

/// An agent with a [`Timeout`].
pub type TimeoutAgent<A> = Around<A, Timeout>;

impl Timeout {
    /// After so long.
    #[must_use]
    pub const fn after(after: Duration) -> Self {
        Self { after }
    }
}

impl AroundHandler for Timeout {
    async fn run<A: Agent>(&self, inner: &A, ctx: JobContext) -> JobResult {
        match tokio::time::timeout(self.after, inner.run(ctx)).await {
            Ok(result) => result,
            Err(_) => Err(JobError::fatal("job_timeout")
                .with_source(format!("the handler took longer than {:?}", self.after))),
        }
    }
}
