//! Shapes that many handlers have, a page for each. The types are in [`patterns`](crate::patterns).
//!
//! - [`pipelines`]: named stages, all at work at once
//! - [`state_machines`]: in this state, on that event, do this
//! - [`pools`]: a few costly things that jobs share
//! - [`batches`]: items together, by number and by time
//!
//! Each of them takes what says when to stop as a future, most often
//! [`ctx.cancelled()`](crate::JobContext::cancelled), and none of them knows of jobs: they can be tested
//! without a worker, and used in code that has none.

pub mod batches;
pub mod pipelines;
pub mod pools;
pub mod state_machines;
