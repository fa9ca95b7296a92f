//! Shapes that many handlers have: work in batches, in stages, by a table of states, on a few shared things.
//!
//! None of them knows of jobs beyond "stop": each takes what says when to stop as a future, most often
//! [`ctx.cancelled()`](crate::JobContext::cancelled), so all of them can be tested without a worker.

use std::ops::RangeInclusive;

mod batch;
mod pipeline;
mod pool;
mod state_machine;

pub use batch::{BatchError, Batches};
pub use pipeline::{Pipeline, PipelineError, Processed};
pub use pool::{Pool, PoolError, Pooled};
pub use state_machine::{StateMachine, StateMachineError, Walk};

/// The nearest size within the range: a program that computes its sizes does not end over one, but is not left in the dark either.
fn in_range(what: &'static str, size: usize, range: RangeInclusive<usize>) -> usize {
    let nearest = size.clamp(*range.start(), *range.end());
    if nearest != size {
        tracing::warn!(
            "{what} must be from {} to {}: {nearest} is used instead of {size}",
            range.start(),
            range.end()
        );
    }
    nearest
}
