//! Cancellation, time limits and cleanup.
//!
//! # The cancellation signal
//! [`ctx.cancelled()`](crate::JobContext::cancelled) waits until the job is cancelled, and returns the
//! reason. The handler then has the worker's grace (10 s, [`grace`](crate::WorkerBuilder::grace)) to return;
//! after that it is aborted at its current await.
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
//! let run = run_job(agent, JobSpec::room("lobby")).await; // its dispatch is deleted at the end of its time in the test
//! assert_eq!(run.sent[0].text(), "stopping: terminated");
//! # run.assert_success();
//! # });
//! ```
//! [`ctx.run_until_cancelled`](crate::JobContext::run_until_cancelled) is the short form for a loop that just
//! ends: the streams of a room go on after a cancellation, until the attempt is over.
//!
//! The reported outcome depends on the reason and on the end of the handler:
//!
//! | reason | `Ok`, or the error kind `Cancelled` | another error | aborted |
//! |---|---|---|---|
//! | `Deadline` | failed, `job_timeout` | failed, `job_timeout` | failed, `job_timeout` |
//! | `Drained`, `Stopped`, `Shutdown`, `TargetReplaced`, `RoomClosed`, `Terminated` | success | failed, its text | failed, `aborted: reason` |
//! | `Kicked`, `DuplicateIdentity`, `RoomGone` | failed, the reason | failed, its text | failed, `aborted: reason` |
//!
//! A server that closes or deletes a room (`RoomClosed`) has recorded the failure "agent worker left the
//! room" before a worker can report an outcome: [`EndedJob::room_closed`](crate::EndedJob) and the log show
//! this. Unless the room is deleted, a job ends before that: see [when it is
//! over](crate::guide::long_running#when-it-is-over).
//!
//! # Time limits
//! A job has no time limit unless set. [`job_timeout`](crate::WorkerBuilder::job_timeout) limits it, counted
//! from its assignment over all its attempts; the field `timeout` (in seconds) of its metadata overrides
//! that, up to [`max_job_timeout`](crate::WorkerBuilder::max_job_timeout). With `max_job_timeout` alone, jobs
//! without that field are limited as well, to 5 minutes
//! ([`DEFAULT_JOB_TIMEOUT`](crate::job::DEFAULT_JOB_TIMEOUT)); with neither setting the field is ignored.
//! Limit a part of a handler with `tokio::time::timeout`, or with a [layer](crate::layers).
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
//! Register what must run at the end of an attempt with [`ctx.on_cleanup`](crate::JobContext::on_cleanup):
//! each callback runs once, the last one first, also after an error, a panic, an abort and a drain, within 10
//! s, while the agent is still in its room. Tasks of [`ctx.spawn`](crate::JobContext::spawn) are cancelled
//! before. Each callback may take an equal share of the remaining time
//! ([`cleanup_timeout`](crate::WorkerBuilder::cleanup_timeout)), and at most
//! [`cleanup_callback_timeout`](crate::WorkerBuilder::cleanup_callback_timeout) if that is set: a callback
//! that hangs is dropped, and the others still run.
//! ```
//! use agent_worker::{JobContext, JobResult};
//!
//! async fn agent(ctx: JobContext) -> JobResult {
//!     ctx.on_cleanup(async |ctx| {
//!         let _ = ctx.room().publish_data("status", "recorder closed").await;
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
//! supervisor may both send them. They are received on a separate thread, so that blocking code in a handler
//! cannot delay them.
//!
//! | event | the process |
//! |---|---|
//! | a signal, and all jobs ended or could be aborted | `run_until_signal` returns `Ok`: 0 |
//! | a second signal, and all jobs could be aborted | it returns `WorkerError::Forced`: 130, or 1 from a `main` that returns the error |
//! | the same, and code of a job blocks a thread | exits with 130 |
//! | a drain ended, and code of a job blocks a thread | exits with 1 |
//! | no thread of the runtime runs the worker any more | exits with 1 or 130, 3 s after the worker should have stopped |
//! | a third signal, or one after `run_until_signal` has returned | exits at once with 130 |
//! | the worker gives up, or is refused | it returns the error: 1 |
//!
//! The process is ended only if returning would not end it: the runtime waits forever for blocked threads
//! when it is dropped, so `main` would never return. The reason is logged first; without a subscriber it is
//! written to standard error. The worker does not know of tasks in `tokio::task::spawn_blocking`, and `main`
//! waits for them: the next signal ends the process.
//!
//! A program that decides itself when to stop passes a future to [`run_until`](crate::Worker::run_until),
//! which handles no signals and never ends the process:
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
