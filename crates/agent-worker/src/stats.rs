//! What a worker counts: jobs by how they ended, attempts, and what they left behind.
//!
//! The same goes to the `metrics` facade (`meter`). Reasons come from handlers, so both keep a bounded number of them.

use crate::meter::{self, Meter};
use agent_core::JobErrorKind;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Different reasons that are counted by their name; those after it are counted as `other`.
const MAX_REASONS: usize = 64;
/// The longest reason, in bytes; a longer one is counted as `other`.
const MAX_REASON_LEN: usize = 64;
const OTHER: &str = "other";

/// What a worker has counted since it was made; see [`WorkerHandle::stats`](crate::WorkerHandle::stats).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Jobs that ended with success.
    pub succeeded: u64,
    /// Jobs that ended with failure, by what kind of failure it was.
    pub failures: BTreeMap<FailureLabel, u64>,
    /// Attempts that followed one that failed.
    pub retries: u64,
    /// Attempts that could not be aborted.
    pub stuck: u64,
    /// Tasks that were still there when their attempt was over, and were cancelled.
    pub leftover_tasks: u64,
    /// Times that a job had not said for too long that it gets on.
    pub stale: u64,
    /// Cleanups that took too long and were dropped.
    pub cleanup_overruns: u64,
    /// Cleanups that took too long and could not be dropped.
    pub stuck_cleanups: u64,
    /// Cleanup callbacks that panicked.
    pub cleanup_panics: u64,
}

/// What failures are counted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct FailureLabel {
    /// `cancelled`, `fatal`, `invalid`, `panicked`, `retryable` or `timed_out`.
    pub kind: &'static str,
    /// The reason of a fatal failure, `invalid_input` for an invalid one, and else the kind once more. At most 64 different reasons of
    /// at most 64 bytes are kept for a worker; further ones are `other`.
    pub reason: Cow<'static, str>,
}

impl WorkerStats {
    /// All jobs that ended with failure.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Jobs that ended with failure for this reason.
    #[must_use]
    pub fn failed_for(&self, reason: &str) -> u64 {
        self.failures.iter().filter(|(label, _)| label.reason == reason).map(|(_, count)| count).sum()
    }
}

/// The word by which a kind of failure is counted.
pub(crate) fn kind_label(kind: &JobErrorKind) -> &'static str {
    match kind {
        JobErrorKind::Cancelled => "cancelled",
        JobErrorKind::Fatal { .. } => "fatal",
        JobErrorKind::Invalid { .. } => "invalid",
        JobErrorKind::Panicked => "panicked",
        JobErrorKind::Retryable { .. } => "retryable",
        JobErrorKind::TimedOut => "timed_out",
        _ => OTHER,
    }
}

/// The reason by which it is counted, as the handler gave it.
pub(crate) fn reason_label(kind: &JobErrorKind) -> Cow<'static, str> {
    match kind {
        JobErrorKind::Fatal { reason } => reason.clone(),
        JobErrorKind::Invalid { .. } => Cow::Borrowed("invalid_input"),
        other => Cow::Borrowed(kind_label(other)),
    }
}

/// The counters themselves. The driver and its tasks share them with the worker's handles.
pub(crate) struct Counters {
    meter: Meter,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stats: WorkerStats,
    reasons: BTreeSet<Cow<'static, str>>,
}

impl Counters {
    pub(crate) fn new(agent_name: &str) -> Self {
        Self { meter: Meter::new(agent_name), state: Mutex::default() }
    }

    pub(crate) const fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(crate) fn stats(&self) -> WorkerStats {
        self.lock().stats.clone()
    }

    /// A job ended: with this kind of failure, or with success.
    pub(crate) fn ended(&self, failure: Option<&JobErrorKind>) {
        let Some(kind) = failure else {
            self.lock().stats.succeeded += 1;
            return;
        };
        let mut state = self.lock();
        let label = FailureLabel { kind: kind_label(kind), reason: state.bounded(reason_label(kind)) };
        *state.stats.failures.entry(label.clone()).or_default() += 1;
        drop(state);
        self.meter.failure(&label);
    }

