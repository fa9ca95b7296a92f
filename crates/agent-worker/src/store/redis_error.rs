//! Why a Redis or Valkey server could not be used.

use crate::error_text;
use crate::net::ConnectError;
use redis::ErrorKind;
use std::fmt;
use std::io;
use std::time::Duration;

/// How answers begin that may be others soon.
const PASSING: [&str; 9] =
    ["BUSY", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "MISCONF", "NOREPLICAS", "OOM", "READONLY", "TRYAGAIN"];

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a Redis or Valkey server could not be used.
///
/// Each message names the server's host and port, and what to check; none holds a password. Those that may go away have an
/// [`io::Error`] of a network kind behind them, so that `?` in a handler makes them worth another attempt. `Debug` shows the message and
/// what is behind it, too.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum RedisError {
    /// The address that was given cannot be used.
    #[error(
        "the URL of `Redis::new` cannot be used: {problem}; it looks like redis://user:password@host:6379/0, or rediss:// for TLS"
    )]
    Url {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Nothing answers there, or the connection broke.
    #[error(
        "Redis at {server} cannot be reached: check that it runs, and the host and port in the URL of `Redis::new`"
    )]
    Unreachable {
        /// Host and port.
        server: String,
        /// What the system says.
        source: io::Error,
    },
    /// It took too long.
    #[error(
        "Redis at {server} did not answer within {limit:?} (`Redis::timeout`): check that it runs, the network between, and rediss:// against redis:// in its URL"
    )]
    Timeout {
        /// Host and port.
        server: String,
        /// The limit.
        limit: Duration,
        /// Says that it timed out.
        source: io::Error,
    },
    /// No encrypted connection could be made.
    #[error(
        "no TLS connection to Redis at {server}: check rediss:// against redis:// in the URL of `Redis::new`, and `Redis::ca_file`"
    )]
    Tls {
        /// Host and port.
        server: String,
        /// What is wrong.
        source: BoxError,
    },
    /// It does not let us in, or does not let us do this.
    #[error(
        "Redis at {server} refuses the credentials: {message}; check user and password in the URL of `Redis::new`, or `Redis::password`"
    )]
    Refused {
        /// Host and port.
        server: String,
        /// What it said.
        message: String,
    },
    /// It answered that it cannot do it now: it loads its data, is a replica since a failover, its memory or its disk is full.
    #[error("Redis at {server} cannot do this now: {message}")]
    Busy {
        /// Host and port.
        server: String,
        /// What it said.
        message: String,
        /// The same, of a network kind.
        source: io::Error,
    },
    /// It answered with an error.
    #[error("Redis at {server} answered with an error: {message}")]
    Answer {
        /// Host and port.
        server: String,
        /// What it said.
        message: String,
    },
    /// The other side does not speak its protocol.
    #[error(
        "{server} does not answer as Redis does: check host and port in the URL of `Redis::new`, and rediss:// against redis://"
    )]
    Protocol {
        /// Host and port.
        server: String,
        /// What was odd.
        source: BoxError,
    },
}

impl fmt::Debug for RedisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        error_text::debug(self, f)
    }
}

impl RedisError {
    /// Whether it may go away by itself: the server is away, slow, or says so.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Busy { .. } => true,
            Self::Url { .. }
            | Self::Tls { .. }
            | Self::Refused { .. }
            | Self::Answer { .. }
            | Self::Protocol { .. } => false,
        }
    }

    pub(super) fn of_connect(server: &str, error: ConnectError) -> Self {
        let server = server.to_owned();
        match error {
            // A name may be known again in a moment, as the address of a service that moves.
            ConnectError::Resolve { source, .. } => {
                Self::Unreachable { server, source: io::Error::new(io::ErrorKind::HostUnreachable, source) }
            }
            ConnectError::Unreachable { source, .. } => Self::Unreachable { server, source },
            ConnectError::Timeout { limit, .. } => Self::timeout(&server, limit),
            other => Self::Tls { server, source: Box::new(other) },
        }
    }

    pub(super) fn of_redis(server: &str, error: redis::RedisError) -> Self {
        let server = server.to_owned();
        let error = of_one_command(error);
        let code = error.code().unwrap_or_default().to_owned();
        if error.kind() == ErrorKind::AuthenticationFailed
            || ["NOAUTH", "WRONGPASS", "NOPERM"].contains(&code.as_str())
        {
            return Self::Refused { server, message: said(&error, &code) };
        }
        match error.kind() {
            ErrorKind::Io => {
                let kind = if error.is_connection_refusal() {
                    io::ErrorKind::ConnectionRefused
                } else if error.is_timeout() {
                    io::ErrorKind::TimedOut
                } else {
                    io::ErrorKind::ConnectionReset
                };
                Self::Unreachable { server, source: io::Error::new(kind, error) }
            }
            ErrorKind::Server(_) | ErrorKind::Extension => {
                let message = said(&error, &code);
                if PASSING.iter().any(|code| message.starts_with(code)) {
                    let source = io::Error::new(io::ErrorKind::ConnectionAborted, message.clone());
                    return Self::Busy { server, message, source };
                }
                Self::Answer { server, message }
            }
            _ => Self::Protocol { server, source: one_line(&error.to_string()).into() },
        }
    }

    pub(super) fn timeout(server: &str, limit: Duration) -> Self {
        Self::Timeout { server: server.to_owned(), limit, source: io::ErrorKind::TimedOut.into() }
    }
}

/// The error of the first command that failed, when several were sent at once: the others say the same or follow from it.
fn of_one_command(error: redis::RedisError) -> redis::RedisError {
    let first = error.clone().into_server_errors().and_then(|errors| errors.first().cloned());
    first.map_or(error, |(_, first)| first.into())
}

/// What the server said, and what to do about it when that is known.
fn said(error: &redis::RedisError, code: &str) -> String {
    // The library keeps what it asked when it logs in, and not what the server said then.
    if code.is_empty() && error.kind() == ErrorKind::AuthenticationFailed {
        return "it knows no such user with this password".to_owned();
    }
    let detail = error.detail().map_or_else(|| error.to_string(), str::to_owned);
    let text = if code.is_empty() || detail.starts_with(code) { detail } else { format!("{code} {detail}") };
    let advice = match text.contains("DB index") {
        true => "; check the number behind the host in the URL of `Redis::new`",
        false => "",
    };
    one_line(&text) + advice
}

/// At most 300 characters.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(300)
        .collect::<String>()
        .trim_end_matches([' ', '.'])
        .to_owned()
}
