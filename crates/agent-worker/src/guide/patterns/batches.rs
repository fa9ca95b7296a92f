//! Batches: items that are dealt with together, as each call costs much: rows for a database, lines for a model.
//!
//! ```
//! use agent_worker::{JobContext, JobResult, RoomEvent, patterns::Batches};
//! use futures_util::StreamExt;
//! use std::time::Duration;
//!
//! async fn minutes(ctx: JobContext) -> JobResult {
//!     let lines = ctx.room().events().filter_map(async |event| match event {
//!         RoomEvent::DataReceived(data) => Some(String::from_utf8_lossy(&data.payload).into_owned()),
//!         _ => None,
//!     });
//!     let mut batches = Batches::new(lines, 2, Duration::from_secs(1));
//!     let save = async |batch: std::sync::Arc<Vec<String>>| {
//!         Ok(ctx.room().publish_data("saved", batch.join(" ")).await?) // into a database, for one
//!     };
//!     batches.process(ctx.cancelled(), save).await?;
//!     Ok(())
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let talk = JobSpec::room("lobby").script(|room| async move {
//!     let ada = room.join("ada");
//!     room.wait_for_agent().await;
//!     for line in ["one", "two", "three"] {
//!         ada.send_data("lines", line);
//!     }
//!     tokio::time::sleep(Duration::from_secs(2)).await; // virtual
//!     ada.send_data("lines", "four");
//!     ada.leave();
//! });
//! let run = run_job(minutes, talk).await;
//! let saved: Vec<String> = run.sent.iter().filter(|sent| sent.topic == "saved").map(|sent| sent.text()).collect();
//! assert_eq!(saved, ["one two", "three", "four"]); // full, after a second, and at the end
//! # });
//! ```
//!
//! A batch is handed out when it has its number of items, when its first item has waited for so long, when the source ends, or when it is
//! time to stop: what is there then is the last batch. Items keep their order, and none is handed out twice.
//!
//! # When a batch fails
//! [`process`](crate::patterns::Batches::process) ends with a [`BatchError`](crate::patterns::BatchError), which holds the batch that failed;
//! everything before it was processed, and the rest is still in the `Batches`: call `process` again, or take it out with
//! [`into_source`](crate::patterns::Batches::into_source). `?` ends the attempt with the error's own kind. An attempt that is tried again begins
//! with a fresh stream of the room's events, so what must not be lost over that goes into a [checkpoint](super::super::checkpoints), or back to
//! where it came from.
//!
//! # By hand
//! [`next`](crate::patterns::Batches::next) and [`next_or`](crate::patterns::Batches::next_or) give one batch, and may stand in a `select!`: dropping
//! their future loses nothing.
//!
//! The example `batch` is a whole agent.
