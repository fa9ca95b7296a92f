//! Handlers with another error type.

use std::future::Future;

use agent_core::{JobError, JobResult};

use crate::agent::Agent;
use crate::job::context::JobContext;

/// Makes an agent of a handler that returns any `Result<(), E>` whose error becomes a [`JobError`]:
/// `anyhow::Result<()>`, `std::io::Result<()>`, or one with your own error. Its error is classified like an
/// error behind `?`.
///
/// A handler that returns [`JobResult`] is an agent without it. Handlers with any error cannot be agents
/// directly, as the compiler could not infer the type of `Ok(())` in a closure then.
/// The [guide](crate::guide::closures) has more on closures and their errors.
///
/// ```
/// use agent_worker::{JobContext, Outcome, agent_fn};
/// # use agent_testkit::{JobSpec, run_job};
///
/// async fn reads(_: JobContext) -> std::io::Result<()> {
///     std::fs::read("/no/such/file")?;
///     Ok(())
/// }
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # runtime.block_on(async {
/// let run = run_job(agent_fn(reads), JobSpec::room("lobby")).await;
/// assert!(run.outcome.error().is_some_and(|error| error.starts_with("No such file")));
/// # });
/// ```
///
/// For anything else, the compiler's error shows how an agent looks:
///
/// ```compile_fail,E0277
/// let worker = agent_worker::Worker::builder("greet");
/// ```
pub fn agent_fn<F, Fut, E>(handler: F) -> impl Agent
where
    F: FnOnce(JobContext) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), E>> + Send,
    E: Into<JobError>,
{
    async move |ctx: JobContext| handler(ctx).await.map_err(Into::into) as JobResult
}
