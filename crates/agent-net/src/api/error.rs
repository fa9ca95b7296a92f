//! Errors of API calls.

use serde::Deserialize;

use agent_proto::DecodeError;

use crate::token::TokenError;

/// Why a call of the server's API failed. No message contains a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The token could not be created.
    #[error("the token for the API could not be created")]
    Token(#[from] TokenError),
    /// The server was not reached, or its response was incomplete or took too long.
    #[error("{method}: the server did not answer")]
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
        /// The Twirp code, such as `not_found` or `unauthenticated`; empty if the response was not a Twirp
        /// error.
        code: String,
        /// The server's message.
        message: String,
    },
    /// No worker accepted a dispatch.
    #[error(
        "no worker took the dispatch of agent {agent_name:?} within {within:?}: check that a worker is registered under this name, that it has a free slot, and that its request handler accepts the job"
    )]
    NotTaken {
        /// The requested agent.
        agent_name: String,
        /// How long new dispatches were made; the last one had its time beyond that.
        within: std::time::Duration,
    },
    /// The response could not be decoded.
    #[error("{method}: the response could not be decoded")]
    Malformed {
        /// Service and method.
        method: &'static str,
        /// What is wrong with it.
        source: DecodeError,
    },
}

impl ApiError {
    /// Whether the server reports that the room, participant or dispatch does not exist.
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
