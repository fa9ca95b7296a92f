//! Long-running jobs: participants, progress reports, health checks, and the end of a job.
//!
//! # Events
//! [`ctx.room().events()`](crate::Room::events) is a stream of all events since the join: the first stream of
//! an attempt starts with the participants who are present. It is bounded: a reader that falls behind
//! receives the number of lost events ([`Lagged`](crate::RoomEvent::Lagged)), and the room does not wait for
//! it. [Data](super::data) has separate streams, by topic.
//!
//! # Waiting for participants
//! ```
//! use agent_worker::{JobContext, JobResult, room::ParticipantFilter};
//! use std::time::Duration;
//!
//! async fn concierge(ctx: JobContext) -> JobResult {
//!     let filter = ParticipantFilter::human().within(Duration::from_secs(60));
//!     let guest = ctx.room().wait_for_participant(filter);
//!     let Some(guest) = ctx.run_until_cancelled(guest).await.transpose()? else { return Ok(()) };
//!     ctx.room().publish_data("chat", format!("Hello, {}!", guest.identity)).await?;
//!     Ok(())
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let run = run_job(concierge, JobSpec::room("lobby").participant("ada")).await;
//! assert_eq!(run.sent[0].text(), "Hello, ada!");
//! let run = run_job(concierge, JobSpec::room("lobby").lasts(Duration::from_secs(120))).await;
//! assert!(!run.outcome.is_success()); // no participant joined
//! let run = run_job(concierge, JobSpec::room("lobby").lasts(Duration::from_secs(30))).await;
//! run.assert_success(); // it was cancelled before
//! # });
//! ```
//! [`ctx.for_each_participant`](crate::JobContext::for_each_participant) runs a task for each participant
//! until it leaves.
//!
//! # Progress and health
//! Call [`ctx.progress()`](crate::JobContext::progress) where the work is done: after the first call a
//! warning is logged when there is none for 60 s ([`stale_after`](crate::WorkerBuilder::stale_after)). A loop
//! that waits for others, such as for the messages of a chat, needs a branch with an interval for that, as in
//! the example `long_running`: a chat may be quiet for hours.
//! [`ctx.health_check`](crate::JobContext::health_check) monitors what the job depends on: a failed check
//! ends the attempt, and the job is retried in its room, according to its [retry
//! policy](crate::RetryPolicy).
//! ```
//! use agent_worker::{JobContext, JobResult, RetryPolicy};
//! use std::time::Duration;
//!
//! async fn agent(ctx: JobContext) -> JobResult {
//!     let attempt = ctx.attempt();
//!     ctx.health_check(Duration::from_secs(30), async move || {
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
//! | job | when it is cancelled | reason |
//! |---|---|---|
//! | for a room | 10 s after the last person left it | [`Shutdown`](crate::CancelReason::Shutdown) |
//! | for a room that no participant ever joins | shortly before the room's empty timeout (300 s unless set) | `Shutdown` |
//! | for a participant or publisher | 10 s after that participant left, even if others stay | `Shutdown` |
//! | for a participant or publisher | at once when that participant is back in another session, as after a crash or a page reload: the server creates a job for each session | [`TargetReplaced`](crate::CancelReason::TargetReplaced) |
//! | any, if its room was deleted before the agent joined, and the agent is in a new room of the same name | at once | [`RoomGone`](crate::CancelReason::RoomGone) |
//!
//! A server closes a room some time after its last person left (the room's `departure_timeout`, 20 s by
//! default), and then records a failure for the jobs in it. So a job ends earlier: 10 s before that, or after
//! half of a shorter timeout, and always 4.5 s before it, since a server may report a leave 3 s late. A
//! departure timeout below 5 s may be too short for any job: the log warns when such a room is joined, and
//! also when the worker's setting is longer than the room allows.
//!
//! [`end_when`](crate::WorkerBuilder::end_when) sets another time, or leaves the end to the handler and the
//! server ([`EndWhen::Never`](crate::EndWhen::Never));
//! [`stay_in_new_room`](crate::WorkerBuilder::stay_in_new_room) keeps a job in another room of the same name.
//! [`one_per_target`](crate::WorkerBuilder::one_per_target) prevents a second job for the same target, as
//! each dispatch adds an agent.
