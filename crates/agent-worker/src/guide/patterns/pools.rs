//! Pools: expensive resources that jobs share, such as models, connections or licences.
//!
//! ```
//! use agent_worker::{Agent, JobContext, JobResult, patterns::Pool};
//! use std::{sync::Arc, time::Duration};
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
//!     async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
//!         let mut model = self.models.acquire_within(Duration::from_secs(2)).await?;
//!         ctx.room().publish_data("answer", model.answer().await).await?;
//!         Ok(())
//!     } // returned here, as after a panic, an abort, or `?`
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
//! The pool belongs to the agent, not to the job: create it once; clones share the pool. Resources are
//! created on demand and kept. Waiting tasks get the next free resource in order.
//!
//! | event | effect |
//! |---|---|
//! | all resources stay in use for the whole wait | `?` ends the attempt with a retryable error: the job is retried in its room, after the backoff of its retry policy |
//! | a resource cannot be created | `?` ends the attempt with that error, classified like any other; its slot is free again |
//! | the future of the acquisition is dropped | nothing is lost |
//! | a resource is broken | [`discard`](crate::patterns::PoolGuard::discard) removes it, and a new one is created on demand |
//!
//! If every job of a worker needs a resource, set [`max_jobs`](crate::WorkerBuilder::max_jobs) to the size of
//! the pool: offers go to another worker then, instead of waiting here. The layer
//! [`LimitBy`](crate::layers::LimitBy) limits jobs by a key without a pool.
