//! Errors of connecting to a server.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::exhaustion::exhaustion;
use crate::refusal::server_of;
use crate::token::TokenError;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What users have to check, under the names of the settings.
pub(crate) const URL: &str = "the server URL (`.url(…)` or LIVEKIT_URL)";
const PROXY: &str = "the proxy settings (`.net(…)`, or HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY)";
const CREDENTIALS: &str =
    "the API key and secret (`.credentials(…)`, or LIVEKIT_API_KEY and LIVEKIT_API_SECRET)";

/// Why no connection to the server could be made.
///
/// Each message names the host and port and what to do; the system's error is the
/// [source](std::error::Error::source). No message contains the token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The host name has no address.
    #[error("the name of {endpoint} was not found: check the host in {URL}, and DNS")]
    Resolve {
        /// Host and port.
        endpoint: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// None of the host's addresses answers.
    #[error("nothing answers at {endpoint}: check that the server runs, and the host and port of {URL}")]
    Unreachable {
        /// Host and port.
        endpoint: String,
        /// The system's error for the last address that was tried.
        source: io::Error,
    },
    /// The process has reached its limit of open files.
    #[error(
        "too many open files: this process has no file descriptor left for a connection to {endpoint}; raise its limit (`ulimit -n`, or `LimitNOFILE=` in a systemd unit), or lower `max_jobs`"
    )]
    TooManyOpenFiles {
        /// Host and port.
        endpoint: String,
        /// The system's error.
        source: io::Error,
    },
    /// The TLS handshake failed.
    #[error("no TLS connection to {endpoint}: {hint}")]
    Tls {
        /// Host and port.
        endpoint: String,
        /// What to do.
        hint: &'static str,
        /// The TLS library's error.
        source: BoxError,
    },
    /// The file with trusted certificates cannot be used.
    #[error(
        "the certificate file {} (`ca_file(…)` or SSL_CERT_FILE) cannot be used: name a readable PEM file with at least one certificate",
        path.display()
    )]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: BoxError,
    },
    /// The proxy itself does not answer.
    #[error(
        "the proxy {proxy}, which is to connect to {endpoint}, does not answer: check that it runs, and {PROXY}"
    )]
    ProxyUnreachable {
        /// Host and port of the server.
        endpoint: String,
        /// Host and port of the proxy.
        proxy: String,
        /// Why it does not.
        source: io::Error,
    },
    /// The proxy did not connect to the server.
    #[error("the proxy {proxy} did not connect to {endpoint}: check {PROXY}")]
    Proxy {
        /// Host and port of the server.
        endpoint: String,
        /// Host and port of the proxy.
        proxy: String,
        /// The proxy's error.
        source: BoxError,
    },
    /// The connection timed out.
    #[error(
        "{endpoint} did not answer within {limit:?} ({step}): check {URL}, that a LiveKit server runs there, and the network between"
    )]
    Timeout {
        /// Host and port.
        endpoint: String,
        /// The timeout of the whole connection.
        limit: Duration,
        /// The step that timed out.
        step: &'static str,
    },
    /// The server answered the WebSocket request with an HTTP error.
    #[error(
        "{endpoint} refused the connection with HTTP {status}{}: {}",
        in_parentheses(body),
        refusal_hint(*status, body, location.as_deref())
    )]
    Refused {
        /// Host and port.
        endpoint: String,
        /// The HTTP status.
        status: u16,
        /// The start of the response body as one line of at most 300 characters without any token; may be
        /// empty.
        body: String,
        /// The target of a redirect, without user, password and query. Redirects are not followed: the token
        /// is for this server.
        location: Option<String>,
        /// The server's `Retry-After`. A worker waits that long, but at most 60 s
        /// (`agent_core::MAX_RETRY_AFTER`).
        retry_after: Option<Duration>,
    },
    /// The peer uses another protocol.
    #[error(
        "{endpoint} does not speak WebSocket: check that it is a LiveKit server, and ws:// against wss:// in {URL}"
    )]
    Protocol {
        /// Host and port.
        endpoint: String,
        /// The cause.
        source: BoxError,
    },
    /// The token could not be created, or contains characters that are invalid in an HTTP header.
    #[error("no usable token: check {CREDENTIALS}")]
    Token {
        /// The cause, if the token could not be created.
        source: Option<TokenError>,
    },
    /// The URL is not a WebSocket address with a host.
    #[error("the address to connect to is not a WebSocket address: it must start with ws:// or wss://")]
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

    /// The server's `Retry-After`, if it [refused](Self::Refused) the connection with one.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// No connection could be opened, for this reason.
    pub(super) fn unreachable(endpoint: &str, source: io::Error) -> Self {
        let endpoint = endpoint.to_owned();
        match exhaustion(&source) {
            Some(source) => Self::TooManyOpenFiles { endpoint, source },
            None => Self::Unreachable { endpoint, source },
        }
    }

    /// The error of a connection through a proxy: what failed on the way to the proxy itself is not about the
    /// server.
    pub(super) fn through_proxy(self, endpoint: &str, proxy: &str) -> Self {
        let source = match self {
            Self::Unreachable { endpoint: at, source } | Self::Resolve { endpoint: at, source }
                if at == proxy =>
            {
                source
            }
            Self::Timeout { endpoint: at, limit, step } if at == proxy => {
                io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {limit:?} ({step})"))
            }
            other => return other,
        };
        Self::ProxyUnreachable { endpoint: endpoint.to_owned(), proxy: proxy.to_owned(), source }
    }

    /// Whether another address of the same host may work: this one did not answer, or not like a server.
    pub(super) fn is_specific_to_address(&self) -> bool {
        match self {
            Self::Timeout { .. }
            | Self::Unreachable { .. }
            | Self::Tls { .. }
            | Self::Protocol { .. }
            | Self::ProxyUnreachable { .. }
            | Self::Proxy { .. } => true,
            Self::Resolve { .. }
            | Self::TooManyOpenFiles { .. }
            | Self::CaFile { .. }
            | Self::Refused { .. }
            | Self::Token { .. }
            | Self::Address => false,
        }
    }
}

