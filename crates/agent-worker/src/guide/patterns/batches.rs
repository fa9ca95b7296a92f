//! Batches: items that are dealt with together, as each call costs much: rows for a database, lines for a
//! model.
//!
//! ```
//! use agent_worker::{JobContext, JobResult, patterns::Batches};
//! use futures_util::StreamExt;
//! use std::time::Duration;
//!
//! async fn minutes(ctx: JobContext) -> JobResult {
//!     let lines = ctx.room().data("lines").map(|line| match line {
//!         Ok(line) => String::from_utf8_lossy(&line.payload).into_owned(),
//!         Err(missed) => format!("({missed})"),
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
//! A batch is handed out when it has its number of items, when its first item has waited for its time, when
//! the source ends, or when it is time to stop: what is there then is the last batch. Items keep their order,
//! and none is handed out twice.
//!
//! # When a batch fails
//! [`process`](crate::patterns::Batches::process) ends with a [`BatchError`](crate::patterns::BatchError),
//! which holds the batch that failed; everything before it was processed, and the rest is still in the
//! `Batches`: call `process` again, or take it out with
//! [`into_source`](crate::patterns::Batches::into_source). `?` ends the attempt with the error's own kind.
//! What the room has sent and was not taken off its stream [waits for the next attempt](super::super::data);
//! what was taken and must not be lost goes into a [checkpoint](super::super::checkpoints), or back to where
//! it came from.
//!
//! # In a pipeline
//! Work in several stages, some of it in batches, is one [pipeline](super::pipelines) with a
//! [`batch`](crate::patterns::Pipeline::batch) stage. At the stop, the last batch goes through as it is, and
//! when a stage fails, all of it ends at once.
//! ```
//! use agent_worker::{JobContext, JobResult, patterns::Pipeline};
//! use std::time::Duration;
//!
//! async fn ingest(ctx: JobContext) -> JobResult {
//!     Pipeline::new(ctx.room().data("reading"), ctx.cancelled())
//!         .flush_within(ctx.grace() / 2)
//!         .stage("parse", async |reading| Ok(std::str::from_utf8(&reading?.payload)?.parse::<f64>()?))
//!         .batch(10, Duration::from_secs(1))
//!         .stage("store", async |rows: Vec<f64>| {
//!             Ok(ctx.room().publish_data("stored", rows.len().to_string()).await?) // into a database, for one
//!         })
//!         .run()
//!         .await?;
//!     Ok(())
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let readings = JobSpec::room("lobby").lasts(Duration::ZERO).script(|room| async move {
//!     let probe = room.join("probe");
//!     room.wait_for_agent().await;
//!     for n in 0..25 {
//!         probe.send_data("reading", n.to_string());
//!     }
//!     room.wait_for_data(|sent| sent.topic == "stored").await;
//! }); // then it is told to stop
//! let run = run_job(ingest, readings).await;
//! run.assert_success();
//! let stored: Vec<String> = run.sent_by_agent().map(|sent| sent.text()).collect();
//! assert_eq!(stored, ["10", "10", "5"]);
//! # });
//! ```
//! `Batches` before or behind a pipeline has a stop of its own, and needs it: as a source let it end by
//! [`until`](crate::patterns::Batches::until) and give the pipeline a stop that never comes, as after its
//! stop a pipeline takes nothing more off its source, and so no batch that has begun. Two that are connected
//! by a channel run in `tokio::try_join!`, not in `join!`: the one that fails then ends the other, which may
//! wait for it.
//!
//! # By hand
//! [`next`](crate::patterns::Batches::next) and [`next_or`](crate::patterns::Batches::next_or) give one
//! batch, and may stand in a `select!`: dropping their future loses nothing. `Batches` is a `Stream` of
//! batches, too. Dropped with a batch that has begun, it logs a warning with the number of items that are
//! lost.
//!
//! The example `batch` is a whole agent.
