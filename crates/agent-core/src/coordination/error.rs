//! Errors of coordination between jobs.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use agent_proto::error_text;

/// Why coordination between jobs failed. Each message includes what to do.
///
/// Returned with `?`, an unreachable store makes the job retryable; refused credentials, or a mistake in a
/// key, a topic or a size, do not. `Debug` shows the message and its sources.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum CoordinationError {
    /// The worker has no coordinator.
    #[error("the worker has no coordinator to elect a leader with: call `.coordinator(…)` on its builder")]
    NoCoordinator,
    /// The job has not joined its room, over which messages are sent.
    #[error(
        "the room is not joined, and messages between jobs go over it: call `ctx.join().await` first, or `.pubsub(…)` on the worker's builder"
    )]
    NoRoom,
    /// An invalid key or topic.
    #[error("the {what} {problem}")]
    Name {
        /// `key of the election` or `topic of the channel`.
        what: &'static str,
        /// The problem, and what is allowed.
        problem: String,
    },
    /// A message or a value over its limit.
    #[error("a {what} of {len} bytes is over the limit of {limit} bytes: send less, or where to find it")]
    TooLarge {
        /// `message` or `value of a leader`.
        what: &'static str,
        /// Its length.
        len: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// A message that cannot be written as JSON.
    #[error("the published value cannot be written as JSON")]
    Json(#[source] serde_json::Error),
    /// A write under a fencing token that is not the last granted one.
    #[error(
        "the write to `{key}` under token {token} was refused, as it is not the token of its present leader: stop leading, and elect again"
    )]
    Stale {
        /// The key of the election.
        key: String,
        /// The token of the write.
        token: u64,
    },
    /// The store took too long.
    #[error(
        "the store of leases did not answer within {limit:?}: check that it runs, and the network between"
    )]
    NoAnswer {
        /// The time limit.
        limit: Duration,
        /// An error of the kind `TimedOut`.
        source: io::Error,
    },
    /// A store's own error.
    #[error("the store for coordination cannot be used")]
    Store(#[source] Box<dyn Error + Send + Sync>),
    /// The folder of `FileCoordinator` cannot be used.
    #[error(
        "the coordinator's folder {path:?} cannot be used: give `FileCoordinator::open` a folder on a local disk that this process may make or write to"
    )]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file of `FileCoordinator` cannot be used.
    #[error(
        "the coordinator's file {path} cannot be {verb}: check the folder, its owner and the space on it"
    )]
    File {
        /// The file.
        path: PathBuf,
        /// The failed operation: `opened`, `locked`, `read`, `understood` or `written`.
        verb: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The room did not take the message.
    #[error("the room did not take the message")]
    Room(#[source] Box<dyn Error + Send + Sync>),
    /// The channel or the election is over.
    #[error("{what} is over: {reason}")]
    Over {
        /// `the channel` or `the election`.
        what: &'static str,
        /// The reason.
        reason: String,
    },
}

impl fmt::Debug for CoordinationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        error_text::debug(self, f)
    }
}

impl CoordinationError {
    /// Wraps the error of a store.
    pub fn store(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Store(error.into())
    }
}

/// Checks a key or a topic: 1 to `limit` bytes.
///
/// # Errors
/// [`CoordinationError::Name`]
pub fn check_name(what: &'static str, name: &str, limit: usize) -> Result<(), CoordinationError> {
    let problem = match name.len() {
        0 => format!("is empty: give it 1 to {limit} bytes"),
        len if len > limit => format!("has {len} bytes: give it at most {limit}"),
        _ => return Ok(()),
    };
    Err(CoordinationError::Name { what, problem })
}

/// Checks a message or a value: at most `limit` bytes.
///
/// # Errors
/// [`CoordinationError::TooLarge`]
pub const fn check_len(what: &'static str, len: usize, limit: usize) -> Result<(), CoordinationError> {
    if len > limit {
        return Err(CoordinationError::TooLarge { what, len, limit });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::JobError;
    use crate::error_kind::JobErrorKind;

    #[test]
    fn temporary_errors_are_retryable() {
        let retried =
            |error: CoordinationError| matches!(JobError::from(error).kind(), JobErrorKind::Retryable { .. });
        let timed_out = || io::Error::from(io::ErrorKind::TimedOut);
        assert!(retried(CoordinationError::NoAnswer { limit: Duration::from_secs(1), source: timed_out() }));
        assert!(retried(CoordinationError::store(timed_out())));
        assert!(!retried(CoordinationError::store("WRONGPASS")));
        assert!(!retried(CoordinationError::NoCoordinator));
    }

    #[test]
    fn limits_are_named() {
        let error = check_name("topic of the channel", "", 8).unwrap_err();
        assert_eq!(error.to_string(), "the topic of the channel is empty: give it 1 to 8 bytes");
        let error = check_name("topic of the channel", "123456789", 8).unwrap_err();
        assert_eq!(error.to_string(), "the topic of the channel has 9 bytes: give it at most 8");
        let error = check_len("message", 9, 8).unwrap_err();
        assert!(
            error.to_string().starts_with("a message of 9 bytes is over the limit of 8 bytes"),
            "{error}"
        );
    }
}
