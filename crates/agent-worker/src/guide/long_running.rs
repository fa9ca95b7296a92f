//! Jobs that go on for long: who is there, signs of life, checks, and when they are over.
//!
//! # Events
//! [`ctx.room().events()`](crate::Room::events) is everything that happens, from the join on: the first
//! stream of an attempt begins with who is present. It is bounded: a reader that falls behind is told how
//! many events it has lost ([`Lagged`](crate::RoomEvent::Lagged)), and the room does not wait for it.
//! [Data](super::data) have streams of their own, by topic.
//!
//! # Somebody to talk to
//! ```
//! use agent_worker::{JobContext, JobResult, room::ParticipantFilter};
//! use std::time::Duration;
//!
//! async fn concierge(ctx: JobContext) -> JobResult {
//!     let guest = ctx.room().wait_for_participant(ParticipantFilter::human().within(Duration::from_secs(60))).await?;
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
//! [`ctx.for_each_participant`](crate::JobContext::for_each_participant) runs a task for each, until they
//! leave.
//!
//! # Signs of life and health
//! [`ctx.progress()`](crate::JobContext::progress), called where the work is done, has the log warn when it
//! does not come any more. [`ctx.health_check`](crate::JobContext::health_check) looks after what the job
//! depends on: a failed check ends the attempt, and the job is retried in its room, as its
//! [retry policy](crate::RetryPolicy) says.
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
//! | job | is cancelled | as |
//! |---|---|---|
//! | for a room | 10 s after the last person left it | [`Shutdown`](crate::CancelReason::Shutdown) |
//! | for a room to which nobody ever comes | shortly before the room's empty timeout (300 s unless set) | `Shutdown` |
//! | for a participant or publisher | 10 s after that participant left, though others stay | `Shutdown` |
//! | for a participant or publisher | at once when that participant is back in another session, as after a crash or a reload of its page: the server makes a job for each session | [`TargetReplaced`](crate::CancelReason::TargetReplaced) |
//! | any, whose room was deleted before the agent joined, so that it is in a new one of the same name | at once | [`RoomGone`](crate::CancelReason::RoomGone) |
//!
//! A server closes a room some time after its last person left (20 s unless the room's `departure_timeout`
//! says otherwise), and then records a failure for the jobs in it. So a job waits for less: it ends 10 s
//! before that, or after half of a shorter timeout, and always 4.5 s before it, since a server may report a
//! leave 3 s late. A departure timeout below 5 s may be too short for any job: the log warns when such a room
//! is joined, and also when the wait that was set on the worker is longer than the room allows.
//!
//! [`end_when`](crate::WorkerBuilder::end_when) sets another wait, or leaves the end to the handler and the
//! server ([`EndWhen::Never`](crate::EndWhen::Never));
//! [`stay_in_new_room`](crate::WorkerBuilder::stay_in_new_room) keeps a job in another room of the same name.
//! [`one_per_target`](crate::WorkerBuilder::one_per_target) keeps two jobs out of one room, as each dispatch
//! adds an agent.
