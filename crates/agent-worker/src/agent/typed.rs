//! Handlers with typed metadata.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use agent_core::{Job, JobResult, MetadataFormat};

use crate::agent::Agent;
use crate::job::context::JobContext;

/// A handler with typed metadata, from [`typed`].
pub struct Typed<T, F> {
    format: MetadataFormat<T>,
    handler: F,
}

/// Makes an agent of a handler with typed metadata. Invalid metadata ends the job as `invalid_input` before
/// the room is joined.
///
/// ```
/// use agent_worker::{JobContext, JobResult, Router, metadata::MetadataFormat, typed};
///
/// #[derive(Default, serde::Deserialize)]
/// struct Greeting { name: String }
///
/// async fn greet(ctx: JobContext, greeting: Greeting) -> JobResult {
///     ctx.room().publish_data("chat", format!("Hello, {}!", greeting.name)).await?;
///     Ok(())
/// }
///
/// let agent = Router::new().action("greet", typed(MetadataFormat::or_default(), greet));
/// # let _ = agent;
/// ```
pub fn typed<T, F, Fut>(format: MetadataFormat<T>, handler: F) -> Typed<T, F>
where
    T: DeserializeOwned + Send + 'static,
    F: FnOnce(JobContext, T) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = JobResult> + Send,
{
    Typed { format, handler }
}

impl<T, F, Fut> Agent for Typed<T, F>
where
    T: DeserializeOwned + Send + 'static,
    F: FnOnce(JobContext, T) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = JobResult> + Send,
{
    fn check(&self, job: &Job) -> JobResult {
        self.format.parse(&job.raw_metadata)?;
        Ok(())
    }

    #[cfg(feature = "schema")]
    fn metadata_schema(&self) -> Option<agent_core::MetadataSchema> {
        self.format.schema()
    }

    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        let metadata = self.format.parse(&ctx.job().raw_metadata)?;
        let handler = self.handler.clone();
        handler(ctx, metadata).await
    }
}

impl<T, F> fmt::Debug for Typed<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed").field("format", &self.format).finish_non_exhaustive()
    }
}
