//! The statistics of a worker: jobs by outcome, attempts, and leftovers.

use std::borrow::Cow;
use std::collections::BTreeMap;

use agent_core::JobErrorKind;

use crate::telemetry::OTHER;

/// The counters of a worker since it was created; see [`WorkerHandle::stats`](crate::WorkerHandle::stats).
/// Each of these is also a [metric](crate::guide::metrics).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct WorkerStats {
    /// Jobs that ended with success.
    pub succeeded: u64,
    /// Jobs that ended with failure, by kind and reason. With the feature `serde` a list of `kind`, `reason`
    /// and `count`.
    #[cfg_attr(feature = "serde", serde(serialize_with = "failures"))]
    pub failures: BTreeMap<FailureLabel, u64>,
    /// Attempts after the first of a job.
    pub retries: u64,
    /// Attempts that could not be aborted.
    pub stuck: u64,
    /// Tasks that still ran a second after they were cancelled with their attempt, as they block their
    /// thread.
    pub leftover_tasks: u64,
    /// How often a job did not report progress for [`stale_after`](crate::WorkerBuilder::stale_after).
    pub stale: u64,
    /// Cleanup callbacks that exceeded their time limit and were dropped.
    pub cleanup_overruns: u64,
    /// Cleanups that exceeded their time limit and could not be dropped.
    pub stuck_cleanups: u64,
    /// Events, data messages and frames of tracks that were dropped because a handler read them too slowly.
    pub dropped_room_events: u64,
    /// Cleanup callbacks that panicked.
    pub cleanup_panics: u64,
}

/// The kind and reason by which failures are counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct FailureLabel {
    /// `cancelled`, `fatal`, `invalid`, `panicked`, `retryable` or `timed_out`.
    pub kind: &'static str,
    /// The reason of a fatal failure, `invalid_input` for an invalid one, and the kind again for others. A
    /// worker keeps at most 64 different reasons of at most 64 bytes; further ones become `other`.
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

/// Formats such as JSON accept only strings as map keys.
#[cfg(feature = "serde")]
fn failures<S: serde::Serializer>(
    failures: &BTreeMap<FailureLabel, u64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(serde::Serialize)]
    struct Counted<'a> {
        kind: &'static str,
        reason: &'a str,
        count: u64,
    }
    serializer.collect_seq(failures.iter().map(|(FailureLabel { kind, reason }, &count)| Counted {
        kind,
        reason,
        count,
    }))
}

/// The label of a kind of failure.
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

/// The label of a failure's reason, as set by the handler.
pub(crate) fn reason_label(kind: &JobErrorKind) -> Cow<'static, str> {
    match kind {
        JobErrorKind::Fatal { reason } => reason.clone(),
        JobErrorKind::Invalid { .. } => Cow::Borrowed("invalid_input"),
        other => Cow::Borrowed(kind_label(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
