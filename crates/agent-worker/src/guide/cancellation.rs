//! Cancellation, time limits and cleanup: how a job is told to stop, and what is left in order behind it.
//!
//! # The word to stop
//! [`ctx.cancelled()`](crate::JobContext::cancelled) waits until the job is to stop, and says why. The
//! handler then has the worker's grace (10 s, [`grace`](crate::WorkerBuilder::grace)) to return; after that
//! it is aborted where it waits.
//! ```
//! use agent_worker::{JobContext, JobResult};
//!
//! async fn agent(ctx: JobContext) -> JobResult {
//!     let mut chat = ctx.room().data("chat");
//!     loop {
//!         tokio::select! {
//!             reason = ctx.cancelled() => {
//!                 ctx.room().publish_data("status", format!("stopping: {reason}")).await?;
//!                 return Ok(());
//!             }
//!             Some(message) = chat.next() => println!("{:?}", message?.payload),
//!         }
//!     }
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let run = run_job(agent, JobSpec::room("lobby")).await; // its dispatch is deleted when its time in the test is over
//! assert_eq!(run.sent[0].text(), "stopping: terminated");
//! # run.assert_success();
//! # });
//! ```
//! What the server is told then depends on the reason and on how the handler ends:
//!
//! | reason | `Ok`, or the error kind `Cancelled` | another error | it had to be aborted |
//! |---|---|---|---|
//! | `Deadline` | failed, `job_timeout` | failed, `job_timeout` | failed, `job_timeout` |
//! | `Drained`, `Shutdown`, `TargetReplaced`, `RoomClosed`, `Terminated` | success | failed, its text | failed, `aborted: reason` |
//! | `Kicked`, `DuplicateIdentity`, `RoomGone` | failed, the reason | failed, its text | failed, `aborted: reason` |
//!
//! A server that closes or deletes a room (`RoomClosed`) has recorded the failure "agent worker left the
//! room" before any worker can report something: [`EndedJob::room_closed`](crate::EndedJob) and the log say
//! so. Unless the room is deleted, a job ends in time by itself: see
//! [when it is over](crate::guide::long_running#when-it-is-over).
//!
//! # Time limits
//! A job may take as long as it likes, unless the worker says otherwise. With
//! [`job_timeout`](crate::WorkerBuilder::job_timeout) it has so long, counted from its assignment over all
//! its attempts; a `timeout` (in seconds) in its metadata takes the place of that, up to
//! [`max_job_timeout`](crate::WorkerBuilder::max_job_timeout). A part of a handler is bounded by
//! `tokio::time::timeout`, or by the [layer](crate::layers) for it.
//! ```
//! use agent_worker::{JobContext, JobResult};
//! use std::time::Duration;
//!
//! async fn slow(ctx: JobContext) -> JobResult {
//!     ctx.cancelled().await;
//!     Ok(())
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let spec = |metadata: &str| {
//!     let limits = |worker: agent_worker::WorkerBuilder| {
//!         worker.job_timeout(Duration::from_secs(300)).max_job_timeout(Duration::from_secs(600))
//!     };
//!     JobSpec::room("lobby").metadata(metadata).lasts(Duration::from_secs(3600)).worker(limits)
//! };
//! let run = run_job(slow, spec("")).await;
//! assert_eq!(run.outcome.to_string(), "failed: job_timeout");
//! assert_eq!(run.duration.as_secs(), 300);
//! assert_eq!(run_job(slow, spec(r#"{"timeout":20}"#)).await.duration.as_secs(), 20);
//! assert_eq!(run_job(slow, spec(r#"{"timeout":9999}"#)).await.duration.as_secs(), 600);
//! # });
//! ```
//!
//! # Cleanup
//! What must be done however an attempt ends goes into [`ctx.on_cleanup`](crate::JobContext::on_cleanup): it
//! runs once, the last callback first, also after an error, a panic, an abort and a drain, within 10 s, while
//! the agent is still in its room. Tasks of [`ctx.spawn`](crate::JobContext::spawn) are cancelled before
//! that. Each callback may take an equal share of the time that is left
//! ([`cleanup_timeout`](crate::WorkerBuilder::cleanup_timeout)), and at most
//! [`cleanup_callback_timeout`](crate::WorkerBuilder::cleanup_callback_timeout) if that is set: one that
//! hangs is dropped, and the others still run.
//! ```
//! use agent_worker::{JobContext, JobResult};
//!
//! async fn agent(ctx: JobContext) -> JobResult {
//!     let room = ctx.room().clone();
//!     ctx.on_cleanup(async move {
//!         let _ = room.publish_data("status", "recorder closed").await;
//!     });
//!     ctx.spawn(async { std::future::pending::<()>().await }); // does not outlive the attempt
//!     Err("the disk is full".into())
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let run = run_job(agent, JobSpec::room("lobby")).await;
//! assert_eq!(run.outcome.to_string(), "failed: the disk is full");
//! assert_eq!(run.sent[0].text(), "recorder closed");
//! # });
//! ```
//!
//! # Stopping the program
//! [`run_until_signal`](crate::Worker::run_until_signal) drains on the first SIGTERM or SIGINT, aborts on the
//! second and ends the process on the third. Signals within a second count as one, as a process group and a
//! supervisor may both send them. The signals are received on a thread of their own, so that blocking code in
//! a handler cannot keep them from the worker.
//!
//! | what happened | the process |
//! |---|---|
//! | a signal, and all jobs have ended or could be aborted | `run_until_signal` returns `Ok`: 0 |
//! | a second signal, and all jobs could be aborted | it returns `WorkerError::Forced`: 130, or 1 from a `main` that returns the error |
//! | the same, and code of a job blocks a thread | is ended with 130 |
//! | a drain is over, and code of a job blocks a thread | is ended with 1 |
//! | no thread of the runtime runs the worker any more | is ended: 3 s after the worker should have stopped, with 1 or 130 |
//! | a third signal, or one after `run_until_signal` has returned | is ended at once with 130 |
//! | the worker gives up, or is refused | it returns the error: 1 |
//!
//! A process is ended only where returning would be of no use: the runtime waits for blocked threads without
//! end when it is dropped, so `main` would never return. The reason is logged before; without a subscriber it
//! goes to the standard error. What a handler has given to `tokio::task::spawn_blocking` is unknown to the
//! worker, and `main` waits for it: the next signal ends that.
//!
//! A program that decides itself when to stop gives [`run_until`](crate::Worker::run_until) a future. That
//! listens to no signal and ends no process:
//! ```no_run
//! use agent_worker::{JobContext, JobResult, Worker};
//!
//! # async fn agent(_: JobContext) -> JobResult { Ok(()) }
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let stop = async { tokio::time::sleep(std::time::Duration::from_secs(3600)).await }; // or a token, a channel, a request
//!     Worker::builder(agent).from_env().build()?.run_until(stop).await?;
//!     Ok(())
//! }
//! ```
