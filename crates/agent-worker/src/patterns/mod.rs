//! Common patterns of handlers: batches, pipelines, state machines, and resource pools.
//!
//! None of them depends on jobs: each takes the stop signal as a future, usually
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
