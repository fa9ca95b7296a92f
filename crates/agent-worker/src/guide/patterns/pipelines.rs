//! A pipeline: items go through named stages, which all work at the same time.
//!
//! ```
//! use agent_worker::{JobContext, JobResult, patterns::Pipeline};
//!
//! async fn shout(ctx: JobContext) -> JobResult {
//!     Pipeline::new(ctx.room().data("words"), ctx.cancelled())
//!         .flush_within(ctx.grace() / 2)
//!         .stage("decode", async |word| Ok(String::from_utf8(word?.payload.to_vec())?)) // what is missing is an error, too
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
//! ([`with_capacity`](crate::patterns::Pipeline::with_capacity) says otherwise); a stage that is slower than
//! those before it holds them back, down to the source, so a pipeline never grows. A
//! [`batch`](crate::patterns::Pipeline::batch) stage makes [batches](super::batches) of what goes through.
//! All of it is one future of the job's own task: a stage that computes for long does so in
//! `tokio::task::spawn_blocking`.
//!
//! # When it ends
//! | what happens | then |
//! |---|---|
//! | the source ends | everything goes through, `Ok` |
//! | it is told to stop | nothing new is taken off the source, what was taken goes through, `Ok` |
//! | that takes longer than `flush_within` | the rest is dropped; the error of the stage `flush` says how many items that were |
//! | a stage fails | what is ahead of the failed item goes through, nothing behind it does; the error names the stage, and the log warns with the number of items that are lost |
//! | it is dropped, in a `select!` or as the job is aborted | every stage ends where it is, and the log warns with the number of items that are lost |
//!
//! `?` on the error ends the job by the kind that the stage gave it: a
//! [retryable](crate::JobError::retryable) error is tried again. The
//! [`PipelineError`](crate::patterns::PipelineError) itself says which
//! [stage](crate::patterns::PipelineError::stage) it was and how many items were
//! [done](crate::patterns::Progress::done): always the first ones, which is what a
//! [checkpoint](super::super::checkpoints) wants to know. The next attempt gets what was not taken off
//! [the room's stream](super::super::data) yet; the failed item and those behind it are gone, unless the
//! handler keeps them itself. A smaller capacity takes less ahead.
//!
//! # How long it takes to end
//! What a pipeline has taken before its stop takes time: two stages with 100 items before each, at 40 ms an
//! item, are 8 s of work. A handler has only its [grace](crate::JobContext::grace) after the stop, 10 s
//! unless the worker says otherwise; then the job is aborted, fails as `aborted: shutdown`, and how much was
//! done is not known. [`flush_within`](crate::patterns::Pipeline::flush_within) bounds it by time: a part of
//! the grace goes to the pipeline, the rest is for what the handler does then. If that is not enough, the job
//! fails as well, but says how much is missing, and a handler that can live with it looks at
//! [`progress`](crate::patterns::PipelineError::progress), whose
//! [`dropped`](crate::patterns::Progress::dropped) items are those after the first `done`. A smaller
//! capacity takes less at a time: what is not taken stays in the room's stream.
//!
//! The example `pipeline` is a whole agent.
