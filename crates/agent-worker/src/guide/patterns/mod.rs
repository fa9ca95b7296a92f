//! Common patterns of handlers. The types are in [`patterns`](crate::patterns).
//!
//! - [`pipelines`]: named stages that run concurrently
//! - [`state_machines`]: a table of states, events and actions
//! - [`pools`]: expensive resources that jobs share
//! - [`batches`]: groups of items, limited by size and time
//!
//! Each takes the stop signal as a future, usually [`ctx.cancelled()`](crate::JobContext::cancelled), and
//! none depends on jobs: they can be tested and used without a worker.

pub mod batches;
pub mod pipelines;
pub mod pools;
pub mod state_machines;
