//! How attempts and jobs end.

use std::borrow::Cow;
use std::fmt;

use crate::error_kind::JobErrorKind;

/// The longest error text that is sent to the server, in bytes; a longer one is cut and ends in `…`.
pub const MAX_ERROR_LEN: usize = 4096;

/// How an assignment ended: exactly one each. With the feature `serde`: `"success"` or
/// `{"failed":{"error":"…"}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Outcome {
    /// The handler succeeded. The server records `JS_SUCCESS`.
    Success,
    /// The job failed. The server records `JS_FAILED` with this text.
    Failed {
        /// The error text, at most [`MAX_ERROR_LEN`] bytes.
        error: String,
    },
}

/// The lifecycle state of a job, as seen from this worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Lifecycle {
    /// Offered by the server.
    Created,
    /// Granted to us; its room is being joined.
    Assigned,
    /// Its handler runs.
    Running,
    /// Succeeded.
    Success,
    /// Failed. Reachable from each state above but `Success`.
    Failed,
}

/// Why a job was cancelled. A handler may return it as its error: `return Err(ctx.cancelled().await.into())`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum CancelReason {
    /// The job's time limit has passed.
    Deadline,
    /// The worker drains and its limit has passed.
    Drained,
    /// A second signal came, or `WorkerHandle::stop` was called: the job is aborted at once.
    Stopped,
    /// The handler or the program requested it.
    Shutdown(String),
    /// The room was deleted or closed after its last participant left.
    RoomClosed,
    /// The server ended the job (its dispatch was deleted, for example) and has recorded how.
    Terminated,
    /// Somebody removed the agent from the room.
    Kicked,
    /// The target participant joined in another session, which has a job of its own.
    TargetReplaced,
    /// Another participant joined with the agent's identity.
    DuplicateIdentity,
    /// The connection to the room was lost, or the room is not the job's: that one was deleted, and another
    /// one of the same name created.
    RoomGone,
}

/// How one call of the handler ended: a fact that the driver reports.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum AttemptEnd {
    /// It returned `Ok`.
    Ok,
    /// It returned the error kind `Cancelled`.
    Cancelled,
    /// It returned another error; or the room could not be joined.
    Error {
        /// The kind of error: only a retryable one may lead to another attempt.
        kind: JobErrorKind,
        /// The error text, for the log and the server.
        text: String,
    },
    /// It panicked, with this message.
    Panicked(String),
    /// Its task was dropped before it returned.
    Aborted,
}

impl AttemptEnd {
    /// Whether a retry may succeed.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Error { kind: JobErrorKind::Retryable { .. }, .. })
    }
}

impl AttemptEnd {
    /// Cuts the text to [`MAX_ERROR_LEN`].
    pub(crate) fn bounded(self) -> Self {
        match self {
            Self::Error { kind, text } => Self::Error { kind, text: cut(text, MAX_ERROR_LEN) },
            Self::Panicked(message) => Self::Panicked(cut(message, MAX_ERROR_LEN)),
            Self::Ok | Self::Cancelled | Self::Aborted => self,
        }
    }
}

impl Outcome {
    /// A failure with this text, cut to [`MAX_ERROR_LEN`].
    #[must_use]
    pub fn failed(error: impl Into<String>) -> Self {
        Self::Failed { error: cut(error.into(), MAX_ERROR_LEN) }
    }

    /// Whether the job succeeded.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Success)
    }

    /// What went wrong, as the server records it; `None` for a success.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Success => None,
            Self::Failed { error } => Some(error),
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

/// An outcome for the server, and the kind of failure for logs and counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The outcome that is reported to the server.
    pub outcome: Outcome,
    /// `None` for a success.
    pub kind: Option<JobErrorKind>,
}

impl Verdict {
    const SUCCESS: Self = Self { outcome: Outcome::Success, kind: None };

    /// The verdict on an attempt that was not cancelled.
    #[must_use]
    pub fn of(end: AttemptEnd) -> Self {
        match end {
            AttemptEnd::Ok => Self::SUCCESS,
            AttemptEnd::Cancelled => Self::failed(
                JobErrorKind::Cancelled,
                "the handler returned the error kind Cancelled, but the job was not cancelled",
            ),
            AttemptEnd::Error { kind, text } => Self::failed(kind, text),
            AttemptEnd::Panicked(message) => Self::panicked(&message),
            AttemptEnd::Aborted => Self::fatal("aborted", "aborted: its task was dropped"),
        }
    }

    /// The verdict on an attempt that was cancelled.
    #[must_use]
    pub fn of_cancelled(reason: &CancelReason, end: AttemptEnd) -> Self {
        match (reason, end) {
            (CancelReason::Deadline, _) => Self::fatal(reason.label(), reason.to_string()),
            (_, AttemptEnd::Error { kind, text }) => Self::failed(kind, text),
            (_, AttemptEnd::Panicked(message)) => Self::panicked(&message),
            (_, AttemptEnd::Aborted) => Self::fatal("aborted", format!("aborted: {reason}")),
            (
                CancelReason::Drained
                | CancelReason::Stopped
                | CancelReason::Shutdown(_)
                | CancelReason::RoomClosed
                | CancelReason::TargetReplaced
                | CancelReason::Terminated,
                AttemptEnd::Ok | AttemptEnd::Cancelled,
            ) => Self::SUCCESS,
            (
                CancelReason::Kicked | CancelReason::DuplicateIdentity | CancelReason::RoomGone,
                AttemptEnd::Ok | AttemptEnd::Cancelled,
            ) => Self::fatal(reason.label(), reason.to_string()),
        }
    }

