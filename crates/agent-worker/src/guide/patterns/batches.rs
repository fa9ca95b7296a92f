//! Batches: items that are processed together, as each call is expensive: rows for a database, lines for a
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
//!         Ok(ctx.room().publish_data("saved", batch.join(" ")).await?) // or into a database
//!     };
//!     batches.process(ctx.cancelled(), save).await?;
//!     Ok(())
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let input = JobSpec::room("lobby").script(|room| async move {
//!     let ada = room.join("ada");
//!     room.wait_for_agent().await;
//!     for line in ["one", "two", "three"] {
//!         ada.send_data("lines", line);
//!     }
//!     tokio::time::sleep(Duration::from_secs(2)).await; // virtual time
//!     ada.send_data("lines", "four");
//!     ada.leave();
//! });
//! let run = run_job(minutes, input).await;
//! let saved: Vec<String> = run.sent.iter().filter(|sent| sent.topic == "saved").map(|sent| sent.text()).collect();
//! assert_eq!(saved, ["one two", "three", "four"]); // full, after a second, and at the end
//! # });
//! ```
//!
//! A batch is returned when it is full, when its first item has waited for the time limit, at the end of the
//! source, or at the stop: the remaining items are the last batch. Items keep their order, and none is
//! returned twice.
//!
//! # When a batch fails
//! [`process`](crate::patterns::Batches::process) ends with a [`BatchError`](crate::patterns::BatchError),
//! which holds the batch that failed; everything before it was processed, and the rest is still in the
//! `Batches`: call `process` again, or take it out with
//! [`into_source`](crate::patterns::Batches::into_source). `?` ends the attempt with the error's own kind.
//! Messages of the room that were not taken from its stream [are kept for the next
//! attempt](super::super::data); save taken items that must not be lost in a
//! [checkpoint](super::super::checkpoints), or return them to their source.
//!
//! # In a pipeline
//! For work in several stages, some of it in batches, use a [pipeline](super::pipelines) with a
//! [`batch`](crate::patterns::Pipeline::batch) stage. At the stop, the last batch passes through incomplete,
//! and when a stage fails, the whole pipeline ends.
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
//!             Ok(ctx.room().publish_data("stored", rows.len().to_string()).await?) // or into a database
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
//! }); // then it is cancelled
//! let run = run_job(ingest, readings).await;
//! run.assert_success();
//! let stored: Vec<String> = run.sent_by_agent().map(|sent| sent.text()).collect();
//! assert_eq!(stored, ["10", "10", "5"]);
//! # });
//! ```
//! `Batches` before or behind a pipeline needs its own stop: as a source, let it end by
//! [`until`](crate::patterns::Batches::until) and give the pipeline a stop that never completes, as a
//! pipeline takes nothing more from its source after its stop, not even an incomplete batch. Run two that are
//! connected by a channel in `tokio::try_join!`, not in `join!`: if one fails, it ends the other, which may
//! wait for it.
//!
//! # Single batches
//! [`next`](crate::patterns::Batches::next) and [`next_or`](crate::patterns::Batches::next_or) return one
//! batch, and are cancel-safe in a `select!`. `Batches` is a `Stream` of batches, too. If it is dropped with
//! an incomplete batch, it logs a warning with the number of lost items.
//!
//! The example `batch` is a complete agent.
