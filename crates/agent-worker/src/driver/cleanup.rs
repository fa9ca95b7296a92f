//! What comes after an attempt: its tasks are cancelled, its callbacks run. It is told to be over exactly once, whatever a callback does.

use crate::scope::{Scope, run_callback};
use crate::telemetry::Meter;
use agent_core::{Input, JobId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// The cleanup of one attempt.
pub(super) struct Cleanup {
    pub(super) job: JobId,
    pub(super) attempt: u32,
    pub(super) scope: Arc<Scope>,
    pub(super) within: Duration,
    pub(super) tell: UnboundedSender<Input>,
    pub(super) meter: Arc<Meter>,
}

/// Names of tasks in one line of the log.
const MAX_NAMES: usize = 8;

impl Cleanup {
    /// Runs it. Dropping the future ends it: the rest is not run.
    pub(super) async fn run(self) {
        let leftovers = self.scope.cancel_tasks();
        if !leftovers.is_empty() {
            let (count, names) =
                (leftovers.len(), leftovers.get(..MAX_NAMES).unwrap_or(&leftovers).join(", "));
            tracing::warn!(count, "cancelled tasks that the attempt left behind: {names}");
            self.meter.leftover_tasks(count);
        }
        let all = async {
            while let Some(callback) = self.scope.next_callback() {
                if !run_callback(callback).await {
                    self.meter.cleanup_panic();
                }
            }
        };
        if tokio::time::timeout(self.within, all).await.is_err() {
            let (limit, not_run) = (self.within, self.scope.drop_callbacks());
            tracing::warn!(?limit, not_run, "the cleanup took too long and was dropped");
            self.meter.cleanup_overrun();
        }
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        // A callback may hold its own context, which holds the callbacks: what is not run is dropped with this.
        self.scope.drop_callbacks();
        let _ = self.tell.send(Input::Cleaned { job: self.job.clone(), attempt: self.attempt });
    }
}
