//! What comes after an attempt: its tasks are cancelled, its callbacks run. It is told to be over exactly
//! once, whatever a callback does.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use agent_core::{Input, JobId, callback_time};
use agent_proto::text::line;

use crate::job::attempt_room::AttemptRoom;
use crate::job::scope::{CallbackEnd, Scope, run_callback};
use crate::telemetry::Meter;

/// The cleanup of one attempt.
pub(super) struct Cleanup {
    pub(super) job: JobId,
    pub(super) attempt: u32,
    pub(super) scope: Arc<Scope>,
    /// Callbacks may still use it.
    pub(super) room: Arc<AttemptRoom>,
    /// How long all of it may take.
    pub(super) within: Duration,
    /// How long one callback may take at most, if that was set.
    pub(super) callback_timeout: Option<Duration>,
    pub(super) tell: UnboundedSender<Input>,
    pub(super) meter: Arc<Meter>,
}

/// A cancelled task ends when it next waits for something; one that is still there after this long cannot be
/// cancelled.
const SLACK: Duration = Duration::from_secs(1);
/// Names of tasks in one line of the log.
const MAX_NAMES: usize = 8;

impl Cleanup {
    /// Runs it. Dropping the future ends it: the rest is not run.
    pub(super) async fn run(self) {
        let tasks = self.scope.cancel_tasks();
        if !tasks.is_empty() {
            // As it should be: who spawns a heartbeat does not want to end it by hand.
            tracing::debug!(
                count = tasks.len(),
                "cancelled the tasks of the attempt: {}",
                line(list(&tasks))
            );
        }
        let begun = Instant::now();
        // The driver goes first: woken last, it is bound to this thread, which a callback with blocking code
        // may not give back.
        tokio::task::yield_now().await;
        while let Some((callback, waiting)) = self.scope.next_callback() {
            let left = self.within.saturating_sub(begun.elapsed());
            if left.is_zero() {
                // They block, or register others without end.
                let not_run = 1 + self.scope.drop_callbacks();
                tracing::warn!(limit = ?self.within, not_run, "the cleanup took too long (`.cleanup_timeout(…)`): the rest was dropped");
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
                        "a cleanup callback took too long and was dropped: it has its share of `.cleanup_timeout(…)`, and at most \
                         `.cleanup_callback_timeout(…)`"
                    );
                    self.meter.cleanup_overrun();
                }
            }
        }
    }
}

/// Looks after the tasks that were cancelled, which code that blocks does not notice. Nothing waits for this.
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
        // A callback may hold its own context, which holds the callbacks: what is not run is dropped with
        // this.
        self.scope.drop_callbacks();
        self.room.end();
        let _ = self.tell.send(Input::Cleaned { job: self.job.clone(), attempt: self.attempt });
    }
}
