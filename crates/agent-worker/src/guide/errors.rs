//! Errors: what a handler returns, and how it is handled.
//!
//! A handler returns a [`JobError`](crate::JobError). It does not implement `Error`, so `?` converts any
//! error: an I/O error, an `anyhow::Error`, a string. Retryable errors are retried; otherwise the server
//! records the job as failed, with the texts of the whole error chain.
//! ```
//! use agent_worker::{JobContext, JobError, JobResult};
//! use std::time::Duration;
//!
//! async fn agent(ctx: JobContext) -> JobResult {
//!     let port: u16 = "80".parse()?; // any error
//!     if port == 0 {
//!         return Err("no port".into()); // any text
//!     }
//!     match ctx.job().attributes.get("plan").map(String::as_str) {
//!         None => Err(JobError::invalid("attributes.plan", "", "missing")), // the input is wrong
//!         Some("free") => Err(JobError::fatal("quota_exceeded")), // a permanent error
//!         Some("busy") => Err(JobError::retryable("no encoder is free", Duration::from_secs(10))), // a temporary error
//!         Some(_) => Ok(()),
//!     }
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let outcome = async |plan: &str| {
//!     run_job(agent, JobSpec::room("lobby").attributes([("plan", plan)])).await.outcome.to_string()
//! };
//! assert_eq!(outcome("paid").await, "success");
//! assert_eq!(outcome("free").await, "failed: quota_exceeded");
//! # let none = run_job(agent, JobSpec::room("lobby")).await.outcome.to_string();
//! # assert_eq!(none, "failed: invalid_input: attributes.plan: missing");
//! # });
//! ```
//!
//! # Kinds
//! | kind | created by | effect |
//! |---|---|---|
//! | [`Retryable`](crate::JobErrorKind::Retryable) | `JobError::retryable`, a network error, a timeout | the handler is called again, according to the [`RetryPolicy`](crate::RetryPolicy); after the last attempt its text is reported |
//! | [`Fatal`](crate::JobErrorKind::Fatal) | `JobError::fatal`, any other error | its reason and text are reported |
//! | [`Invalid`](crate::JobErrorKind::Invalid) | `JobError::invalid`, invalid metadata | `invalid_input: field = value: message` is reported |
//! | [`Cancelled`](crate::JobErrorKind::Cancelled) | `JobError::cancelled`, a cancellation reason | as `Ok`, if the job was cancelled |
//!
//! A panic fails only its own job; it is reported as `panicked: message`.
//!
//! # Which kind `?` sets
//! [`classify`](crate::job::classify) decides, by the type of the error or of its sources:
//!
//! | error | kind |
//! |---|---|
//! | `MetadataError`, `garde::Report` | `Invalid` |
//! | `CancelReason::Deadline` | `Fatal`, `job_timeout` |
//! | any other `CancelReason` | `Cancelled` |
//! | `io::Error` of the network or a timeout | `Retryable` |
//! | `Elapsed` of `tokio::time::timeout` | `Retryable` |
//! | `JoinError` of `ctx.join()` when the server does not answer, or with HTTP 500 and above | `Retryable` |
//! | `CheckpointError` of an unavailable store | `Retryable` |
//! | any other `CheckpointError` | `Fatal`, `checkpoint_…` |
//! | everything else | `Fatal`, `unknown_error` |
//!
//! It checks the error and its sources: `source()`, the inner error of an `io::Error` or `anyhow::Error`, the
//! content of an `Arc`. The outermost one in the table decides. An error of a library that does not expose
//! its source (but only a number or a text) is `Fatal`, unless a rule of the program decides otherwise.
//!
//! The wait before a retry is the backoff of the [`RetryPolicy`](crate::RetryPolicy); an error with its own
//! wait (`JobError::retryable(error, after)`) adds that.
//! ```
//! use agent_worker::{JobContext, JobResult, RetryPolicy};
//! use std::time::Duration;
//!
//! async fn agent(_: JobContext) -> JobResult {
//!     tokio::time::timeout(Duration::from_secs(2), load_model()).await?; // `Elapsed`
//!     Ok(())
//! }
//! # async fn load_model() { std::future::pending().await }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let policy = RetryPolicy::attempts(3).backoff(Duration::from_millis(100), Duration::from_secs(1));
//! let spec = JobSpec::room("lobby").lasts(Duration::from_secs(60)).worker(move |worker| worker.retry(policy.clone()));
//! let run = run_job(agent, spec).await;
//! assert_eq!(run.outcome.to_string(), "failed: deadline has elapsed (after 3 attempts)");
//! assert!(run.duration < Duration::from_millis(6400)); // 3 × 2 s, and up to 0.1 s and 0.2 s between them
//! # });
//! ```
//!
//! A program may set its own [rule](crate::WorkerBuilder::classify). The rule is called with each error of
//! the chain, and errors that it does not decide are classified as above. Kinds that the handler sets are
//! never changed.
//! ```
//! use agent_worker::{JobContext, JobErrorKind, JobResult, Worker};
//! use std::error::Error;
//! use std::time::Duration;
//!
//! #[derive(Debug, thiserror::Error)]
//! #[error("no credit left")]
//! struct NoCredit;
//!
//! fn rule(error: &(dyn Error + 'static)) -> Option<JobErrorKind> {
//!     if error.is::<tokio::task::JoinError>() {
//!         return Some(JobErrorKind::Retryable { after: Duration::from_secs(1) });
//!     }
//!     error.is::<NoCredit>().then(|| JobErrorKind::Fatal { reason: "no_credit".into() })
//! }
//!
//! async fn agent(_: JobContext) -> JobResult {
//!     Err(std::io::Error::other(NoCredit))?
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let run = run_job(agent, JobSpec::room("lobby").worker(|worker| worker.classify(rule))).await;
//! assert_eq!(run.outcome.to_string(), "failed: no_credit: no credit left");
//! # });
//! ```
//!
//! # Cancellation
//! [`cancelled`](crate::JobContext::cancelled) returns the reason, and the handler may return that as its
//! error: the deadline of the job is a failure, other reasons are not a failure of the handler.
//! ```
//! use agent_worker::{JobContext, JobResult};
//!
//! async fn agent(ctx: JobContext) -> JobResult {
//!     tokio::select! {
//!         result = work() => result,
//!         reason = ctx.cancelled() => Err(reason.into()),
//!     }
//! }
//! # async fn work() -> JobResult { std::future::pending().await }
//! # use agent_testkit::{JobSpec, run_job};
//! # use std::time::Duration;
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! # let limited = |worker: agent_worker::WorkerBuilder| worker.job_timeout(Duration::from_secs(30));
//! # let run = run_job(agent, JobSpec::room("lobby").worker(limited)).await;
//! # assert_eq!(run.outcome.to_string(), "failed: job_timeout");
//! # run_job(agent, JobSpec::room("lobby")).await.assert_success();
//! # });
//! ```
