//! Errors of API calls.

use std::time::Duration;

use bytes::Bytes;
use hyper::Response;
use hyper::header::LOCATION;
use serde::Deserialize;
use url::{Origin, Url};

use agent_proto::text::shorten;
use agent_proto::{DecodeError, Secret};

use super::call::{Grant, SERVICES};
use crate::error::URL;
use crate::refusal::redirect_target;
use crate::token::TokenError;

/// How much of a server's message is kept, in characters.
const MAX_MESSAGE: usize = 300;

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
    /// The server does not accept the token: another key or secret, or it is over.
    #[error(
        "{method}: the server does not accept the token ({message}): check that API key and secret are those of this server, and that the clock is right"
    )]
    InvalidToken {
        /// Service and method.
        method: &'static str,
        /// The server's message.
        message: String,
    },
    /// The token lacks the grant that the call needs.
    #[error(
        "{method}: the server did not find the grant {grant} in the token ({message}): sign the token with it, or use an API key that may grant it"
    )]
    MissingGrant {
        /// Service and method.
        method: &'static str,
        /// The grant, as it is called in a token, with the room that it must be for.
        grant: String,
        /// The server's message.
        message: String,
    },
    /// The server refused the call.
    #[error("{method}: the server refused with {}: {message}{}", refusal(.code, *.status), hint(.code, .message))]
    Refused {
        /// Service and method.
        method: &'static str,
        /// HTTP status.
        status: u16,
        /// The Twirp code, such as `not_found` or `invalid_argument`; empty if the response was not a Twirp
        /// error.
        code: String,
        /// The server's message, or where it redirects to.
        message: String,
    },
    /// No worker accepted a dispatch.
    #[error(
        "no worker took the dispatch of agent {agent_name:?} within {within:?}: check that a worker is registered under this name and {}, that it has a free slot, and that its request handler accepts the job",
        whose(deployment)
    )]
    NotTaken {
        /// The requested agent.
        agent_name: String,
        /// The requested deployment; empty: none.
        deployment: String,
        /// How long new dispatches were made; the last one had its time beyond that.
        within: Duration,
    },
    /// The request is larger than a server accepts. It was not sent.
    #[error("{method}: the request has {len} bytes, over the limit of {limit}: send less at a time")]
    TooLarge {
        /// Service and method.
        method: &'static str,
        /// The size of the request, in bytes.
        len: usize,
        /// The limit, in bytes.
        limit: usize,
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

    /// The error of a response that redirects the request for `url`. Neither its body nor more of its target
    /// than the server is shown.
    pub(super) fn of_redirect(
        method: &'static str,
        url: &str,
        response: &Response<Bytes>,
        token: &Secret,
    ) -> Self {
        let target = || {
            let location = response.headers().get(LOCATION)?;
            let target = redirect_target(&Url::parse(url).ok()?, location.as_bytes(), Some(token))?;
            let server = target.strip_suffix(method).and_then(|target| target.strip_suffix(SERVICES));
            // Another path may contain more than may be shown: scheme, host and port alone.
            let origin = || Some(Url::parse(&target).ok()?.origin()).filter(Origin::is_tuple);
            server.map(str::to_owned).or_else(|| Some(origin()?.ascii_serialization()))
        };
        let message = match target() {
            Some(target) => format!(
                "it redirects to {target}, which is not followed: give that address as {URL}, if it is your server"
            ),
            None => format!("it redirects without a target: check {URL}"),
        };
        Self::Refused { method, status: response.status().as_u16(), code: String::new(), message }
    }

    /// The error of a response without success. `token` is what its text must not contain.
    pub(super) fn of_response(
        method: &'static str,
        grant: Grant<'_>,
        status: u16,
        body: &[u8],
        token: &str,
    ) -> Self {
        let twirp = ErrorBody::read(body);
        let (code, message) = twirp.map_or_else(
            || (String::new(), String::from_utf8_lossy(body).into_owned()),
            |ErrorBody { code, msg }| (code, msg),
        );
        // livekit-server repeats a token that it rejects.
        let message = message.replace(token, "[the token]");
        // How it wraps the errors of its own parts.
        let message = message.strip_prefix("twirp error unknown: ").unwrap_or(&message);
        let (code, message) = (shorten(&code, MAX_MESSAGE), shorten(message.trim_end(), MAX_MESSAGE));
        match (status, code.as_str()) {
            (401, "") => Self::InvalidToken { method, message },
            // livekit-server reports a missing grant as `unauthenticated`.
            (_, "unauthenticated" | "permission_denied") => {
                Self::MissingGrant { method, grant: grant.to_string(), message }
            }
            _ => Self::Refused { method, status, code, message },
        }
    }
}

fn refusal(code: &str, status: u16) -> String {
    if code.is_empty() { format!("HTTP {status}") } else { format!("{code} (HTTP {status})") }
}

/// Whose jobs a worker must take.
fn whose(deployment: &str) -> String {
    if deployment.is_empty() {
        "without a deployment".to_owned()
    } else {
        format!("the deployment {deployment:?}")
    }
}

/// What to do, where the server's message does not name it.
fn hint(code: &str, message: &str) -> &'static str {
    if code == "unavailable" && message.contains("no response from servers") {
        "; it answers so for a room or a participant that does not exist: check the names"
    } else {
        ""
    }
}

/// The JSON of a Twirp error.
#[derive(Deserialize)]
pub(super) struct ErrorBody {
    code: String,
    #[serde(default)]
    msg: String,
}

impl ErrorBody {
    /// `None`: the response is not the server's, but that of something in front of it.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_becomes_an_error_with_advice() {
        let grant = Grant::AdministerRoom("lobby");
        let table = [
            (
                401,
                r#"{"code":"unauthenticated","msg":"permissions denied"}"#,
                r#"S/M: the server did not find the grant `roomAdmin` for room "lobby" in the token (permissions denied): sign the token with it, or use an API key that may grant it"#,
            ),
            (
                403,
                r#"{"code":"permission_denied","msg":"no"}"#,
                r#"S/M: the server did not find the grant `roomAdmin` for room "lobby" in the token (no): sign the token with it, or use an API key that may grant it"#,
            ),
            (
                401,
                "invalid token: t0ken, error: token signature is invalid\n",
                "S/M: the server does not accept the token (invalid token: [the token], error: token signature is invalid): check that API key and secret are those of this server, and that the clock is right",
            ),
            (
                404,
                r#"{"code":"not_found","msg":"twirp error unknown: participant does not exist"}"#,
                "S/M: the server refused with not_found (HTTP 404): participant does not exist",
            ),
            (
                503,
                r#"{"code":"unavailable","msg":"twirp error unknown: no response from servers"}"#,
                "S/M: the server refused with unavailable (HTTP 503): no response from servers; it answers so for a room or a participant that does not exist: check the names",
            ),
            (
                502,
                "<html>\u{1b}[31m bad gateway",
                "S/M: the server refused with HTTP 502: <html>\\u{1b}[31m bad gateway",
            ),
        ];
        for (status, body, text) in table {
            let error = ApiError::of_response("S/M", grant, status, body.as_bytes(), "t0ken");
            assert_eq!(error.to_string(), text);
            assert_eq!(error.is_not_found(), status == 404);
        }
        let long = ApiError::of_response("S/M", grant, 500, &[b'x'; 100_000], "t0ken").to_string();
        assert!(long.len() < 400, "{long}");
    }
}
