//! Statistics and status of a worker: see [`WorkerHandle`](crate::WorkerHandle).

pub use crate::worker::handle::WorkerStatus;
pub use crate::worker::stats::{FailureLabel, WorkerStats};
pub use agent_core::{DrainReport, SlotCounts};
