//! Data: what participants send to the agent, by topic, and what is missing of it.
//!
//! ```
//! use agent_worker::{JobContext, JobResult};
//!
//! async fn tally(ctx: JobContext) -> JobResult {
//!     let mut votes = ctx.room().data("vote");
//!     let (mut yes, mut lost) = (0, 0);
//!     loop {
//!         tokio::select! {
//!             _ = ctx.cancelled() => break,
//!             vote = votes.next() => match vote {
//!                 Some(Ok(vote)) => yes += u32::from(vote.payload == "yes"),
//!                 Some(Err(missed)) => lost += missed.count, // where something is not there
//!                 None => break, // the room is over
//!             },
//!         }
//!     }
//!     ctx.room().publish_data("tally", format!("{yes} yes, {lost} lost")).await?;
//!     Ok(())
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let voting = JobSpec::room("lobby").script(|room| async move {
//!     let ada = room.join("ada");
//!     room.wait_for_agent().await;
//!     for vote in ["yes", "no", "yes"] {
//!         ada.send_data("vote", vote);
//!         ada.send_data("chat", "how exciting"); // another topic, which this agent does not read
//!     }
//! });
//! let run = run_job(tally, voting).await;
//! assert_eq!(run.sent_by_agent().next().unwrap().text(), "2 yes, 0 lost");
//! # });
//! ```
//! [`data`](crate::Room::data) has the messages of one topic, [`all_data`](crate::Room::all_data) those of
//! all, and [`events`](crate::Room::events) has them among everything else that happens. None of them takes
//! anything from another. Each is a `futures::Stream`, and so the source of a
//! [pipeline](super::patterns::pipelines) or of [batches](super::patterns::batches).
//!
//! # Nothing is lost without a report
//! The room does not wait for its readers, and does not grow for them: at most 1,024 messages and 4 MiB wait
//! in a stream. Of more the oldest are dropped, and the stream has [`Missed`](crate::room::Missed) instead:
//! an error with the [number](crate::room::Missed::count) and the [cause](crate::room::Missed::cause). `?`
//! ends the job with it; a handler that can go on decides what a hole means. The log warns once for each job,
//! and [`lk_agents_room_events_dropped_total`](super::metrics) counts.
//!
//! | what happens | then |
//! |---|---|
//! | the handler reads more slowly than messages come | `Missed`, `QueueFull`, with their exact number, before the next one that is there |
//! | other topics are flooded | nothing: a stream holds its own topic only |
//! | messages come before the handler opens the first stream of their topic | they wait for it, from the join on |
//! | a stream is dropped, and another one of its topic is opened | it goes on where the last one stopped |
//! | the connection to the room is lost and resumed | nothing reliable is lost |
//! | it cannot be resumed, and another session is made | `Missed`, `Reconnected`: what was sent in between may be missing, for each sender with a number as soon as it is known |
//!
//! What waits for streams that are not open is 1,024 messages and 4 MiB for all topics together; of too many
//! the topic with the most loses its oldest ones.
//!
//! # Between two attempts
//! An attempt that fails and is [tried again](super::errors) loses its streams, and the room goes on. What
//! those streams had not been asked for yet, and what comes until the next attempt opens its own, waits for
//! it, within the same bounds:
//! ```
//! use agent_worker::{JobContext, JobError, JobResult};
//! use std::time::Duration;
//!
//! async fn agent(ctx: JobContext) -> JobResult {
//!     let mut work = ctx.room().data("work");
//!     while let Some(item) = work.next().await {
//!         match &*item?.payload {
//!             b"hard" if ctx.attempt() == 1 => {
//!                 return Err(JobError::retryable("the model is busy", Duration::from_secs(5)));
//!             }
//!             b"end" => break,
//!             item => ctx.room().publish_data("done", item.to_vec()).await?,
//!         }
//!     }
//!     Ok(())
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let sending = JobSpec::room("lobby").script(|room| async move {
//!     let ada = room.join("ada");
//!     room.wait_for_agent().await;
//!     for item in ["1", "hard", "2"] {
//!         ada.send_data("work", item);
//!     }
//!     tokio::time::sleep(Duration::from_secs(3)).await; // the second attempt begins after five
//!     ada.send_data("work", "3");
//!     tokio::time::sleep(Duration::from_secs(10)).await;
//!     ada.send_data("work", "end");
//! });
//! let run = run_job(agent, sending).await;
//! run.assert_success();
//! let done: Vec<String> = run.sent_by_agent().map(|sent| sent.text()).collect();
//! assert_eq!(done, ["1", "2", "3"]);
//! # });
//! ```
//! A message that was read is the handler's: `hard` above is not sent again, and a retry that needs it keeps
//! it in a [checkpoint](super::checkpoints). Who is present is replayed to each event stream as it is now;
//! what changed in between is not. With several streams of one topic a message may be read again by the next
//! attempt, if one of them has read it and another one has not.
