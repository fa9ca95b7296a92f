//! A pool: a few costly things that jobs share, such as models, connections or licences.
//!
//! ```
//! use agent_worker::{Agent, JobContext, JobResult, patterns::Pool};
//! use std::time::Duration;
//!
//! struct Model;
//! impl Model {
//!     async fn load() -> std::io::Result<Self> { Ok(Self) }
//!     async fn answer(&mut self) -> &'static str { "42" }
//! }
//!
//! struct Oracle { models: Pool<Model> }
//!
//! impl Agent for Oracle {
//!     async fn run(&self, ctx: JobContext) -> JobResult {
//!         let mut model = self.models.acquire_within(Duration::from_secs(2)).await?;
//!         ctx.room().publish_data("answer", model.answer().await).await?;
//!         Ok(())
//!     } // given back here, as it is after a panic, an abort, or `?`
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let models = Pool::bounded(4, || async { Ok(Model::load().await?) });
//! let run = run_job(Oracle { models: models.clone() }, JobSpec::room("lobby")).await;
//! assert_eq!(run.sent[0].text(), "42");
//! assert_eq!(models.free(), 4);
//! # });
//! ```
//!
//! The pool belongs to the agent, not to the job: make it once, clones are the same pool. Nothing is made
//! before it is needed, and what was made is kept. Who waits gets the next one in the order of asking.
//!
//! | what happens | then |
//! |---|---|
//! | all are taken for as long as was waited | `?` ends the attempt as retryable: the job is retried in its room, after the backoff of its retry policy |
//! | one cannot be made | `?` ends the attempt with that error, classified as any other; the place is free again |
//! | the waiting, or the making, is dropped | nothing is lost |
//! | one is broken | [`discard`](crate::patterns::PoolGuard::discard) takes it out, and another one is made in its place |
//!
//! A worker whose every job needs one of them says so with [`max_jobs`](crate::WorkerBuilder::max_jobs): then
//! offers go to another worker in the place of waiting here. The layer [`LimitBy`](crate::layers::LimitBy)
//! limits jobs by a key without any pool.
