//! What a worker counts: jobs by how they ended, attempts, and what they left behind.

use std::borrow::Cow;
use std::collections::BTreeMap;

use agent_core::JobErrorKind;

use crate::telemetry::OTHER;

/// What a worker has counted since it was made; see [`WorkerHandle::stats`](crate::WorkerHandle::stats). Each
/// of these is also a [metric](crate::guide::metrics).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct WorkerStats {
    /// Jobs that ended with success.
    pub succeeded: u64,
    /// Jobs that ended with failure, by what kind of failure it was. With the feature `serde` a list of
    /// `kind`, `reason` and `count`.
    #[cfg_attr(feature = "serde", serde(serialize_with = "failures"))]
    pub failures: BTreeMap<FailureLabel, u64>,
    /// Attempts that followed one that failed.
    pub retries: u64,
    /// Attempts that could not be aborted.
    pub stuck: u64,
    /// Tasks that still ran a second after they were cancelled with their attempt: their code blocks.
    pub leftover_tasks: u64,
    /// Times that a job had not said for too long that it gets on.
    pub stale: u64,
    /// Cleanup callbacks that took too long and were dropped.
    pub cleanup_overruns: u64,
    /// Cleanups that took too long and could not be dropped.
    pub stuck_cleanups: u64,
    /// Events, data messages and frames of tracks that were dropped before a handler read them, as it was too
    /// slow.
    pub dropped_room_events: u64,
    /// Cleanup callbacks that panicked.
    pub cleanup_panics: u64,
}

/// What failures are counted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct FailureLabel {
    /// `cancelled`, `fatal`, `invalid`, `panicked`, `retryable` or `timed_out`.
    pub kind: &'static str,
    /// The reason of a fatal failure, `invalid_input` for an invalid one, and else the kind once more. At
    /// most 64 different reasons of at most 64 bytes are kept for a worker; further ones are `other`.
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

/// Formats such as JSON have text alone as the key of a map.
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
