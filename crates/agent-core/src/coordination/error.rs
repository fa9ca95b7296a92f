//! What can go wrong between jobs.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use agent_proto::error_text;

/// Why jobs could not be coordinated. Each message says what to do.
///
/// Returned with `?`, a store that cannot be reached makes the job worth another attempt; one that refuses the credentials, and a
/// mistake in a key, a topic or a size, do not. `Debug` shows the message and what is behind it, too.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum CoordinationError {
    /// The worker was built without one.
    #[error("the worker has no coordinator to elect a leader with: call `.coordinator(…)` on its builder")]
    NoCoordinator,
    /// The job has not joined its room, and messages go over the room.
    #[error(
        "the room is not joined, and messages between jobs go over it: call `ctx.join().await` first, or `.pubsub(…)` on the worker's builder"
    )]
    NoRoom,
    /// A key or a topic that cannot be used.
    #[error("the {what} {problem}")]
    Name {
        /// `key of the election` or `topic of the channel`.
        what: &'static str,
        /// What is wrong with it, and what is allowed.
        problem: String,
    },
    /// A message or a value over its limit.
    #[error("a {what} of {len} bytes is over the limit of {limit} bytes: send less, or where to find it")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its length.
        len: usize,
        /// The most that is taken.
        limit: usize,
    },
    /// Something that cannot be written as JSON.
    #[error("what is published cannot be written as JSON")]
    Json(#[source] serde_json::Error),
    /// A write under a fencing token that is not the last one given.
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
        /// How long was waited.
        limit: Duration,
        /// Says that it timed out.
        source: io::Error,
    },
    /// A store's own error.
    #[error("the store for coordination cannot be used")]
    Store(#[source] Box<dyn Error + Send + Sync>),
    /// The folder of the embedded coordinator.
    #[error(
        "the coordinator's folder {path:?} cannot be used: give `FileCoordinator::open` a folder on a local disk that this process may make or write to"
    )]
    Folder {
        /// Which folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file of the embedded coordinator.
    #[error(
        "the coordinator's file {path} cannot be {verb}: check the folder, its owner and the space on it"
    )]
    File {
        /// Which file.
        path: PathBuf,
        /// What was tried: `opened`, `locked`, `read`, `understood` or `written`.
        verb: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The room did not take the message.
    #[error("the room did not take the message")]
    Room(#[source] Box<dyn Error + Send + Sync>),
    /// The channel or the election is over.
    #[error("{what} is over: {reason}")]
    Over {
        /// What.
        what: &'static str,
        /// Why.
        reason: String,
    },
}

impl fmt::Debug for CoordinationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        error_text::debug(self, f)
    }
}

impl CoordinationError {
    /// The error of a store that this crate does not know.
    pub fn store(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Store(error.into())
    }
}

/// A key or a topic: not empty, at most `limit` bytes.
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

/// A message or a value: at most `limit` bytes.
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
    fn what_may_go_away_is_worth_another_attempt() {
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
