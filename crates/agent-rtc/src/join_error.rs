//! Why a room could not be joined.

use std::io;
use std::time::Duration;

use agent_net::{AssignedUrlError, ConnectError, exhaustion};
use agent_room::JoinFailure;

/// Why a room could not be joined. The text includes what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The URL is invalid. The error does not repeat it, as it may contain a password.
    #[error(
        "the server's URL cannot be used: give one like wss://example.livekit.cloud or ws://localhost:7880"
    )]
    Url,
    /// The server that the job's assignment names must not be joined.
    #[error(transparent)]
    AssignedUrl(#[from] AssignedUrlError),
    /// The connection to the server failed.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The UDP socket for media and data could not be opened.
    #[error("no UDP socket for the room: check the network")]
    Socket(#[source] io::Error),
    /// The process has reached its limit of open files and sockets.
    #[error(
        "too many open files: this process has no file descriptor left for a room; raise its limit (`ulimit -n`, or `LimitNOFILE=` in a systemd unit), or lower `max_jobs`"
    )]
    TooManyOpenFiles(#[source] io::Error),
    /// The room was joined before the handler asked for other options, by the worker itself or by an earlier
    /// call.
    #[error(
        "the room is joined already, with another `{option}` than this one: build the worker with `.join_room(false)` and join once, or set the option in the worker"
    )]
    OtherOptions {
        /// The option of `join_with`.
        option: &'static str,
    },
    /// The server, or the network path to it, refused the join.
    #[error(transparent)]
    Failed(#[from] JoinFailure),
}

impl JoinError {
    /// The UDP socket could not be opened, for this reason.
    pub(super) fn of_socket(error: io::Error) -> Self {
        match exhaustion(&error) {
            Some(error) => Self::TooManyOpenFiles(error),
            None => Self::Socket(error),
        }
    }

    /// The join failed; `exhausted`: meanwhile there was no file descriptor left for a socket.
    pub(super) fn of_failure(failure: JoinFailure, exhausted: Option<io::Error>) -> Self {
        match (failure, exhausted) {
            // That explains it, whatever else was tried.
            (JoinFailure::MediaTimeout { .. } | JoinFailure::Media { .. }, Some(error)) => {
                Self::TooManyOpenFiles(error)
            }
            (failure, _) => Self::Failed(failure),
        }
    }

    /// Whether the process has reached its limit of open files and sockets.
    #[must_use]
    pub fn is_out_of_descriptors(&self) -> bool {
        matches!(self, Self::TooManyOpenFiles(_) | Self::Connect(ConnectError::TooManyOpenFiles { .. }))
    }

    /// The server's `Retry-After`, if there was one.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Connect(error) => error.retry_after(),
            _ => None,
        }
    }
}
