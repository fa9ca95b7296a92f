//! How an attempt, and with it a job, ends.

use crate::error_kind::JobErrorKind;
use std::borrow::Cow;
use std::fmt;

/// The longest error text that is sent to the server, in bytes; a longer one is cut and ends in `…`.
pub const MAX_ERROR_LEN: usize = 4096;

/// How an assignment ended: exactly one each. With the feature `serde`: `"success"` or `{"failed":{"error":"…"}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
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
    /// Over, and well.
    Success,
    /// Over, and not well. Reachable from each state above but `Success`.
    Failed,
}

/// Why a job was told to stop. A handler may return it as its error: `return Err(ctx.cancelled().await.into())`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
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
    /// The participant that the job is about is in the room in another session, which has a job of its own.
    TargetReplaced,
    /// Another participant joined with the agent's identity.
    DuplicateIdentity,
    /// The connection to the room was lost, or the room is another one than the job's: that one was deleted, and one of the same name made.
    RoomGone,
}

/// What became of one call of the handler: a fact that the driver reports.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum AttemptEnd {
    /// It returned `Ok`.
    Ok,
    /// It returned the error kind `Cancelled`.
    Cancelled,
    /// It returned another error; or the room could not be joined.
    Error {
        /// What kind of error: only a retryable one is worth another attempt.
        kind: JobErrorKind,
        /// For people and for the server.
        text: String,
    },
    /// It panicked, with this message.
    Panicked(String),
    /// Its task was dropped before it returned.
    Aborted,
}

impl AttemptEnd {
    /// Whether it may go better when it is tried again.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Error { kind: JobErrorKind::Retryable { .. }, .. })
    }
}

impl AttemptEnd {
    /// The same with a text that is not longer than what the server is told.
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

    /// Whether the job went well.
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

/// An outcome, and what kind of failure it is: the server is told the one, logs and counters the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the server is told.
    pub outcome: Outcome,
    /// `None` for a success.
    pub kind: Option<JobErrorKind>,
}

impl Verdict {
    const SUCCESS: Self = Self { outcome: Outcome::Success, kind: None };

    /// The end of an attempt that nobody told to stop.
    #[must_use]
    pub fn of(end: AttemptEnd) -> Self {
        match end {
            AttemptEnd::Ok => Self::SUCCESS,
            AttemptEnd::Cancelled => Self::failed(
                JobErrorKind::Cancelled,
                "the handler says that it was cancelled, but nobody cancelled it",
            ),
            AttemptEnd::Error { kind, text } => Self::failed(kind, text),
            AttemptEnd::Panicked(message) => Self::panicked(&message),
            AttemptEnd::Aborted => Self::fatal("aborted", "aborted: its task was dropped"),
        }
    }

    /// The end of an attempt that was told to stop.
    #[must_use]
    pub fn of_cancelled(reason: &CancelReason, end: AttemptEnd) -> Self {
        match (reason, end) {
            (CancelReason::Deadline, _) => Self::fatal(reason.word(), reason.to_string()),
            (_, AttemptEnd::Error { kind, text }) => Self::failed(kind, text),
            (_, AttemptEnd::Panicked(message)) => Self::panicked(&message),
            (_, AttemptEnd::Aborted) => Self::fatal("aborted", format!("aborted: {reason}")),
            (
                CancelReason::Drained
                | CancelReason::Shutdown(_)
                | CancelReason::RoomClosed
                | CancelReason::TargetReplaced
                | CancelReason::Terminated,
                AttemptEnd::Ok | AttemptEnd::Cancelled,
            ) => Self::SUCCESS,
            (
                CancelReason::Kicked | CancelReason::DuplicateIdentity | CancelReason::RoomGone,
                AttemptEnd::Ok | AttemptEnd::Cancelled,
            ) => Self::fatal(reason.word(), reason.to_string()),
        }
    }

    /// A failure with a reason to count it by, and a text.
    #[must_use]
    pub fn fatal(reason: &'static str, text: impl Into<String>) -> Self {
        Self::failed(JobErrorKind::Fatal { reason: Cow::Borrowed(reason) }, text)
    }

    /// The same, with a word about the attempts when there were several.
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
    /// The reason in one word, as metrics count it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Deadline => "job_timeout",
            Self::Drained => "drained",
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

/// The text that the server is told and that the logs show.
impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            Self::Shutdown(text) if !text.is_empty() => write!(f, ": {text}"),
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
    fn several_attempts_are_told_and_a_long_text_leaves_room_for_it() {
        let told = |text: &str, attempts| {
            let verdict =
                Verdict::of(AttemptEnd::Error { kind: JobErrorKind::TimedOut, text: text.to_owned() });
            match verdict.after_attempts(attempts).outcome {
                Outcome::Success => "SUCCESS".to_owned(),
                Outcome::Failed { error } => error,
            }
        };
        assert_eq!(told("no route", 1), "no route");
        assert_eq!(told("no route", 3), "no route (after 3 attempts)");
        let long = told(&"x".repeat(MAX_ERROR_LEN), 2);
        assert!(long.len() <= MAX_ERROR_LEN && long.ends_with("x… (after 2 attempts)"), "{long}");
        assert_eq!(Verdict::of(AttemptEnd::Ok).after_attempts(2), Verdict::SUCCESS);
    }

    /// The table of the design: what the server is told, by reason and by how the handler then ended.
    #[test]
    fn the_outcome_of_a_cancelled_job() {
        use AttemptEnd::{Aborted, Cancelled, Error, Ok, Panicked};
        let told = |reason: &CancelReason, end: &AttemptEnd| {
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
            assert_eq!(told(&reason, &Ok), returned, "{reason}");
            assert_eq!(told(&reason, &Cancelled), returned, "{reason}");
            assert_eq!(told(&reason, &error), failed, "{reason}");
            assert_eq!(told(&reason, &Aborted), aborted, "{reason}");
            let panicked =
                if reason == CancelReason::Deadline { "job_timeout" } else { "panicked: its text" };
            assert_eq!(told(&reason, &Panicked("its text".into())), panicked, "{reason}");
        }
    }
}
