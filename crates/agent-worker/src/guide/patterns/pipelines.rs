//! A pipeline: items go through named stages, which all work at the same time.
//!
//! ```
//! use agent_worker::{JobContext, JobError, JobResult, RoomEvent, patterns::Pipeline};
//! use futures_util::StreamExt;
//!
//! async fn shout(ctx: JobContext) -> JobResult {
//!     let words = ctx.room().events().filter_map(async |event| match event {
//!         RoomEvent::DataReceived(data) => Some(data.payload),
//!         _ => None,
//!     });
//!     Pipeline::new(words, ctx.cancelled())
//!         .stage("decode", async |bytes: bytes::Bytes| Ok(String::from_utf8(bytes.to_vec())?))
//!         .stage("shout", async |word: String| Ok(word.to_uppercase()))
//!         .stage("publish", async |word| Ok(ctx.room().publish_data("shouted", word).await?))
//!         .run()
//!         .await?;
//!     Ok(())
//! }
//! # use agent_testkit::{JobSpec, run_job};
//! # fn says(bytes: &'static [u8]) -> JobSpec {
//! #     JobSpec::room("lobby").script(move |room| async move {
//! #         let ada = room.join("ada");
//! #         room.wait_for_agent().await;
//! #         ada.send_data("words", bytes);
//! #         ada.leave();
//! #     })
//! # }
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # runtime.block_on(async {
//! let run = run_job(shout, says(b"hello")).await;
//! let shouted = run.sent.iter().find(|sent| sent.topic == "shouted").unwrap();
//! assert_eq!(shouted.text(), "HELLO");
//! let run = run_job(shout, says(b"\xff")).await;
//! assert!(!run.outcome.is_success());
//! # });
//! ```
//!
//! # How fast, how much
//! Each stage has one item in work, and items keep their order. Between two stages at most 100 items wait
//! ([`with_capacity`](crate::patterns::Pipeline::with_capacity) says otherwise); a stage that is slower than those before it holds them back, down
//! to the source, so a pipeline never grows. All of it is one future of the job's own task: a stage that computes for long does so in
//! `tokio::task::spawn_blocking`.
//!
//! # When it ends
//! | what happens | then |
//! |---|---|
//! | the source ends | everything goes through, `Ok` |
//! | it is told to stop | nothing new is taken off the source, what was taken goes through, `Ok` |
//! | a stage fails | what is ahead of the failed item goes through, nothing behind it does; the error names the stage |
//! | it is dropped | every stage ends where it is |
//!
//! `?` on the error ends the job by the kind that the stage gave it: a [retryable](crate::JobError::retryable) error is tried again. The
//! [`PipelineError`](crate::patterns::PipelineError) itself says which [stage](crate::patterns::PipelineError::stage) it was and how many items were
//! [done](crate::patterns::Processed::done): always the first so many, which is what a [checkpoint](super::super::checkpoints) wants to know.
//!
//! The example `pipeline` is a whole agent.