impl From<TokenError> for ConnectError {
    fn from(source: TokenError) -> Self {
        Self::Token { source: Some(source) }
    }
}

fn in_parentheses(body: &str) -> String {
    if body.is_empty() { String::new() } else { format!(" ({body})") }
}

fn refusal_hint(status: u16, body: &str, location: Option<&str>) -> String {
    match (status, location) {
        (300..=399, Some(target)) => format!(
            "it redirects to {target}, which is not followed: give {} as {URL}, if that is your server",
            server_of(target)
        ),
        (300..=399, None) => format!("it redirects without a target: check {URL}"),
        _ => hint(status, body),
    }
}

fn hint(status: u16, body: &str) -> String {
    match status {
        200..=299 => {
            format!("this is a web server and not a LiveKit server: check host, port and path of {URL}")
        }
        // For example that an identity is too long: the server's text is more precise than a hint.
        400 if !body.is_empty() && !body.starts_with('<') && !body.contains("HTTPS") => {
            format!("correct what the message names, or check {URL} and the server's version")
        }
        400 => format!("check ws:// against wss:// in {URL}"),
        401 | 403 => format!("check {CREDENTIALS}, which this server must know, and this machine's clock"),
        404 => format!("no LiveKit server at this address: check host, port and path of {URL}"),
        413 | 414 | 431 => {
            "the token is too long: shorten the metadata and attributes of the agent".to_owned()
        }
        429 => "too many connections; retry later".to_owned(),
        500..=599 => "the server or a proxy in front of it failed: check its log, or retry later".to_owned(),
        _ => format!("check {URL}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_to(status: u16, body: &str, location: Option<&str>) -> String {
        let (body, location) = (body.to_owned(), location.map(str::to_owned));
        ConnectError::Refused { endpoint: "h:1".into(), status, body, location, retry_after: None }
            .to_string()
    }

    fn refused(status: u16, body: &str) -> String {
        refused_to(status, body, None)
    }

    #[test]
    fn a_redirect_names_its_target() {
        assert_eq!(
            refused_to(308, "", Some("https://media.example.com/base/agent")),
            "h:1 refused the connection with HTTP 308: it redirects to https://media.example.com/base/agent, which is not \
             followed: give https://media.example.com/base as the server URL (`.url(…)` or LIVEKIT_URL), if that is your server"
        );
        assert!(refused(302, "").contains("without a target"), "{}", refused(302, ""));
    }

    #[test]
    fn a_refusal_contains_the_remedy() {
        let text = refused(401, "invalid token");
        assert!(
            text.starts_with("h:1 refused the connection with HTTP 401 (invalid token): check the API key"),
            "{text}"
        );
        for (status, body, wanted) in [
            (200, "", "LIVEKIT_URL"),
            (301, "", "LIVEKIT_URL"),
            (400, "participant identity length exceeds limits", "correct what the message names"),
            (400, "Client sent an HTTP request to an HTTPS server.", "ws:// against wss://"),
            (
                400,
                "<html><h1>The plain HTTP request was sent to HTTPS port</h1></html>",
                "ws:// against wss://",
            ),
            (400, "", "ws:// against wss://"),
            (401, "", "LIVEKIT_API_SECRET"),
            (404, "", "LIVEKIT_URL"),
            (431, "", "metadata and attributes"),
            (503, "", "retry later"),
            (418, "", "LIVEKIT_URL"),
        ] {
            let text = refused(status, body);
            assert!(text.contains(wanted), "{status} {body}: {text}");
        }
    }
}
