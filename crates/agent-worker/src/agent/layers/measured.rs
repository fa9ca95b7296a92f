//! How long handlers take, for the `metrics` facade.

use std::borrow::Cow;

use agent_core::{Answer, EndedJob, Job, JobResult};
use tokio::time::Instant;

use super::layer::Layer;
use crate::{
    agent::Agent,
    job::{context::JobContext, temporary::classified},
    telemetry::{Held, process_word, table},
    worker::stats::kind_label,
};

/// Records each call of the handler in the histogram `lk_agents_handler_seconds` of the `metrics` facade, with the labels `handler` and
/// `result` (`ok`, or the kind of the error), and counts those that run in the gauge `lk_agents_handlers_running`: for the handlers of
/// a [`Router`](crate::Router), for one. What every worker records without it is in the [guide](crate::guide::metrics).
///
/// A call that is aborted, or panics, has the result `dropped`.
#[derive(Clone, Debug)]
pub struct Measured {
    name: Cow<'static, str>,
}

/// An agent with a [`Measured`].
#[derive(Clone, Debug)]
pub struct Metered<A> {
    inner: A,
    name: Cow<'static, str>,
}

impl Measured {
    /// With this name in the label `handler`. A program has few such names: after 64 different ones they are `other`.
    #[must_use]
    pub fn as_(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: process_word(name) }
    }
}

impl<A: Agent> Layer<A> for Measured {
    type Agent = Metered<A>;

    fn layer(self, inner: A) -> Metered<A> {
        Metered { inner, name: self.name }
    }
}

/// Records the call when it is over, however it ends.
struct Call {
    name: Cow<'static, str>,
    start: Instant,
    result: &'static str,
    _running: Held,
}

impl Call {
    fn begin(name: Cow<'static, str>) -> Self {
        let running = Held::new(table::HANDLERS_RUNNING.level([name.clone().into()]));
        Self { name, start: Instant::now(), result: "dropped", _running: running }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        table::HANDLER.times([self.name.clone().into(), self.result.into()]).record(self.start.elapsed());
    }
}

impl<A: Agent> Agent for Metered<A> {
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
        let mut call = Call::begin(self.name.clone());
        let result = self.inner.run(ctx).await.map_err(classified);
        call.result = match &result {
            Ok(()) => "ok",
            Err(error) => kind_label(error.kind()),
        };
        result
    }

    fn on_ended(&self, ended: &EndedJob) -> impl Future<Output = ()> + Send {
        self.inner.on_ended(ended)
    }
}
