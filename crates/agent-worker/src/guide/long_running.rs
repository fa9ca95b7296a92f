//! Jobs that go on for long: who is there, signs of life, checks, and when they are over.
//!
//! # Events
//! [`ctx.room().events()`](crate::Room::events) is everything that happens, from the join on: the first stream of an attempt begins with who is
//! present. It is bounded: a reader that falls behind is told how many events it has lost
//! ([`Lagged`](crate::RoomEvent::Lagged)), and the room does not wait for it. [Data](super::data) have streams of their own, by topic.
//!
//! # Somebody to talk to
//! ```
//! use agent_worker::{JobContext, JobResult, Wanted};
//! use std::time::Duration;
//!
//! async fn concierge(ctx: JobContext) -> JobResult {
//!     let guest = ctx.room().wait_for_participant(Wanted::human().within(Duration::from_secs(60))).await?;
//!     ctx.room().publish_data("chat", format!("Hello, {}!", guest.identity)).await?;
//!     Ok(())
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let run = run_job(concierge, JobSpec::room("lobby").participant("ada")).await;
//! assert_eq!(run.sent[0].text(), "Hello, ada!");
//! let run = run_job(concierge, JobSpec::room("lobby").lasts(Duration::from_secs(120))).await;
//! assert!(!run.outcome.is_success()); // nobody came
//! # });
//! ```
//! [`ctx.for_each_participant`](crate::JobContext::for_each_participant) runs a task for each, until they leave.
//!
//! # Signs of life and health
//! [`ctx.progress()`](crate::JobContext::progress), called where the work is done, has the log warn when it does not come any more.
//! [`ctx.health_check`](crate::JobContext::health_check) looks after what the job depends on: a failed check ends the attempt, and the job is
//! retried in its room, as its [retry policy](crate::RetryPolicy) says.
//! ```
//! use agent_worker::{JobContext, JobResult, RetryPolicy};
//! use std::time::Duration;
//!
//! async fn agent(ctx: JobContext) -> JobResult {
//!     let attempt = ctx.attempt();
//!     ctx.health_check(Duration::from_secs(30), move || async move {
//!         if attempt == 1 { Err("the model does not answer") } else { Ok(()) }
//!     });
//!     ctx.cancelled().await;
//!     ctx.room().publish_data("attempts", ctx.attempt().to_string()).await?;
//!     Ok(())
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let run = run_job(agent, JobSpec::room("lobby").lasts(Duration::from_secs(300))).await;
//! assert_eq!(run.sent[0].text(), "2");
//! # run.assert_success();
//! # });
//! ```
//!
//! # When it is over
//! A job ends 10 s after the last person has left its room: it is told to stop as
//! [`Shutdown`](crate::CancelReason::Shutdown), in time for the server to record a success (it closes the room after 20 s).
//! [`end_when`](crate::WorkerBuilder::end_when) says otherwise. [`one_per_target`](crate::WorkerBuilder::one_per_target) keeps two jobs out of one
//! room, as each dispatch adds an agent.