    /// A failure with a reason, which is a metric label, and a text.
    #[must_use]
    pub fn fatal(reason: &'static str, text: impl Into<String>) -> Self {
        Self::failed(JobErrorKind::Fatal { reason: Cow::Borrowed(reason) }, text)
    }

    /// Adds the number of attempts to the text when there were several.
    #[must_use]
    pub fn after_attempts(self, attempts: u32) -> Self {
        let Self { outcome: Outcome::Failed { error }, kind } = self else { return self };
        if attempts < 2 {
            return Self { outcome: Outcome::Failed { error }, kind };
        }
        let note = format!(" (after {attempts} attempts)");
        let error = cut(error, MAX_ERROR_LEN - note.len()) + &note;
        Self { outcome: Outcome::Failed { error }, kind }
    }

    fn failed(kind: JobErrorKind, text: impl Into<String>) -> Self {
        Self { outcome: Outcome::failed(text), kind: Some(kind) }
    }

    fn panicked(message: &str) -> Self {
        Self::failed(JobErrorKind::Panicked, format!("panicked: {message}"))
    }
}

/// At most `limit` bytes of a text; what is cut ends in `…`.
fn cut(mut text: String, limit: usize) -> String {
    const MARK: &str = "…";
    if text.len() > limit {
        let end =
            (0..=limit.saturating_sub(MARK.len())).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        text.truncate(end);
        text.push_str(MARK);
    }
    text
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

impl CancelReason {
    /// The value of the metric label for this reason.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Deadline => "job_timeout",
            Self::Drained => "drained",
            Self::Stopped => "stopped",
            Self::Shutdown(_) => "shutdown",
            Self::RoomClosed => "room_closed",
            Self::Terminated => "terminated",
            Self::Kicked => "kicked",
            Self::TargetReplaced => "target_replaced",
            Self::DuplicateIdentity => "duplicate_identity",
            Self::RoomGone => "room_gone",
        }
    }
}

/// The text for the server and the logs.
impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())?;
        match self {
            Self::Shutdown(text) if !text.is_empty() => write!(f, ": {text}"),
            Self::Stopped => f.write_str(" at once (a second signal or `WorkerHandle::stop`)"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for CancelReason {}

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

    #[test]
    fn the_number_of_attempts_is_added_and_a_long_text_leaves_room_for_it() {
        let reported = |text: &str, attempts| {
            let verdict =
                Verdict::of(AttemptEnd::Error { kind: JobErrorKind::TimedOut, text: text.to_owned() });
            match verdict.after_attempts(attempts).outcome {
                Outcome::Success => "SUCCESS".to_owned(),
                Outcome::Failed { error } => error,
            }
        };
        assert_eq!(reported("no route", 1), "no route");
        assert_eq!(reported("no route", 3), "no route (after 3 attempts)");
        let long = reported(&"x".repeat(MAX_ERROR_LEN), 2);
        assert!(long.len() <= MAX_ERROR_LEN && long.ends_with("x… (after 2 attempts)"), "{long}");
        assert_eq!(Verdict::of(AttemptEnd::Ok).after_attempts(2), Verdict::SUCCESS);
    }

    /// The table of the design: what is reported to the server, by reason and by how the handler ended.
    #[test]
    fn the_outcome_of_a_cancelled_job_depends_on_reason_and_end() {
        use AttemptEnd::{Aborted, Cancelled, Error, Ok, Panicked};
        let reported = |reason: &CancelReason, end: &AttemptEnd| {
            let Verdict { outcome, kind } = Verdict::of_cancelled(reason, end.clone());
            assert_eq!(outcome.is_success(), kind.is_none(), "{reason}");
            match outcome {
                Outcome::Success => "SUCCESS".to_owned(),
                Outcome::Failed { error } => error,
            }
        };
        let error = Error { kind: JobErrorKind::TimedOut, text: "its text".into() };
        let cases = [
            (CancelReason::Deadline, ["job_timeout", "job_timeout", "job_timeout"]),
            (CancelReason::Drained, ["SUCCESS", "its text", "aborted: drained"]),
            (
                CancelReason::Stopped,
                ["SUCCESS", "its text", "aborted: stopped at once (a second signal or `WorkerHandle::stop`)"],
            ),
            (CancelReason::Shutdown("enough".into()), ["SUCCESS", "its text", "aborted: shutdown: enough"]),
            (CancelReason::RoomClosed, ["SUCCESS", "its text", "aborted: room_closed"]),
            (CancelReason::TargetReplaced, ["SUCCESS", "its text", "aborted: target_replaced"]),
            (CancelReason::Terminated, ["SUCCESS", "its text", "aborted: terminated"]),
            (CancelReason::Kicked, ["kicked", "its text", "aborted: kicked"]),
            (
                CancelReason::DuplicateIdentity,
                ["duplicate_identity", "its text", "aborted: duplicate_identity"],
            ),
            (CancelReason::RoomGone, ["room_gone", "its text", "aborted: room_gone"]),
        ];
        for (reason, [returned, failed, aborted]) in cases {
            assert_eq!(reported(&reason, &Ok), returned, "{reason}");
            assert_eq!(reported(&reason, &Cancelled), returned, "{reason}");
            assert_eq!(reported(&reason, &error), failed, "{reason}");
            assert_eq!(reported(&reason, &Aborted), aborted, "{reason}");
            let panicked =
                if reason == CancelReason::Deadline { "job_timeout" } else { "panicked: its text" };
            assert_eq!(reported(&reason, &Panicked("its text".into())), panicked, "{reason}");
        }
    }
}
