//! How an attempt, and with it a job, ends.

use std::fmt;

/// The longest error text that is sent to the server, in bytes; a longer one is cut and ends in `…`.
pub const MAX_ERROR_LEN: usize = 4096;

/// How an assignment ended: exactly one each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The handler did its work. The server records `JS_SUCCESS`.
    Success,
    /// It did not. The server records `JS_FAILED` with this text.
    Failed {
        /// What went wrong, at most [`MAX_ERROR_LEN`] bytes.
        error: String,
    },
}

/// Where a job is on its way, as seen from this worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lifecycle {
    /// Offered by the server.
    Created,
    /// Granted to us; its room is being joined.
    Assigned,
    /// Its handler runs.
    Running,
    /// Over, and well.
    Success,
    /// Over, and not well. Reachable from each state above but `Success`.
    Failed,
}

/// Why a job was told to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CancelReason {
    /// The job's time limit has passed.
    Deadline,
    /// The worker drains and its limit has passed.
    Drained,
    /// The handler itself, or the program, asked for it.
    Shutdown(String),
    /// The room was deleted or closed after its last participant left.
    RoomClosed,
    /// The server ended the job (its dispatch was deleted, for one). It has decided already.
    Terminated,
    /// Somebody removed the agent from the room.
    Kicked,
    /// Another participant joined with the agent's identity.
    DuplicateIdentity,
    /// The connection to the room was lost, or the room is another one now.
    RoomGone,
}

/// What became of one call of the handler: a fact that the driver reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// It returned `Ok`.
    Ok,
    /// It returned the error kind `Cancelled`.
    Cancelled,
    /// It returned another error, with this text; or the room could not be joined.
    Error(String),
    /// It panicked, with this message.
    Panicked(String),
    /// Its task was dropped before it returned.
    Aborted,
}

impl Outcome {
    /// A failure with this text, cut to [`MAX_ERROR_LEN`].
    #[must_use]
    pub fn failed(error: impl Into<String>) -> Self {
        let mut error = error.into();
        if error.len() > MAX_ERROR_LEN {
            const MARK: &str = "…";
            let end =
                (0..=MAX_ERROR_LEN - MARK.len()).rev().find(|&i| error.is_char_boundary(i)).unwrap_or(0);
            error.truncate(end);
            error.push_str(MARK);
        }
        Self::Failed { error }
    }

    /// Whether the job went well.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Success)
    }

    /// The outcome of an attempt that nobody told to stop.
    #[must_use]
    pub fn of(end: AttemptEnd) -> Self {
        match end {
            AttemptEnd::Ok => Self::Success,
            AttemptEnd::Cancelled => {
                Self::failed("the handler says that it was cancelled, but nobody cancelled it")
            }
            AttemptEnd::Error(text) => Self::failed(text),
            AttemptEnd::Panicked(message) => Self::failed(panicked(&message)),
            AttemptEnd::Aborted => Self::failed("aborted: its task was dropped"),
        }
    }

    /// The outcome of an attempt that was told to stop.
    #[must_use]
    pub fn of_cancelled(reason: &CancelReason, end: AttemptEnd) -> Self {
        match (reason, end) {
            (CancelReason::Deadline, _) => Self::failed(CancelReason::Deadline.to_string()),
            (_, AttemptEnd::Error(text)) => Self::failed(text),
            (_, AttemptEnd::Panicked(message)) => Self::failed(panicked(&message)),
            (_, AttemptEnd::Aborted) => Self::failed(format!("aborted: {reason}")),
            (
                CancelReason::Drained
                | CancelReason::Shutdown(_)
                | CancelReason::RoomClosed
                | CancelReason::Terminated,
                AttemptEnd::Ok | AttemptEnd::Cancelled,
            ) => Self::Success,
            (
                CancelReason::Kicked | CancelReason::DuplicateIdentity | CancelReason::RoomGone,
                AttemptEnd::Ok | AttemptEnd::Cancelled,
            ) => Self::failed(reason.to_string()),
        }
    }

    /// The lifecycle state that this outcome leads to.
    #[must_use]
    pub const fn lifecycle(&self) -> Lifecycle {
        match self {
            Self::Success => Lifecycle::Success,
            Self::Failed { .. } => Lifecycle::Failed,
        }
    }
}

fn panicked(message: &str) -> String {
    format!("panicked: {message}")
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("success"),
            Self::Failed { error } => write!(f, "failed: {error}"),
        }
    }
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Assigned => "assigned",
            Self::Running => "running",
            Self::Success => "success",
            Self::Failed => "failed",
        })
    }
}

/// The text that the server is told and that the logs show.
impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline => f.write_str("job_timeout"),
            Self::Drained => f.write_str("drained"),
            Self::Shutdown(text) if text.is_empty() => f.write_str("shutdown"),
            Self::Shutdown(text) => write!(f, "shutdown: {text}"),
            Self::RoomClosed => f.write_str("room_closed"),
            Self::Terminated => f.write_str("terminated"),
            Self::Kicked => f.write_str("kicked"),
            Self::DuplicateIdentity => f.write_str("duplicate_identity"),
            Self::RoomGone => f.write_str("room_gone"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_error_is_cut_on_a_character() {
        let Outcome::Failed { error } = Outcome::failed("ä".repeat(MAX_ERROR_LEN)) else {
            panic!("not failed")
        };
        assert!(error.len() <= MAX_ERROR_LEN && error.len() > MAX_ERROR_LEN - 4, "{}", error.len());
        assert!(error.ends_with("ä…"));
    }

    /// The table of the design: what the server is told, by reason and by how the handler then ended.
    #[test]
    fn the_outcome_of_a_cancelled_job() {
        use AttemptEnd::{Aborted, Cancelled, Error, Ok, Panicked};
        let told = |reason: &CancelReason, end: &AttemptEnd| match Outcome::of_cancelled(reason, end.clone())
        {
            Outcome::Success => "SUCCESS".to_owned(),
            Outcome::Failed { error } => error,
        };
        let cases = [
            (CancelReason::Deadline, ["job_timeout", "job_timeout", "job_timeout"]),
            (CancelReason::Drained, ["SUCCESS", "its text", "aborted: drained"]),
            (CancelReason::Shutdown("enough".into()), ["SUCCESS", "its text", "aborted: shutdown: enough"]),
            (CancelReason::RoomClosed, ["SUCCESS", "its text", "aborted: room_closed"]),
            (CancelReason::Terminated, ["SUCCESS", "its text", "aborted: terminated"]),
            (CancelReason::Kicked, ["kicked", "its text", "aborted: kicked"]),
            (
                CancelReason::DuplicateIdentity,
                ["duplicate_identity", "its text", "aborted: duplicate_identity"],
            ),
            (CancelReason::RoomGone, ["room_gone", "its text", "aborted: room_gone"]),
        ];
        for (reason, [returned, failed, aborted]) in cases {
            assert_eq!(told(&reason, &Ok), returned, "{reason}");
            assert_eq!(told(&reason, &Cancelled), returned, "{reason}");
            assert_eq!(told(&reason, &Error("its text".into())), failed, "{reason}");
            assert_eq!(told(&reason, &Aborted), aborted, "{reason}");
            let panicked =
                if reason == CancelReason::Deadline { "job_timeout" } else { "panicked: its text" };
            assert_eq!(told(&reason, &Panicked("its text".into())), panicked, "{reason}");
        }
    }
}