    pub(crate) fn retry(&self) {
        self.lock().stats.retries += 1;
        self.meter.count(meter::RETRIES, 1);
    }

    pub(crate) fn stuck(&self) {
        self.lock().stats.stuck += 1;
        self.meter.count(meter::STUCK, 1);
    }

    pub(crate) fn stale(&self) {
        self.lock().stats.stale += 1;
        self.meter.count(meter::STALE, 1);
    }

    pub(crate) fn leftover_tasks(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.lock().stats.leftover_tasks += count;
        self.meter.count(meter::LEFTOVERS, count);
    }

    pub(crate) fn cleanup_overrun(&self) {
        self.lock().stats.cleanup_overruns += 1;
        self.meter.count(meter::CLEANUP_OVERRUNS, 1);
    }

    pub(crate) fn stuck_cleanup(&self) {
        self.lock().stats.stuck_cleanups += 1;
        self.meter.count(meter::STUCK_CLEANUPS, 1);
    }

    pub(crate) fn cleanup_panic(&self) {
        self.lock().stats.cleanup_panics += 1;
        self.meter.count(meter::CLEANUP_PANICS, 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A reason, unless there are too many of them, or it is too long to be one.
    fn bounded(&mut self, reason: Cow<'static, str>) -> Cow<'static, str> {
        if self.reasons.contains(&reason) {
            reason
        } else if self.reasons.len() < MAX_REASONS && reason.len() <= MAX_REASON_LEN {
            self.reasons.insert(reason.clone());
            reason
        } else {
            Cow::Borrowed(OTHER)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(state: &mut State, reason: &str) -> String {
        state.bounded(Cow::Owned(reason.to_owned())).into_owned()
    }

    #[test]
    fn reasons_are_bounded() {
        let mut state = State::default();
        for n in 0..MAX_REASONS {
            assert_eq!(label(&mut state, &format!("reason_{n}")), format!("reason_{n}"));
        }
        assert_eq!(label(&mut state, "one_too_many"), "other");
        assert_eq!(label(&mut state, "reason_3"), "reason_3", "a known one is still counted by its name");
        assert_eq!(label(&mut State::default(), &"x".repeat(MAX_REASON_LEN + 1)), "other");
    }

    #[test]
    fn a_recorder_of_the_metrics_facade_hears_of_failures() {
        let recorder = metrics_util::debugging::DebuggingRecorder::new();
        let snapshotter = recorder.snapshotter();
        metrics::with_local_recorder(&recorder, || {
            let counters = Counters::new("greeter");
            let quota = JobErrorKind::Fatal { reason: "quota_exceeded".into() };
            for kind in [None, Some(&quota), Some(&JobErrorKind::Panicked), Some(&quota)] {
                counters.ended(kind);
            }
            assert_eq!((counters.stats().succeeded, counters.stats().failed()), (1, 3));
        });
        let mut shown: Vec<String> = Vec::new();
        for (key, _, _, value) in snapshotter.snapshot().into_vec() {
            let labels: Vec<String> =
                key.key().labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            shown.push(format!("{} {} {value:?}", key.key().name(), labels.join(" ")));
        }
        shown.sort();
        assert_eq!(
            shown,
            [
                "lk_agents_job_failures_total agent_name=greeter kind=fatal reason=quota_exceeded Counter(2)",
                "lk_agents_job_failures_total agent_name=greeter kind=panicked reason=panicked Counter(1)",
            ]
        );
    }

    #[test]
    fn each_kind_has_its_label() {
        let check = |kind: JobErrorKind, expected: &str| {
            assert_eq!(format!("{} {}", kind_label(&kind), reason_label(&kind)), expected);
        };
        check(JobErrorKind::Fatal { reason: "quota_exceeded".into() }, "fatal quota_exceeded");
        let (field, value, message) = (String::new(), String::new(), String::new());
        check(JobErrorKind::Invalid { field, value, message }, "invalid invalid_input");
        check(JobErrorKind::Retryable { after: std::time::Duration::ZERO }, "retryable retryable");
        check(JobErrorKind::Panicked, "panicked panicked");
    }
}
