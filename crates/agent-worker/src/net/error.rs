//! Why a connection could not be made.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::TokenError;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why no connection to the server could be made.
///
/// Each message names the host and port, and says what to do; what the system says is the [source](std::error::Error::source).
/// No message holds the token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The host's name has no address.
    #[error("the name of {endpoint} was not found: check the host in the server URL, and DNS")]
    Resolve {
        /// Host and port.
        endpoint: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// Nothing answers at any address of the host.
    #[error(
        "nothing answers at {endpoint}: check that the server runs, and the host and port of the server URL"
    )]
    Unreachable {
        /// Host and port.
        endpoint: String,
        /// What the system says of the last address that was tried.
        source: io::Error,
    },
    /// No encrypted connection could be made.
    #[error("no TLS connection to {endpoint}: {hint}")]
    Tls {
        /// Host and port.
        endpoint: String,
        /// What to do.
        hint: &'static str,
        /// What the TLS library says.
        source: BoxError,
    },
    /// The file with certificates to trust cannot be used.
    #[error("the certificate file {} cannot be used: name a readable PEM file with at least one certificate", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: BoxError,
    },
    /// The proxy does not let us through.
    #[error(
        "the proxy {proxy} makes no connection to {endpoint}: check the proxy settings (HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY)"
    )]
    Proxy {
        /// Host and port of the server.
        endpoint: String,
        /// Host and port of the proxy.
        proxy: String,
        /// What the proxy said.
        source: BoxError,
    },
    /// The connection took too long.
    #[error(
        "{endpoint} did not answer within {limit:?} ({step}): check that it is a LiveKit server, and the network between"
    )]
    Timeout {
        /// Host and port.
        endpoint: String,
        /// The limit for the whole connection.
        limit: Duration,
        /// What was being waited for.
        step: &'static str,
    },
    /// The server answered the WebSocket request with an HTTP error.
    #[error("{endpoint} refused the connection with HTTP {status}{}: {}", said(body), refusal_hint(*status))]
    Refused {
        /// Host and port.
        endpoint: String,
        /// The HTTP status.
        status: u16,
        /// The start of what the server said with it, one line of at most 300 characters; may be empty.
        body: String,
    },
    /// The other side speaks something else.
    #[error(
        "{endpoint} does not speak WebSocket: check that it is a LiveKit server, and ws:// against wss:// in its URL"
    )]
    Protocol {
        /// Host and port.
        endpoint: String,
        /// What was wrong.
        source: BoxError,
    },
    /// No token could be made, or it has characters that no HTTP header can carry.
    #[error("no usable token: check the API key and secret")]
    Token {
        /// What was wrong, if the token could not be made.
        source: Option<TokenError>,
    },
    /// The address is no WebSocket address with a host.
    #[error("the address to connect to is no WebSocket address: it must start with ws:// or wss://")]
    Address,
}

impl ConnectError {
    /// The HTTP status, if the server [refused](Self::Refused) the connection with one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

impl From<TokenError> for ConnectError {
    fn from(source: TokenError) -> Self {
        Self::Token { source: Some(source) }
    }
}

fn said(body: &str) -> String {
    if body.is_empty() { String::new() } else { format!(" ({body})") }
}

fn refusal_hint(status: u16) -> &'static str {
    match status {
        300..=399 => "give the URL that it redirects to",
        400 => "check ws:// against wss:// in the server URL, and the server's version",
        401 | 403 => "check the API key and secret, and this machine's clock",
        404 => "check the path of the server URL, and the server's version",
        429 => "too many connections, try again later",
        500..=599 => "the server or a proxy before it has trouble, try again later",
        _ => "check the server URL",
    }
}

/// The start of an HTTP body as one line that a log can show.
pub(super) fn one_line(body: &[u8]) -> String {
    let start = body.get(..1200).unwrap_or(body);
    let text: String = String::from_utf8_lossy(start).split_whitespace().collect::<Vec<_>>().join(" ");
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_to_do() {
        let refused = |status, body: &str| {
            ConnectError::Refused { endpoint: "h:1".into(), status, body: body.into() }.to_string()
        };
        assert_eq!(
            refused(401, "invalid token"),
            "h:1 refused the connection with HTTP 401 (invalid token): check the API key and secret, and this machine's clock"
        );
        assert_eq!(
            refused(404, ""),
            "h:1 refused the connection with HTTP 404: check the path of the server URL, and the server's version"
        );
    }

    #[test]
    fn a_body_becomes_one_bounded_line() {
        assert_eq!(one_line(b" a\r\n\x1b[31mb\0 \xff"), "a [31mb \u{fffd}");
        assert_eq!(one_line("é".repeat(5000).as_bytes()).chars().count(), 300);
    }
}
