//! The cleanup of an attempt: cancels its tasks and runs its callbacks. Its end is reported exactly once,
//! whatever a callback does.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use agent_core::{Input, JobId, callback_time};
use agent_proto::text::line;

use crate::job::attempt_room::AttemptRoom;
use crate::job::cancel::CancelSignal;
use crate::job::scope::{CallbackEnd, Scope, run_callback};
use crate::telemetry::{Meter, TraceSpan};

/// The cleanup of one attempt.
pub(super) struct Cleanup {
    pub(super) job: JobId,
    pub(super) attempt: u32,
    pub(super) scope: Arc<Scope>,
    /// Its span in the trace of the attempt, if there is one.
    pub(super) trace: Option<TraceSpan>,
    pub(super) cancel: CancelSignal,
    /// Callbacks may still use it.
    pub(super) room: Arc<AttemptRoom>,
    /// Time limit of the whole cleanup.
    pub(super) within: Duration,
    /// Time limit of one callback, if set.
    pub(super) callback_timeout: Option<Duration>,
    pub(super) inputs: UnboundedSender<Input>,
    pub(super) meter: Arc<Meter>,
}

/// A cancelled task ends at its next await; if it still runs after this time, it blocks and cannot be
/// cancelled.
const SLACK: Duration = Duration::from_secs(1);
/// Maximum number of task names in a log line.
const MAX_NAMES: usize = 8;

impl Cleanup {
    /// Runs the cleanup. Dropping the future ends it without running the rest.
    pub(super) async fn run(self) {
        let tasks = self.scope.cancel_tasks();
        if !tasks.is_empty() {
            // This is normal: a heartbeat, for example, needs no explicit end.
            tracing::debug!(
                count = tasks.len(),
                "cancelled the tasks of the attempt: {}",
                line(list(&tasks))
            );
        }
        let begun = Instant::now();
        // Yield to the driver: it was woken last and so is queued on this thread, which a blocking callback
        // may never release.
        tokio::task::yield_now().await;
        while let Some((callback, waiting)) = self.scope.next_callback() {
            let left = self.within.saturating_sub(begun.elapsed());
            if left.is_zero() {
                // The callbacks block, or keep registering others.
                let not_run = 1 + self.scope.drop_callbacks();
                tracing::warn!(limit = ?self.within, not_run, "the cleanup exceeded its time limit (`.cleanup_timeout(…)`): the rest was dropped");
                self.meter.cleanup_overrun();
                return;
            }
            let limit = callback_time(self.callback_timeout, left, waiting);
            match run_callback(callback, limit).await {
                CallbackEnd::Done => {}
                CallbackEnd::Panicked => self.meter.cleanup_panic(),
                CallbackEnd::TookTooLong => {
                    tracing::warn!(
                        ?limit,
                        waiting = waiting - 1,
                        "a cleanup callback exceeded its time limit and was dropped: its share of `.cleanup_timeout(…)`, and at most \
                         `.cleanup_callback_timeout(…)`"
                    );
                    self.meter.cleanup_overrun();
                }
            }
        }
    }
}

/// Logs and counts cancelled tasks that still run, as they block. Nothing waits for this.
pub(super) async fn find_leftovers(scope: Arc<Scope>, meter: Arc<Meter>) {
    let left = scope.tasks_ended(SLACK).await;
    if !left.is_empty() {
        let count = left.len();
        tracing::warn!(
            count,
            "tasks of the attempt still run {SLACK:?} after they were cancelled (blocking code?): {}",
            line(list(&left))
        );
        meter.leftover_tasks(count);
    }
}

fn list(names: &[Cow<'static, str>]) -> String {
    let more = if names.len() > MAX_NAMES { ", …" } else { "" };
    names.get(..MAX_NAMES).unwrap_or(names).join(", ") + more
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        // A callback may hold its own context, which holds the callbacks: this breaks the cycle.
        self.scope.drop_callbacks();
        self.room.end();
        drop(self.trace.take());
        self.scope.trace().finish(self.cancel.reason());
        let _ = self.inputs.send(Input::Cleaned { job: self.job.clone(), attempt: self.attempt });
    }
}
