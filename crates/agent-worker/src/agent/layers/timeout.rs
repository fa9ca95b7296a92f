//! A handler has so long.

use std::time::Duration;

use agent_core::{Answer, EndedJob, Job, JobError, JobResult};

use super::layer::Layer;
use crate::{agent::Agent, job::context::JobContext};

/// Drops a handler that takes longer, and fails its job as `job_timeout`.
///
/// Unlike the worker's own [`job_timeout`](crate::WorkerBuilder::job_timeout) it counts from the moment at which the handler is called, for one
/// attempt, and gives no grace: it can bound a part of an agent that has several.
#[derive(Clone, Copy, Debug)]
pub struct Timeout {
    after: Duration,
}

/// An agent with a [`Timeout`].
#[derive(Clone, Copy, Debug)]
pub struct Timed<A> {
    inner: A,
    after: Duration,
}

impl Timeout {
    /// After so long.
    #[must_use]
    pub const fn after(after: Duration) -> Self {
        Self { after }
    }
}

impl<A: Agent> Layer<A> for Timeout {
    type Agent = Timed<A>;

    fn layer(self, inner: A) -> Timed<A> {
        Timed { inner, after: self.after }
    }
}

impl<A: Agent> Agent for Timed<A> {
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

    async fn run(&self, ctx: JobContext) -> JobResult {
        match tokio::time::timeout(self.after, self.inner.run(ctx)).await {
            Ok(result) => result,
            Err(_) => Err(JobError::fatal("job_timeout")
                .with_source(format!("the handler took longer than {:?}", self.after))),
        }
    }

    fn on_ended(&self, ended: &EndedJob) -> impl Future<Output = ()> + Send {
        self.inner.on_ended(ended)
    }
}
