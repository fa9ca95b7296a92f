//! A span and log lines for handler calls.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::time::Instant;
use tracing::Instrument;

use agent_core::{JobErrorKind, JobResult};
use agent_proto::text::{line, name};

use super::layer::{Around, AroundHandler};
use crate::agent::Agent;
use crate::job::context::JobContext;
use crate::worker::redact;

/// Runs a handler in its own span, within the job's, and logs its start, end and duration.
#[derive(Clone, Debug)]
pub struct Traced {
    name: Cow<'static, str>,
}

/// An agent with the layer [`Traced`].
pub type TracedAgent<A> = Around<A, Traced>;

impl Traced {
    /// Uses this name as the span's field `handler`.
    #[must_use]
    pub fn named(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into() }
    }
}

impl AroundHandler for Traced {
    async fn run<A: Agent>(&self, inner: Arc<A>, ctx: JobContext) -> JobResult {
        let handler = async {
            tracing::debug!("handler called");
            let start = Instant::now();
            let result = inner.run(ctx).await;
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
}
