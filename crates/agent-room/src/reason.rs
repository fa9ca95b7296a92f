//! Why a room ended, or why a participant left it.

use std::fmt;

use agent_proto::livekit as proto;

/// Why we are no longer in the room, or why another participant left it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The client itself left.
    ClientInitiated,
    /// Another participant joined with the same identity.
    DuplicateIdentity,
    /// The server shuts down.
    ServerShutdown,
    /// Removed through the server API.
    Removed,
    /// The room was deleted through the server API.
    RoomDeleted,
    /// The room closed because only agents were left, or nobody joined.
    RoomClosed,
    /// The server does not know the session, for example because it was restarted.
    StateMismatch,
    /// The session moved to another server.
    Migration,
    /// Nothing was received from the client for too long.
    ConnectionTimeout,
    /// The server observed that the media connection failed.
    MediaFailure,
    /// The server observed that the signalling connection closed.
    SignalClosed,
    /// A call's callee did not answer.
    UserUnavailable,
    /// A call's callee refused.
    UserRejected,
    /// A call could not be set up.
    SipTrunkFailure,
    /// An agent failed.
    AgentError,
    /// The server requested a new connection, without a better reason.
    ReconnectRequested,
    /// Our signalling connection was lost.
    SignalLost {
        /// The connection's error, or that nothing was received.
        detail: String,
    },
    /// Our media and data connection was lost.
    MediaLost {
        /// The observed failure.
        detail: String,
    },
    /// The connection was lost and could not be re-established.
    ReconnectFailed {
        /// The cause of the loss.
        cause: Box<DisconnectReason>,
        /// Why the last attempt to re-establish it failed.
        last: Box<DisconnectReason>,
    },
    /// The room was never joined.
    JoinFailed(JoinFailure),
    /// No reason was given.
    Unspecified,
    /// A reason that this version does not know: the number on the wire.
    Unknown(i32),
}

impl DisconnectReason {
    pub(crate) fn from_wire(reason: i32) -> Self {
        use proto::DisconnectReason as Wire;
        match Wire::try_from(reason) {
            Ok(Wire::UnknownReason) => Self::Unspecified,
            Ok(Wire::ClientInitiated) => Self::ClientInitiated,
            Ok(Wire::DuplicateIdentity) => Self::DuplicateIdentity,
            Ok(Wire::ServerShutdown) => Self::ServerShutdown,
            Ok(Wire::ParticipantRemoved) => Self::Removed,
            Ok(Wire::RoomDeleted) => Self::RoomDeleted,
            Ok(Wire::RoomClosed) => Self::RoomClosed,
            Ok(Wire::StateMismatch) => Self::StateMismatch,
            Ok(Wire::JoinFailure) => {
                Self::JoinFailed(JoinFailure::Refused { status: None, detail: String::new() })
            }
            Ok(Wire::Migration) => Self::Migration,
            Ok(Wire::SignalClose) => Self::SignalClosed,
            Ok(Wire::UserUnavailable) => Self::UserUnavailable,
            Ok(Wire::UserRejected) => Self::UserRejected,
            Ok(Wire::SipTrunkFailure) => Self::SipTrunkFailure,
            Ok(Wire::ConnectionTimeout) => Self::ConnectionTimeout,
            Ok(Wire::MediaFailure) => Self::MediaFailure,
            Ok(Wire::AgentError) => Self::AgentError,
            Err(_) => Self::Unknown(reason),
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::ClientInitiated => "left",
            Self::DuplicateIdentity => "another participant joined with the same identity",
            Self::ServerShutdown => "the server shuts down",
            Self::Removed => "removed by the server API",
            Self::RoomDeleted => "the room was deleted",
            Self::RoomClosed => "the room closed",
            Self::StateMismatch => "the server does not know this session any more",
            Self::Migration => "the session moved to another server",
            Self::ConnectionTimeout => "silent for too long",
            Self::MediaFailure => "the media connection failed",
            Self::SignalClosed => "the signalling connection closed",
            Self::UserUnavailable => "the callee did not answer",
            Self::UserRejected => "the callee refused",
            Self::SipTrunkFailure => "the call could not be set up",
            Self::AgentError => "the agent failed",
            Self::ReconnectRequested => "the server requested a new connection",
            Self::SignalLost { detail } => return write!(f, "the signalling connection was lost: {detail}"),
            Self::MediaLost { detail } => return write!(f, "the media connection was lost: {detail}"),
            Self::ReconnectFailed { cause, last } => {
                return write!(
                    f,
                    "the connection was lost ({cause}) and could not be re-established: {last}"
                );
            }
            Self::JoinFailed(failure) => return write!(f, "the room could not be joined: {failure}"),
            Self::Unspecified => "no reason given",
            Self::Unknown(number) => return write!(f, "reason {number}, unknown to this version"),
        };
        f.write_str(text)
    }
}

/// Why the room was never joined. The text includes what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum JoinFailure {
    /// The server has no `/rtc/v1`.
    #[error(
        "the server at this URL has no /rtc/v1 (HTTP 404): it needs livekit-server 1.9.10 or newer; upgrade the server, or check that the URL is that of a LiveKit server"
    )]
    ServerTooOld,
    /// HTTP 401 or 403.
    #[error(
        "the server refused the token (HTTP {status}: {detail}); check API key, secret, expiry and the room of the token"
    )]
    Unauthorized {
        /// The HTTP status.
        status: u16,
        /// The server's message, shortened.
        detail: String,
    },
    /// Another HTTP status, or a refusal without one.
    #[error("the server refused the join{}: {detail}", .status.map(|s| format!(" (HTTP {s})")).unwrap_or_default())]
    Refused {
        /// The HTTP status, if there was one.
        status: Option<u16>,
        /// The server's message, shortened.
        detail: String,
    },
    /// No connection to the server.
    #[error("no connection to the server: {detail}; check the URL and that the server runs")]
    Unreachable {
        /// The connection's error.
        detail: String,
    },
    /// The server admitted us and removed us again before the connection was established.
    #[error("the server ended the join: {0}")]
    Ended(Box<DisconnectReason>),
    /// The server did not answer in time.
    #[error(
        "the server did not answer the join in time (`.join_timeout(…)`); check the server URL and the server's load"
    )]
    SignalTimeout,
    /// The server answered, but no media connection was established.
    #[error("joined, but no media connection was established in time (`.join_timeout(…)`): {detail}")]
    MediaTimeout {
        /// The server's addresses, how they were tried from here, and what to do about it.
        detail: String,
    },
    /// The media connection failed during its setup.
    #[error("the media connection failed: {detail}")]
    Media {
        /// The observed failure.
        detail: String,
    },
    /// We were asked to leave before the room was joined.
    #[error("left before the room was joined")]
    Cancelled,
}
