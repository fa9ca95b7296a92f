//! The outcome that should be reported to the server for each end of a job: an independent copy of the rules.

use agent_core::{AttemptEnd, CancelReason};

/// Whether a job whose last attempt ended like this is a success. `None`: it did not end by itself.
pub(super) const fn is_success(end: Option<&AttemptEnd>, cancelled: Option<&CancelReason>) -> bool {
    matches!(
        (end, cancelled),
        (Some(AttemptEnd::Ok), None)
            | (
                Some(AttemptEnd::Ok | AttemptEnd::Cancelled),
                Some(
                    CancelReason::Drained
                        | CancelReason::Stopped
                        | CancelReason::Shutdown(_)
                        | CancelReason::RoomClosed
                        | CancelReason::TargetReplaced
                        | CancelReason::Terminated,
                ),
            )
    )
}
