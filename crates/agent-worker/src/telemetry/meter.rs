//! The counters of one worker: each event is counted once, for its handles and for the recorder.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge, SharedString};

use agent_core::{CheckpointError, EndedJob, GivenAnswer, LeaseLoss, Violation, Worker};
use agent_rtc::{Dropped, NetworkPath};

use super::gauges::{GaugeGuard, SharedGauge};
use super::handles::Handles;
#[cfg(feature = "http")]
use super::histogram::TimeHistogram;
use super::labels::BoundedLabels;
use super::table;
use crate::worker::stats::{FailureLabel, WorkerStats, kind_label, reason_label};

/// The counters of one worker, shared by the driver, its tasks and the worker's handles.
#[derive(Default)]
pub(crate) struct Meter {
    state: Mutex<State>,
    /// Set when the worker starts.
    handles: OnceLock<Handles>,
}

#[derive(Default)]
struct State {
    stats: WorkerStats,
    reasons: BoundedLabels,
    #[cfg(feature = "http")]
    launches: TimeHistogram,
}

impl Meter {
    /// Takes the handles of the recorder that is installed now; earlier events are only in the statistics.
    pub(crate) fn start(&self, agent_name: &str) {
        table::describe();
        self.handles.get_or_init(|| Handles::register(agent_name));
    }

    pub(crate) fn stats(&self) -> WorkerStats {
        self.lock().stats.clone()
    }

    /// The times from assignments to the first calls of their handlers.
    #[cfg(feature = "http")]
    pub(crate) fn launches(&self) -> TimeHistogram {
        self.lock().launches.clone()
    }

    /// The gauges of a running worker, until they are dropped.
    pub(crate) fn gauges(&self, max_jobs: usize) -> WorkerGauges {
        let shared = |gauge: fn(&Handles) -> &Gauge| {
            SharedGauge::new(self.handles.get().map_or_else(Gauge::noop, |handles| gauge(handles).clone()))
        };
        let mut max = shared(|handles| &handles.max_jobs);
        max.set(number(max_jobs));
        WorkerGauges {
            active: 0,
            active_jobs: shared(|handles| &handles.active_jobs),
            slots_used: shared(|handles| &handles.slots_used),
            registered: shared(|handles| &handles.registered),
            draining: shared(|handles| &handles.draining),
            quiet: shared(|handles| &handles.quiet),
            load: Load { gauge: self.handles.get().map_or_else(Gauge::noop, |h| h.load.clone()), shown: 0.0 },
            _max_jobs: max,
        }
    }

