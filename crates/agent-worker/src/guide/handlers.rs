//! Handlers: functions and types as agents, shared state, and routing jobs to several agents.
//!
//! # A function
//! Any `async fn(JobContext) -> JobResult` is an agent. It is called once for each job, in a separate task,
//! when the job's room is joined. When it returns, the job is over: `Ok` is reported to the server as
//! success, an error as failure with its text.
//! ```
//! use agent_worker::{JobContext, JobResult};
//!
//! async fn agent(ctx: JobContext) -> JobResult {
//!     tracing::info!(room = ctx.room().name(), "processing job {}", ctx.job().id);
//!     // the work
//!     Ok(())
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(run_job(agent, JobSpec::room("lobby"))).assert_success();
//! ```
//! The [`JobContext`](crate::JobContext) has the job with all its data from the server, the room, the
//! participant of a participant or publisher job, and the cancellation signal. It is cheap to clone, for the
//! handler's own tasks. Such a task logs in the job's span, and so with its ids, if it is spawned with
//! `tracing`'s `in_current_span`.
//!
//! # A type, with state
//! A type is an agent if it implements [`Agent`](crate::Agent). One value serves all concurrent jobs of its
//! worker: shared state goes into its fields, the state of one job into the variables of `run`. `run` takes
//! the agent as an [`Arc`](std::sync::Arc): a task or callback of the job that needs the agent captures a
//! clone of it. State for one function alone fits into a [closure](super::closures). Besides `run`, an agent
//! may answer offers, check a job before its room is joined, and be notified of outcomes.
//! ```
//! use agent_worker::{Agent, EndedJob, Job, JobContext, JobError, JobResult};
//! use std::collections::BTreeMap;
//! use std::sync::{Arc, Mutex};
//! use std::time::Instant;
//!
//! #[derive(Default)]
//! struct MyAgent {
//!     language: String,
//!     jobs: Mutex<BTreeMap<String, Instant>>,
//! }
//!
//! impl Agent for MyAgent {
//!     fn check(&self, job: &Job) -> JobResult {
//!         if job.room.name.is_empty() {
//!             return Err(JobError::invalid("room", "", "the room has no name"));
//!         }
//!         Ok(())
//!     }
//!
//!     async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
//!         self.jobs.lock().unwrap().insert(ctx.job().id.to_string(), Instant::now());
//!         ctx.room().publish_data("language", self.language.clone()).await?;
//!         Ok(())
//!     }
//!
//!     async fn on_ended(&self, ended: &EndedJob) {
//!         self.jobs.lock().unwrap().remove(ended.job.id.as_str());
//!         tracing::info!("{} after {:?}", ended.outcome, ended.duration);
//!     }
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let agent = std::sync::Arc::new(MyAgent { language: "en".into(), ..MyAgent::default() });
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # let run = runtime.block_on(run_job(agent.clone(), JobSpec::room("lobby")));
//! # run.assert_success();
//! # assert_eq!(run.sent[0].text(), "en");
//! # assert!(agent.jobs.lock().unwrap().is_empty());
//! ```
//!
//! # By the kind of job
//! A worker registers for one [kind](crate::JobKind) of job. To serve several, run one worker for each; an
//! [`Arc`](std::sync::Arc) of an agent is an agent, so that they share it. A [`Router`](crate::Router) passes
//! each job to the agent of its kind:
//! ```
//! use agent_worker::{JobContext, JobKind, JobResult, Router, Worker};
//! use std::sync::Arc;
//!
//! async fn of_room(ctx: JobContext) -> JobResult {
//!     ctx.room().publish_data("room", ctx.job().room.name.clone()).await?;
//!     Ok(())
//! }
//!
//! async fn of_participant(ctx: JobContext) -> JobResult {
//!     let target = ctx.target().ok_or("no participant")?;
//!     ctx.room().publish_data("participant", target.identity.clone()).await?;
//!     Ok(())
//! }
//!
//! let router = Arc::new(Router::new().room(of_room).participant(of_participant));
//! let workers = [JobKind::Room, JobKind::Participant]
//!     .map(|kind| Worker::builder(Arc::clone(&router)).from_env().agent_name("host").job_kind(kind));
//! # drop(workers);
//! # use agent_testkit::{JobSpec, run_job};
//! # use agent_worker::Outcome;
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let run = run_job(router.clone(), JobSpec::for_participant("lobby", "ada")).await;
//! assert_eq!(run.sent[0].text(), "ada");
//!
//! let run = run_job(router, JobSpec::for_publisher("lobby", "ada")).await;
//! let error = "invalid_input: type = publisher: unsupported job type; supported: room, participant";
//! assert_eq!(run.outcome, Outcome::Failed { error: error.into() });
//! # });
//! ```
//! [`Worker::run_all_until_signal`](crate::Worker::run_all_until_signal) runs several workers in one program.
//!
//! # By the action in the metadata
//! For one handler with several tasks, use an enum: see [`metadata`](super::metadata#one-of-several). To
//! combine separate agents, the same router uses the field `action` of the job's metadata, and
//! [`typed`](crate::typed()) passes each handler its typed metadata. Routers nest: one for the actions of
//! room jobs may be inside one for the kinds.
//! ```
//! use agent_worker::{JobContext, JobResult, Router, metadata::MetadataFormat, typed};
//!
//! #[derive(Default, serde::Deserialize)]
//! #[serde(default)]
//! struct Recording { tracks: Vec<String> }
//!
//! async fn record(ctx: JobContext, recording: Recording) -> JobResult {
//!     ctx.room().publish_data("record", recording.tracks.join(" ")).await?;
//!     Ok(())
//! }
//!
//! async fn analyze(ctx: JobContext) -> JobResult {
//!     ctx.room().publish_data("analyze", "").await?;
//!     Ok(())
//! }
//!
//! let agent = || {
//!     let actions = Router::new()
//!         .action("record", typed(MetadataFormat::or_default(), record))
//!         .action("analyze", analyze);
//!     Router::new().room(actions)
//! };
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let run = run_job(agent(), JobSpec::room("lobby").metadata(r#"{"action":"record","tracks":["TR_1"]}"#)).await;
//! assert_eq!(run.sent[0].text(), "TR_1");
//!
//! let run = run_job(agent(), JobSpec::room("lobby").metadata(r#"{"action":"dance"}"#)).await;
//! assert_eq!(
//!     run.outcome.to_string(),
//!     r#"failed: invalid_input: $.action = "dance": unknown action; known: analyze, record"#
//! );
//! # });
//! ```
//! [`Router::schema`](crate::Router::schema) documents the metadata of all of them.
