//! Errors: what a handler returns, and what becomes of it.
//!
//! A handler returns a [`JobError`](crate::JobError). It does not implement `Error`, so `?` makes one of
//! anything: an I/O error, an `anyhow::Error`, a text. What may go better another time is tried again; else
//! the server records the job as failed, with the texts of the whole chain of errors.
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
//!         Some("free") => Err(JobError::fatal("quota_exceeded")), // it will not go away
//!         Some("busy") => Err(JobError::retryable("no encoder is free", Duration::from_secs(10))), // it may
//!         Some(_) => Ok(()),
//!     }
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let outcome = async |plan: &str| {
//!     run_job(agent, JobSpec::room("lobby").attribute("plan", plan)).await.outcome.to_string()
//! };
//! assert_eq!(outcome("paid").await, "success");
//! assert_eq!(outcome("free").await, "failed: quota_exceeded");
//! # let none = run_job(agent, JobSpec::room("lobby")).await.outcome.to_string();
//! # assert_eq!(none, "failed: invalid_input: attributes.plan: missing");
//! # });
//! ```
//!
//! # Kinds
//! | kind | made by | then |
//! |---|---|---|
//! | [`Retryable`](crate::JobErrorKind::Retryable) | `JobError::retryable`, an error of the network, a timeout | the handler is called again, as the [`RetryPolicy`](crate::RetryPolicy) says; at last its text is told |
//! | [`Fatal`](crate::JobErrorKind::Fatal) | `JobError::fatal`, any other error | its reason and text are told |
//! | [`Invalid`](crate::JobErrorKind::Invalid) | `JobError::invalid`, wrong metadata | `invalid_input: field = value: message` is told |
//! | [`Cancelled`](crate::JobErrorKind::Cancelled) | `JobError::cancelled`, a reason to stop | as if it had returned `Ok`, if it was told to stop |
//!
//! A panic is a failure of its own job and touches no other; it is told as `panicked: message`.
//!
//! # Which kind `?` makes
//! [`classify`](crate::job::classify) decides, by what the error is or by what is behind it:
//!
//! | error | kind |
//! |---|---|
//! | `MetadataError`, `garde::Report` | `Invalid` |
//! | `CancelReason::Deadline` | `Fatal`, `job_timeout` |
//! | any other `CancelReason` | `Cancelled` |
//! | `io::Error` of the network, or of a timeout | `Retryable` |
//! | `Elapsed` of `tokio::time::timeout` | `Retryable` |
//! | `JoinError` of `ctx.join()` when the server does not answer, or with HTTP 500 and above | `Retryable` |
//! | `CheckpointError` of an unavailable store | `Retryable` |
//! | any other `CheckpointError` | `Fatal`, `checkpoint_…` |
//! | everything else | `Fatal`, `unknown_error` |
//!
//! It looks at the error, and at each one behind it: `source()`, what an `io::Error` or an `anyhow::Error`
//! was made of, what an `Arc` holds. The outermost that is in the table decides. Libraries that keep what
//! they were told to themselves (a number, a text) are not seen through: such an error is `Fatal` unless a
//! rule of the program says otherwise.
//!
//! The wait before a retry is the backoff of the [`RetryPolicy`](crate::RetryPolicy), and nothing else; only
//! an error that asks for a wait itself (`JobError::retryable(error, after)`) gets that, too.
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
//! A program may [decide itself](crate::WorkerBuilder::classify). Its rule is asked of each error of the
//! chain, and what it does not know is classified as above. Kinds that the handler gives are never changed.
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
//! # Told to stop
//! [`cancelled`](crate::JobContext::cancelled) gives the reason, and the reason may be returned: the deadline
//! of the job is a failure, and the others are no failure of the handler's.
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
