//! Whether a checkpoint outlives the attempt that wrote it.

use super::error::REASONS;
use crate::error_kind::JobErrorKind;
use crate::outcome::{AttemptEnd, CancelReason};

/// What to do with the checkpoints of an attempt that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckpointRetention {
    /// Keep: unsaved changes are saved, for the attempt, worker or job that continues the work.
    Keep,
    /// Discard: nothing more is saved, and the checkpoint is deleted when the job has its outcome.
    Discard,
}

/// Decides about the checkpoints of an attempt by how its handler ended: a job that succeeded, or can never
/// succeed, needs its checkpoint no more.
///
/// A cancelled job is not complete, whatever its handler returned and was reported to the server: the
/// checkpoint is kept for the job that continues it. It is also kept when the handler panicked, returned a
/// temporary error, or failed because of its checkpoint ([`CheckpointError`](crate::CheckpointError)):
/// another version of the agent, or a repaired store, can continue from it.
///
/// ```
/// use agent_core::{AttemptEnd, CancelReason, CheckpointRetention, checkpoint_retention};
///
/// assert_eq!(checkpoint_retention(None, &AttemptEnd::Ok), CheckpointRetention::Discard);
/// let drained = Some(CancelReason::Drained);
/// assert_eq!(checkpoint_retention(drained.as_ref(), &AttemptEnd::Ok), CheckpointRetention::Keep);
/// ```
#[must_use]
pub fn checkpoint_retention(cancelled: Option<&CancelReason>, end: &AttemptEnd) -> CheckpointRetention {
    use CheckpointRetention::{Discard, Keep};
    match (cancelled, end) {
        (
            Some(
                CancelReason::Deadline
                | CancelReason::Drained
                | CancelReason::Stopped
                | CancelReason::Shutdown(_)
                | CancelReason::RoomClosed
                | CancelReason::Terminated
                | CancelReason::Kicked
                | CancelReason::TargetReplaced
                | CancelReason::DuplicateIdentity
                | CancelReason::RoomGone,
            ),
            _,
        ) => Keep,
        (None, AttemptEnd::Ok) => Discard,
        (None, AttemptEnd::Error { kind, .. }) => match kind {
            JobErrorKind::Fatal { reason } if REASONS.contains(&&**reason) => Keep,
            JobErrorKind::Fatal { .. } | JobErrorKind::Invalid { .. } => Discard,
            JobErrorKind::Cancelled
            | JobErrorKind::Panicked
            | JobErrorKind::Retryable { .. }
            | JobErrorKind::TimedOut => Keep,
        },
        (None, AttemptEnd::Cancelled | AttemptEnd::Panicked(_) | AttemptEnd::Aborted) => Keep,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn fatal(reason: &'static str) -> JobErrorKind {
        JobErrorKind::Fatal { reason: reason.into() }
    }

    /// Every end of a handler, and the retention for a job that was not cancelled.
    fn ends() -> Vec<(AttemptEnd, CheckpointRetention)> {
        use CheckpointRetention::{Discard, Keep};
        let invalid = || JobErrorKind::Invalid {
            field: "language".into(),
            value: "xx".into(),
            message: "not a language".into(),
        };
        let error = |kind| AttemptEnd::Error { kind, text: "text".into() };
        let mut ends = vec![
            (AttemptEnd::Ok, Discard),
            (AttemptEnd::Cancelled, Keep),
            (AttemptEnd::Panicked("text".into()), Keep),
            (AttemptEnd::Aborted, Keep),
            (error(fatal("quota_exceeded")), Discard),
            (error(fatal("unknown_error")), Discard),
            (error(fatal("job_timeout")), Discard),
            (error(invalid()), Discard),
            (error(JobErrorKind::Cancelled), Keep),
            (error(JobErrorKind::Panicked), Keep),
            (error(JobErrorKind::TimedOut), Keep),
            (error(JobErrorKind::Retryable { after: Duration::ZERO }), Keep),
        ];
        ends.extend(REASONS.map(|reason| (error(fatal(reason)), Keep)));
        ends
    }

    #[test]
    fn the_table() {
        let reasons = [
            CancelReason::Deadline,
            CancelReason::Drained,
            CancelReason::Stopped,
            CancelReason::Shutdown("enough".into()),
            CancelReason::RoomClosed,
            CancelReason::Terminated,
            CancelReason::Kicked,
            CancelReason::TargetReplaced,
            CancelReason::DuplicateIdentity,
            CancelReason::RoomGone,
        ];
        for (end, expected) in ends() {
            assert_eq!(checkpoint_retention(None, &end), expected, "{end:?}");
            for reason in &reasons {
                let retention = checkpoint_retention(Some(reason), &end);
                assert_eq!(retention, CheckpointRetention::Keep, "{reason:?}, {end:?}");
            }
        }
    }

    proptest! {
        /// An attempt that is followed by another one never loses its checkpoint, and the texts of errors
        /// decide nothing.
        #[test]
        fn a_checkpoint_is_kept_if_its_job_may_be_retried(at in 0..ends().len(), after: Duration, text: String) {
            let retryable = AttemptEnd::Error { kind: JobErrorKind::Retryable { after }, text: text.clone() };
            prop_assert_eq!(checkpoint_retention(None, &retryable), CheckpointRetention::Keep);
            let (end, expected) = ends().swap_remove(at);
            prop_assert!(!end.is_retryable() || expected == CheckpointRetention::Keep);
            if let AttemptEnd::Error { kind, .. } = end {
                prop_assert_eq!(checkpoint_retention(None, &AttemptEnd::Error { kind, text }), expected);
            }
        }
    }
}
