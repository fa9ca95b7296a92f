//! Shapes that many handlers have: work in batches, in stages, by a table of states, on a few shared things.
//!
//! None of them knows of jobs beyond "stop": each takes what says when to stop as a future, most often
//! [`ctx.cancelled()`](crate::JobContext::cancelled), so all of them can be tested without a worker.

mod batch;
mod pipeline;
mod pool;
mod size;
mod state_machine;

pub use batch::{BatchError, Batches};
pub use pipeline::{Pipeline, PipelineError, Progress};
pub use pool::{Pool, PoolError, PoolGuard};
pub use state_machine::{RunSummary, StateMachine, StateMachineError};
