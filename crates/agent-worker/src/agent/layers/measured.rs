//! Metrics of handler calls.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::time::Instant;

use agent_core::JobResult;

use super::layer::{Around, AroundHandler};
use crate::agent::Agent;
use crate::job::context::JobContext;
use crate::job::temporary::classified;
use crate::telemetry::{GaugeGuard, process_label, table};
use crate::worker::stats::kind_label;

/// Records each call of the handler in the histogram `lk_agents_handler_seconds` of the `metrics` facade,
/// with the labels `handler` and `result` (`ok`, or the kind of the error), and counts running calls in the
/// gauge `lk_agents_handlers_running`: for example for the handlers of a [`Router`](crate::Router). The
/// [guide](crate::guide::metrics) lists what every worker records without it.
///
/// A call that is aborted, or panics, has the result `dropped`.
#[derive(Clone, Debug)]
pub struct Measured {
    name: Cow<'static, str>,
}

/// An agent with the layer [`Measured`].
pub type MeasuredAgent<A> = Around<A, Measured>;

impl Measured {
    /// Records under this value of the label `handler`. At most 64 different names are kept; further ones
    /// become `other`.
    #[must_use]
    pub fn named(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: process_label(name) }
    }
}

/// Records the call on drop, however it ends.
struct Call {
    name: Cow<'static, str>,
    start: Instant,
    result: &'static str,
    _running: GaugeGuard,
}

impl Call {
    fn begin(name: Cow<'static, str>) -> Self {
        let running = GaugeGuard::new(table::HANDLERS_RUNNING.gauge_with([name.clone().into()]));
        Self { name, start: Instant::now(), result: "dropped", _running: running }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        table::HANDLER
            .histogram_with([self.name.clone().into(), self.result.into()])
            .record(self.start.elapsed());
    }
}

impl AroundHandler for Measured {
    async fn run<A: Agent>(&self, inner: Arc<A>, ctx: JobContext) -> JobResult {
        let mut call = Call::begin(self.name.clone());
        let result = inner.run(ctx).await.map_err(classified);
        call.result = match &result {
            Ok(()) => "ok",
            Err(error) => kind_label(error.kind()),
        };
        result
    }
}
