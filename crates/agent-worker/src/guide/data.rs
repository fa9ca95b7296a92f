//! Data: receiving messages of participants by topic, and detecting losses.
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
//!                 Some(Err(missed)) => lost += missed.count, // messages that were lost here
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
//! [`data`](crate::Room::data) receives the messages of one topic, [`all_data`](crate::Room::all_data) those
//! of all topics, and [`events`](crate::Room::events) those and all other events. The streams are independent
//! of each other. Each is a `futures::Stream`, and so the source of a [pipeline](super::patterns::pipelines)
//! or of [batches](super::patterns::batches).
//!
//! # Bounded queues and lost messages
//! The room does not wait for its readers: each stream queues at most 1,024 messages and 4 MiB. Beyond that
//! the oldest are dropped, and the stream returns [`Missed`](crate::room::Missed) in their place: an error
//! with the [number](crate::room::Missed::count) and the [cause](crate::room::Missed::cause). `?` ends the
//! job with it; a handler that can continue decides how to treat the gap. The log warns once for each job,
//! and [`lk_agents_room_events_dropped_total`](super::metrics) counts the messages.
//!
//! | event | effect |
//! |---|---|
//! | the handler reads too slowly | `Missed`, `QueueFull`, with the exact number, before the next message |
//! | other topics are flooded | none: a stream has only its own topic |
//! | messages arrive before the handler opens the first stream of their topic | they are queued for it, from the join on |
//! | a stream is dropped, and another one of its topic is opened | it continues where the first one ended |
//! | the connection to the room is lost and resumed | no reliable message is lost |
//! | it cannot be resumed, and a new session is established | `Missed`, `Reconnected`: messages sent in between may be lost; their number for each sender follows as soon as it is known |
//!
//! For streams that are not open, 1,024 messages and 4 MiB are queued for all topics together; beyond that
//! the topic with the most messages loses its oldest ones.
//!
//! # Between attempts
//! When an attempt fails and is [retried](super::errors), its streams end, and the room continues. Unread
//! messages of those streams, and messages that arrive before the next attempt opens its own, are queued for
//! it, within the same limits:
//! ```
//! use agent_worker::{JobContext, JobError, JobResult};
//! use std::time::Duration;
//!
//! async fn agent(ctx: JobContext) -> JobResult {
//!     let mut work = ctx.room().data("work");
//!     while let Some(item) = ctx.run_until_cancelled(work.next()).await.flatten() {
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
//!     tokio::time::sleep(Duration::from_secs(3)).await; // the second attempt starts after five
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
//! A message that was read is not delivered again, like `hard` above: to process it in a retry, save it in a
//! [checkpoint](super::checkpoints). Each new event stream replays the participants who are present, but not
//! the changes in between. With several streams of one topic, the next attempt may read a message again that
//! one of them had read and another one had not.