    pub(crate) fn offer_answered(&self, answer: GivenAnswer, after: Option<Duration>) {
        let Some(handles) = self.handles.get() else { return };
        let refused = |reason: &'static str| {
            let labels = [handles.agent_name(), answer.label().into(), reason.into()];
            table::OFFERS.counter_with(labels).increment(1);
        };
        match answer {
            GivenAnswer::Accepted => handles.accepted.increment(1),
            GivenAnswer::Declined(reason) => refused(reason.label()),
            GivenAnswer::Dismissed => refused(""),
        }
        if let Some(after) = after {
            handles.offer_answer.record(after);
        }
    }

    pub(crate) fn assigned(&self, waited: Option<Duration>) {
        if let (Some(handles), Some(waited)) = (self.handles.get(), waited) {
            handles.assignment_wait.record(waited);
        }
    }

    pub(crate) fn not_assigned(&self) {
        self.with(|handles| handles.unassigned.increment(1));
    }

    /// A room was joined, or the join failed.
    pub(crate) fn joined(&self, took: Duration, succeeded: bool) {
        self.with(|handles| {
            if succeeded {
                handles.joined.record(took);
            } else {
                table::ROOM_JOIN.histogram_with([handles.agent_name(), "failed".into()]).record(took);
            }
        });
    }

    /// The path of a joined room's media and data.
    pub(crate) fn room_path(&self, path: &NetworkPath) {
        self.with(|handles| {
            table::ROOM_PATHS.counter_with([handles.agent_name(), path.as_str().into()]).increment(1);
        });
    }

    /// The handler of a job is called for the first time, `after` its assignment.
    pub(crate) fn launched(&self, after: Duration) {
        #[cfg(feature = "http")]
        self.lock().launches.record(after);
        self.with(|handles| handles.job_launch.record(after));
    }

    pub(crate) fn ended(&self, ended: &EndedJob) {
        let Some(kind) = &ended.kind else {
            self.lock().stats.succeeded += 1;
            return self.with(|handles| {
                handles.succeeded.increment(1);
                handles.success_duration.record(ended.duration);
            });
        };
        let mut state = self.lock();
        let label =
            FailureLabel { kind: kind_label(kind), reason: state.reasons.bounded(reason_label(kind)) };
        *state.stats.failures.entry(label.clone()).or_default() += 1;
        drop(state);
        self.with(|handles| {
            handles.failed.increment(1);
            handles.failure_duration.record(ended.duration);
            let labels = [handles.agent_name(), label.kind.into(), label.reason.into()];
            table::JOB_FAILURES.counter_with(labels).increment(1);
        });
    }

    pub(crate) fn retry(&self) {
        self.tally(1, |stats| &mut stats.retries, |handles| &handles.retries);
    }

    pub(crate) fn stuck(&self) {
        self.tally(1, |stats| &mut stats.stuck, |handles| &handles.stuck);
    }

    pub(crate) fn stale(&self) {
        self.tally(1, |stats| &mut stats.stale, |handles| &handles.stale);
    }

    /// Code of the user blocks its thread.
    pub(crate) fn blocking(&self) {
        let Some(handles) = self.handles.get() else { return };
        handles.blocked.increment(1);
    }

    pub(crate) fn leftover_tasks(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.tally(count, |stats| &mut stats.leftover_tasks, |handles| &handles.leftover_tasks);
    }

    pub(crate) fn cleanup_overrun(&self) {
        self.tally(1, |stats| &mut stats.cleanup_overruns, |handles| &handles.cleanup_overruns);
    }

    pub(crate) fn stuck_cleanup(&self) {
        self.tally(1, |stats| &mut stats.stuck_cleanups, |handles| &handles.stuck_cleanups);
    }

    pub(crate) fn cleanup_panic(&self) {
        self.tally(1, |stats| &mut stats.cleanup_panics, |handles| &handles.cleanup_panics);
    }

    pub(crate) fn reconnected(&self) {
        self.with(|handles| handles.reconnects.increment(1));
    }

    pub(crate) fn connection_failed(&self) {
        self.with(|handles| handles.connection_failures.increment(1));
    }

    pub(crate) fn violation(&self, violation: Violation) {
        self.with(|handles| {
            table::VIOLATIONS.counter_with([handles.agent_name(), violation.label().into()]).increment(1);
        });
    }

    pub(crate) fn checkpoint_saved(&self, result: Result<(), &CheckpointError>, took: Duration) {
        self.with(|handles| match result {
            Ok(()) => {
                handles.saved.increment(1);
                handles.save_took.record(took);
            }
            Err(error) => {
                table::CHECKPOINT_SAVES
                    .counter_with([handles.agent_name(), error.label().into()])
                    .increment(1);
            }
        });
    }

    /// A checkpoint was loaded (`true`), was missing (`false`), or loading failed.
    pub(crate) fn checkpoint_loaded(&self, result: Result<bool, &CheckpointError>) {
        let result = match result {
            Ok(true) => "found",
            Ok(false) => "nothing",
            Err(error) => error.label(),
        };
        self.with(|handles| {
            table::CHECKPOINT_LOADS.counter_with([handles.agent_name(), result.into()]).increment(1);
        });
    }

    /// A job leads until the returned guard is dropped.
    pub(crate) fn lead(&self) -> GaugeGuard {
        self.with(|handles| handles.elections_won.increment(1));
        GaugeGuard::new(self.handles.get().map_or_else(Gauge::noop, |handles| handles.leads.clone()))
    }

    pub(crate) fn lead_lost(&self, why: LeaseLoss) {
        self.with(|handles| {
            table::LEADS_LOST
                .counter_with([handles.agent_name(), SharedString::from(why.label())])
                .increment(1);
        });
    }

    pub(crate) fn published(&self) {
        self.with(|handles| handles.published.increment(1));
    }

    pub(crate) fn received(&self) {
        self.with(|handles| handles.received.increment(1));
    }

    pub(crate) fn missed(&self, lost: u64, lagged: u64) {
        self.with(|handles| {
            handles.lost.increment(lost);
            handles.lagged.increment(lagged);
        });
    }

    pub(crate) fn interrupted(&self) {
        self.with(|handles| handles.interruptions.increment(1));
    }

    pub(crate) fn room_events_dropped(&self, dropped: Dropped) {
        let Dropped { events, messages, frames, streams } = dropped;
        self.tally(events, |stats| &mut stats.dropped_room_events, |handles| &handles.dropped_events);
        self.tally(messages, |stats| &mut stats.dropped_room_events, |handles| &handles.dropped_messages);
        self.tally(frames, |stats| &mut stats.dropped_room_events, |handles| &handles.dropped_frames);
        self.tally(streams, |stats| &mut stats.dropped_room_events, |handles| &handles.dropped_streams);
    }

    /// Adds to both a statistic and a metric.
    fn tally(&self, by: u64, stat: fn(&mut WorkerStats) -> &mut u64, counter: fn(&Handles) -> &Counter) {
        *stat(&mut self.lock().stats) += by;
        self.with(|handles| counter(handles).increment(by));
    }

    fn with(&self, record: impl FnOnce(&Handles)) {
        if let Some(handles) = self.handles.get() {
            record(handles);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The gauges of a running worker. Dropping them resets them to 0.
pub(crate) struct WorkerGauges {
    /// Started jobs that have not ended.
    pub(crate) active: usize,
    active_jobs: SharedGauge,
    slots_used: SharedGauge,
    registered: SharedGauge,
    draining: SharedGauge,
    quiet: SharedGauge,
    load: Load,
    _max_jobs: SharedGauge,
}

impl WorkerGauges {
    /// Publishes the worker's state; costs nothing if nothing has changed.
    pub(crate) fn update(&mut self, worker: &Worker) {
        self.active_jobs.set(number(self.active));
        self.slots_used.set(number(worker.used_slots()));
        self.registered.set(f64::from(u8::from(worker.is_registered())));
        self.draining.set(f64::from(u8::from(worker.is_draining())));
        self.quiet.set(f64::from(u8::from(worker.is_quiet())));
        self.load.set(worker.load());
    }
}

/// The load gauge. The loads of two workers do not add up: the last change is shown.
struct Load {
    gauge: Gauge,
    shown: f32,
}

impl Load {
    #[allow(clippy::float_cmp, reason = "compares with the value that was set before, bit by bit")]
    fn set(&mut self, load: f32) {
        if self.shown != load {
            self.gauge.set(f64::from(load));
            self.shown = load;
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.set(0.0);
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts stay below 2^52")]
const fn number(count: usize) -> f64 {
    count as f64
}
