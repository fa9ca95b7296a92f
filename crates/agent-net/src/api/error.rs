//! Why a call of the API failed.

use agent_proto::DecodeError;
use serde::Deserialize;

use crate::token::TokenError;

/// Why a call of the server's API failed. No message holds a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// No token could be made.
    #[error("no token for the API")]
    Token(#[from] TokenError),
    /// The server was not reached, or its answer broke off or took too long.
    #[error("{method}: the server does not answer")]
    Unreachable {
        /// Service and method.
        method: &'static str,
        /// What the HTTP client reports.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server refused the call.
    #[error("{method}: the server refused with {code} (HTTP {status}): {message}")]
    Refused {
        /// Service and method.
        method: &'static str,
        /// HTTP status.
        status: u16,
        /// The Twirp code, such as `not_found` or `unauthenticated`; empty if the answer was none of Twirp.
        code: String,
        /// What the server said.
        message: String,
    },
    /// No worker took a dispatch.
    #[error(
        "no worker took the dispatch of agent {agent_name:?} within {within:?}: check that a worker is registered under this name, that it has a free slot, and that its request handler accepts the job"
    )]
    NotTaken {
        /// The agent that was asked for.
        agent_name: String,
        /// How long new dispatches were tried; the last one had its time beyond that.
        within: std::time::Duration,
    },
    /// The answer cannot be read.
    #[error("{method}: the answer cannot be read")]
    Malformed {
        /// Service and method.
        method: &'static str,
        /// What is wrong with it.
        source: DecodeError,
    },
}

impl ApiError {
    /// Whether the server says that the room, participant or dispatch does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "not_found")
    }
}

/// The JSON of a Twirp error.
#[derive(Deserialize)]
pub(super) struct ErrorBody {
    pub(super) code: String,
    #[serde(default)]
    pub(super) msg: String,
}
