//! Why a Redis or Valkey server could not be used.

use std::fmt;
use std::io;
use std::time::Duration;

use ::redis::ErrorKind;

use agent_net::ConnectError;
use agent_proto::error_text;
use agent_proto::text::shorten;

use super::answer::{self, Meaning, Missing};

/// How much of an answer is examined, and how much of it is shown, in characters.
const MAX_ANSWER: usize = 2_000;
const MAX_MESSAGE: usize = 300;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a Redis or Valkey server could not be used.
///
/// Each message names the server's host and port, and what to check; none contains a password. Temporary
/// errors have an [`io::Error`] of a network kind as their source, so that `?` in a handler makes them
/// retryable. `Debug` shows the message and its sources.
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
    /// The prefix of the keys cannot be used.
    #[error(
        "the prefix {prefix:?} of `Redis::prefix` or `?prefix=` cannot be used: {problem}; it looks like acme:staging, and the server's keys like acme:staging:lease:lobby"
    )]
    Prefix {
        /// What was given, at most 100 characters of it.
        prefix: String,
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
        /// The system's error.
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
        /// An error of the kind `TimedOut`.
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
    /// It refuses the credentials.
    #[error(
        "Redis at {server} refuses the credentials: {message}; check user and password in the URL of `Redis::new`, or `Redis::password`"
    )]
    Refused {
        /// Host and port.
        server: String,
        /// The server's answer.
        message: String,
    },
    /// The user lacks a permission (`NOPERM`).
    #[error(
        "Redis at {server} does not let its user do this: {message}; grant it with `ACL SETUSER … {missing}`: the guide's page on Redis lists what each backend needs"
    )]
    Denied {
        /// Host and port.
        server: String,
        /// The server's answer.
        message: String,
        /// The missing permission, as `ACL SETUSER` takes it: `+hset`, or `~livekit-agents:*`.
        missing: String,
    },
    /// It is a node of a Redis Cluster, which holds only a part of the keys.
    #[error(
        "Redis at {server} is a node of a Redis Cluster, which is not supported ({message}): give `Redis::new` a server that is no cluster (`cluster-enabled no`), alone or with replicas"
    )]
    Cluster {
        /// Host and port.
        server: String,
        /// The server's answer.
        message: String,
    },
    /// It is a Sentinel, which monitors servers and has no data.
    #[error(
        "Redis at {server} is a Sentinel, which keeps no data: give `Redis::new` the server that it watches, by a name that follows it in a failover"
    )]
    Sentinel {
        /// Host and port.
        server: String,
    },
    /// It cannot do this now: it loads its data, became a replica in a failover, or its memory or disk is
    /// full. If it was the wrong server, the address was looked up again before.
    #[error("Redis at {server} cannot do this now: {message}")]
    Busy {
        /// Host and port.
        server: String,
        /// The server's answer.
        message: String,
        /// The same, as an error of a network kind.
        source: io::Error,
    },
    /// It answered with an error.
    #[error("Redis at {server} answered with an error: {message}")]
    Answer {
        /// Host and port.
        server: String,
        /// The server's answer.
        message: String,
    },
    /// The other side does not speak the Redis protocol.
    #[error(
        "{server} does not answer as Redis does: check host and port in the URL of `Redis::new`, and rediss:// against redis://"
    )]
    Protocol {
        /// Host and port.
        server: String,
        /// The protocol error.
        source: BoxError,
    },
}

impl fmt::Debug for RedisError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        error_text::debug(self, f)
    }
}

