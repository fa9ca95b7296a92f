//! What a handler does is one span, and its end one line.

use std::borrow::Cow;

use agent_core::{Answer, EndedJob, Job, JobErrorKind, JobResult};
use agent_proto::text::{line, name};
use tokio::time::Instant;
use tracing::Instrument;

use super::layer::Layer;
use crate::{agent::Agent, job::context::JobContext, worker::redact};

/// Puts a handler into a span of its own, within the job's, and says when it begins and how it ended after how long.
#[derive(Clone, Debug)]
pub struct Traced {
    name: Cow<'static, str>,
}

/// An agent with a [`Traced`].
#[derive(Clone, Debug)]
pub struct Observed<A> {
    inner: A,
    name: Cow<'static, str>,
}

impl Traced {
    /// With this name in the span's field `handler`.
    #[must_use]
    pub fn as_(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into() }
    }
}

impl<A: Agent> Layer<A> for Traced {
    type Agent = Observed<A>;

    fn layer(self, inner: A) -> Observed<A> {
        Observed { inner, name: self.name }
    }
}

impl<A: Agent> Agent for Observed<A> {
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
        let handler = async {
            tracing::debug!("handler called");
            let start = Instant::now();
            let result = self.inner.run(ctx).await;
            let duration = start.elapsed();
            match &result {
                Ok(()) => tracing::info!(?duration, "handler returned"),
                Err(error) if *error.kind() == JobErrorKind::Cancelled => {
                    tracing::info!(?duration, "handler was cancelled");
                }
                Err(error) => {
                    let error = redact::shown(error.to_string());
                    tracing::warn!(?duration, "handler failed: {}", line(error));
                }
            }
            result
        };
        handler.instrument(tracing::info_span!("handler", handler = %name(&self.name))).await
    }

    fn on_ended(&self, ended: &EndedJob) -> impl Future<Output = ()> + Send {
        self.inner.on_ended(ended)
    }
}
