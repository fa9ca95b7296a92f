//! What a worker counts and reports of itself: see [`WorkerHandle`](crate::WorkerHandle).

pub use crate::worker::handle::WorkerStatus;
pub use crate::worker::stats::{FailureLabel, WorkerStats};
pub use agent_core::{DrainReport, SlotCounts};
