//! Pipelines: items pass through named stages that run concurrently.
//!
//! ```
//! use agent_worker::{JobContext, JobResult, patterns::Pipeline};
//!
//! async fn shout(ctx: JobContext) -> JobResult {
//!     Pipeline::new(ctx.room().data("words"), ctx.cancelled())
//!         .flush_within(ctx.grace() / 2)
//!         .stage("decode", async |word| Ok(String::from_utf8(word?.payload.to_vec())?)) // lost messages are an error, too
//!         .stage("shout", async |word: String| Ok(word.to_uppercase()))
//!         .stage("publish", async |word| Ok(ctx.room().publish_data("shouted", word).await?))
//!         .run()
//!         .await?;
//!     Ok(())
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # fn sends(bytes: &'static [u8]) -> JobSpec {
//! #     JobSpec::room("lobby").script(move |room| async move {
//! #         let ada = room.join("ada");
//! #         room.wait_for_agent().await;
//! #         ada.send_data("words", bytes);
//! #         ada.leave();
//! #     })
//! # }
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let run = run_job(shout, sends(b"hello")).await;
//! let shouted = run.sent.iter().find(|sent| sent.topic == "shouted").unwrap();
//! assert_eq!(shouted.text(), "HELLO");
//! let run = run_job(shout, sends(b"\xff")).await;
//! assert!(!run.outcome.is_success());
//! # });
//! ```
//!
//! # Concurrency and queues
//! Each stage processes one item at a time, and items keep their order. At most 100 items are queued between
//! two stages (unless set by [`with_capacity`](crate::patterns::Pipeline::with_capacity)); a slower stage
//! slows down those before it, up to the source, so memory is bounded. A
//! [`batch`](crate::patterns::Pipeline::batch) stage collects items into [batches](super::batches). The
//! pipeline is one future in the job's task: run long computations of a stage in
//! `tokio::task::spawn_blocking`.
//!
//! # How a pipeline ends
//! | event | effect |
//! |---|---|
//! | the source ends | all items complete, `Ok` |
//! | it is stopped | no new items are taken from the source, the taken items complete, `Ok` |
//! | that takes longer than `flush_within` | the rest is dropped; the error of the stage `flush` has the number of dropped items |
//! | a stage fails | items ahead of the failed one complete, those behind it are dropped; the error names the stage, and the log warns with the number of lost items |
//! | it is dropped, in a `select!` or because the job is aborted | every stage ends at its current await, and the log warns with the number of lost items |
//!
//! `?` on the error ends the job with the kind that the stage has set: after a
//! [retryable](crate::JobError::retryable) error the job is retried. The
//! [`PipelineError`](crate::patterns::PipelineError) contains the
//! [stage](crate::patterns::PipelineError::stage) and the number of items that were
//! [done](crate::patterns::Progress::done): always the first ones, so save this number in a
//! [checkpoint](super::super::checkpoints). The next attempt gets the items that were not taken from [the
//! room's stream](super::super::data) yet; the failed item and those behind it are lost, unless the handler
//! saves them. With a smaller capacity fewer items are taken in advance.
//!
//! # Limiting the time to end
//! Finishing the taken items takes time: two stages with 100 queued items each, at 40 ms per item, are 8 s of
//! work. A handler has only its [grace](crate::JobContext::grace) after the cancellation, 10 s unless set;
//! then the job is aborted, fails as `aborted: shutdown`, and its progress is unknown.
//! [`flush_within`](crate::patterns::Pipeline::flush_within) limits the time: a part of the grace for the
//! pipeline, the rest for the handler. If that is not enough, the job fails as well, but its error has the
//! number of dropped items; a handler that can accept this checks
//! [`progress`](crate::patterns::PipelineError::progress), whose
//! [`dropped`](crate::patterns::Progress::dropped) items are those after the first `done`. With a smaller
//! capacity fewer items are taken in advance: the others stay in the room's stream.
//!
//! The example `pipeline` is a complete agent.
