//! The task of a subject.

use std::time::Duration;

use clap::Args;

/// The task of a subject.
#[derive(Args, Clone, Debug)]
pub(crate) struct Task {
    /// The URL of the load server.
    #[arg(long)]
    pub(crate) url: String,
    /// Maximum number of concurrent jobs.
    #[arg(long)]
    pub(crate) max_jobs: usize,
    /// Whether jobs run until they are terminated; otherwise they end immediately.
    #[arg(long)]
    pub(crate) hold: bool,
    /// The worker's settling time, if not the default.
    #[arg(long)]
    pub(crate) settling_ms: Option<u64>,
}

impl Task {
    pub(super) fn settling(&self) -> Option<Duration> {
        self.settling_ms.map(Duration::from_millis)
    }
}