impl RedisError {
    /// Whether it is temporary: the server is unavailable, slow, or busy.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Busy { .. } => true,
            Self::Url { .. }
            | Self::Prefix { .. }
            | Self::Tls { .. }
            | Self::Refused { .. }
            | Self::Denied { .. }
            | Self::Cluster { .. }
            | Self::Sentinel { .. }
            | Self::Answer { .. }
            | Self::Protocol { .. } => false,
        }
    }

    pub(super) fn of_connect(server: &str, error: ConnectError) -> Self {
        let server = server.to_owned();
        match error {
            // A name may resolve again in a moment, as the address of a service that moves.
            ConnectError::Resolve { source, .. } => {
                Self::Unreachable { server, source: io::Error::new(io::ErrorKind::HostUnreachable, source) }
            }
            ConnectError::Unreachable { source, .. } | ConnectError::TooManyOpenFiles { source, .. } => {
                Self::Unreachable { server, source }
            }
            ConnectError::Timeout { limit, .. } => Self::timeout(&server, limit),
            other => Self::Tls { server, source: Box::new(other) },
        }
    }

    /// The error of a command. `prefix` is the prefix of all keys; `script` is the source of the script that
    /// was run, if any.
    pub(super) fn of_redis(
        server: &str,
        prefix: &str,
        script: Option<&str>,
        error: redis::RedisError,
    ) -> Self {
        let server = server.to_owned();
        let Some(text) = answer_text(&error) else { return Self::without_answer(server, error) };
        match answer::meaning(&text) {
            Meaning::Denied(missing) => {
                let missing = match missing {
                    Missing::Command(command) => format!("+{command}"),
                    Missing::Line(line) => script
                        .and_then(|script| answer::command_in_script(script, line))
                        .map_or_else(|| "+…".to_owned(), |command| format!("+{command}")),
                    Missing::Keys => format!("~{prefix}:*"),
                    Missing::Unknown => "…".to_owned(),
                };
                Self::Denied { server, message: one_line(&text), missing }
            }
            meaning => Self::of_answer(server, &text, &meaning),
        }
    }

    /// An error answer to the login.
    pub(super) fn of_login(server: &str, error: redis::RedisError) -> Self {
        match answer_text(&error) {
            Some(text) => Self::of_answer(server.to_owned(), &text, &answer::meaning_of_login(&text)),
            None => Self::without_answer(server.to_owned(), error),
        }
    }

    pub(super) fn replica(server: &str) -> Self {
        let text = "it is a replica, which takes no writes; unless it becomes the primary soon, give `Redis::new` a name that leads to the primary";
        Self::busy(server.to_owned(), text.to_owned())
    }

    fn of_answer(server: String, text: &str, meaning: &Meaning) -> Self {
        let message = one_line(text);
        match meaning {
            Meaning::WrongServer | Meaning::Busy => Self::busy(server, message),
            Meaning::Cluster => Self::Cluster { server, message },
            Meaning::Credentials => {
                // The rest of the answer is about a command that was not sent.
                let message = if text.starts_with("NOAUTH") {
                    "NOAUTH Authentication required".to_owned()
                } else {
                    message
                };
                Self::Refused { server, message }
            }
            Meaning::Denied(_) | Meaning::Other => {
                let advice = match text.contains("DB index") {
                    true => "; check the number behind the host in the URL of `Redis::new`",
                    false => "",
                };
                Self::Answer { server, message: message + advice }
            }
        }
    }

    fn busy(server: String, message: String) -> Self {
        let source = io::Error::new(io::ErrorKind::ConnectionAborted, message.clone());
        Self::Busy { server, message, source }
    }

    /// An error without an answer of the server.
    fn without_answer(server: String, error: redis::RedisError) -> Self {
        if error.kind() != ErrorKind::Io {
            return Self::Protocol { server, source: one_line(&error.to_string()).into() };
        }
        let kind = if error.is_connection_refusal() {
            io::ErrorKind::ConnectionRefused
        } else if error.is_timeout() {
            io::ErrorKind::TimedOut
        } else {
            io::ErrorKind::ConnectionReset
        };
        Self::Unreachable { server, source: io::Error::new(kind, error) }
    }

    pub(super) fn timeout(server: &str, limit: Duration) -> Self {
        Self::Timeout { server: server.to_owned(), limit, source: io::ErrorKind::TimedOut.into() }
    }
}

/// An error answer, as the server sent it; the first one when several commands were sent at once, as the
/// others repeat it or follow from it. The server's quote of the command is cut, as it may contain a password
/// or a checkpoint.
pub(super) fn answer_text(error: &redis::RedisError) -> Option<String> {
    let answers = error.clone().into_server_errors()?;
    let (_, answer) = answers.first()?;
    let text = match answer.details() {
        Some(details) => format!("{} {details}", answer.code()),
        None => answer.code().to_owned(),
    };
    Some(shorten(text.split(", with args beginning with").next().unwrap_or_default(), MAX_ANSWER))
}

fn one_line(text: &str) -> String {
    shorten(text, MAX_MESSAGE).trim_end_matches([' ', '.']).to_owned()
}
