//! The seam between those who join rooms and what carries a room.

use std::{io, time::Duration};

use agent_proto::BoxFuture;
use agent_room::{AutoSubscribe, JoinFailure};
use tokio::sync::watch;

use super::handle::Room;
use agent_net::{AssignedUrlError, ConnectError, Secret, exhaustion};

/// Joins rooms: [`WebRtc`](super::WebRtc) for real, something else in tests.
pub trait RoomConnector: Send + Sync + 'static {
    /// Joins one room. Dropping the future gives it up; nothing stays behind.
    fn connect(&self, request: JoinRequest) -> BoxFuture<'_, Result<Room, JoinError>>;
}

/// What it takes to join a room.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JoinRequest {
    /// The server: `ws`, `wss`, `http` or `https`, with an optional base path.
    pub url: String,
    /// The token that lets us in; it names the room and who we are.
    pub token: Secret,
    /// Which tracks of others the server sends us. Default: all.
    pub auto_subscribe: AutoSubscribe,
    /// How long it may take until data can go both ways. Default: 10 s.
    pub timeout: Duration,
    /// How long a lost connection is tried to be restored before the room counts as over. Default: 60 s.
    pub reconnect_timeout: Duration,
    /// While it says `false`, a lost connection is not tried to be restored, for at most 20 s. A worker says so until the server
    /// knows it again: a room that comes back before its worker would stay without an agent.
    pub reconnect_when: Option<watch::Receiver<bool>>,
}

impl JoinRequest {
    /// Defaults for everything but the server and the token.
    #[must_use]
    pub fn new(url: impl Into<String>, token: impl Into<Secret>) -> Self {
        Self {
            url: url.into(),
            token: token.into(),
            auto_subscribe: AutoSubscribe::default(),
            timeout: Duration::from_secs(10),
            reconnect_timeout: Duration::from_secs(60),
            reconnect_when: None,
        }
    }
}

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
