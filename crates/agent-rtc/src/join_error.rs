//! Why a room could not be joined.

use std::{io, time::Duration};

use agent_net::{AssignedUrlError, ConnectError, exhaustion};
use agent_room::JoinFailure;

/// Why a room could not be joined. The text says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The URL cannot be read. It is not repeated, as it may hold a password.
    #[error(
        "the server's URL cannot be used: give one like wss://example.livekit.cloud or ws://localhost:7880"
    )]
    Url,
    /// The server that the job's assignment names is not joined.
    #[error(transparent)]
    AssignedUrl(#[from] AssignedUrlError),
    /// There is no connection to the server.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// There is no UDP socket for media and data.
    #[error("no UDP socket for the room: check the network")]
    Socket(#[source] io::Error),
    /// The process may open no more files and sockets.
    #[error(
        "too many open files: this process has no file descriptor left for a room; raise its limit (`ulimit -n`, or `LimitNOFILE=` in a systemd unit), or lower `max_jobs`"
    )]
    TooManyOpenFiles(#[source] io::Error),
    /// The server, or the way there, said no.
    #[error(transparent)]
    Failed(#[from] JoinFailure),
}

impl JoinError {
    /// There is no UDP socket, for this reason.
    pub(super) fn of_socket(error: io::Error) -> Self {
        match exhaustion(&error) {
            Some(error) => Self::TooManyOpenFiles(error),
            None => Self::Socket(error),
        }
    }

    /// Whether the process may open no more files and sockets.
    #[must_use]
    pub fn is_out_of_descriptors(&self) -> bool {
        matches!(self, Self::TooManyOpenFiles(_) | Self::Connect(ConnectError::TooManyOpenFiles { .. }))
    }

    /// When the server wants to be asked again, if it says so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Connect(error) => error.retry_after(),
            _ => None,
        }
    }
}
