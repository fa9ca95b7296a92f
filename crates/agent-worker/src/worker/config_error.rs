//! Errors in the settings of a worker.

use std::fmt;
use std::time::Duration;

use agent_core::{ConfigProblem, CoordinationError, MAX_LEASE, MIN_LEASE, StoreError};
use agent_net::{ConnectError, UrlError};
use agent_proto::error_text;

/// A missing or invalid setting. The message names it and what to do.
///
/// `Debug` shows the message, too: it is what Rust prints when `main` returns the error.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No server URL.
    #[error("no server URL: call `.url(\"wss://…\")` or set LIVEKIT_URL")]
    NoUrl,
    /// The server's URL is invalid.
    #[error("{0} (it is set by `.url(…)` or LIVEKIT_URL)")]
    Url(#[source] UrlError),
    /// No API key, or an empty one.
    #[error("no API key: call `.credentials(key, secret)` or set LIVEKIT_API_KEY")]
    NoApiKey,
    /// No API secret, or an empty one.
    #[error("no API secret: call `.credentials(key, secret)` or set LIVEKIT_API_SECRET")]
    NoApiSecret,
    /// The API key or its secret was copied with white space around it.
    #[error(
        "the {what} begins or ends with white space: remove it from the argument of `.credentials(…)`, or from {variable}"
    )]
    WhiteSpace {
        /// `API key` or `API secret`.
        what: &'static str,
        /// Its environment variable.
        variable: &'static str,
    },
    /// A variable of the environment is not text.
    #[error("{variable} is not UTF-8: set it again, as text")]
    NotUtf8 {
        /// The variable.
        variable: &'static str,
    },
    /// The certificates to trust cannot be loaded.
    #[error(transparent)]
    Certificates(#[from] ConnectError),
    /// The interval of checkpoints is too short, or they expire before the next save.
    #[error(
        "`checkpoint_interval` is {interval:?} and `checkpoint_expiry` {expiry:?}: set an interval of at least 1ms, and a longer expiry"
    )]
    CheckpointTimes {
        /// The interval.
        interval: Duration,
        /// The expiry.
        expiry: Duration,
    },
    /// The store of `.open_checkpoints(…)` could not be opened.
    #[error(transparent)]
    Checkpoints(StoreError),
    /// The store of `.open_coordinator(…)` could not be opened.
    #[error(transparent)]
    Coordinator(CoordinationError),
    /// The lease of leaders is too short or too long.
    #[error("`lease` is {0:?}: set it to {MIN_LEASE:?} to {MAX_LEASE:?}")]
    Lease(Duration),
    /// An invalid setting.
    #[error("{}{}", .0, set_by(.0))]
    Setting(#[from] ConfigProblem),
}

/// Where a setting that need not be the program's comes from, to be added to the text of its problem.
const fn set_by(problem: &ConfigProblem) -> &'static str {
    match problem {
        ConfigProblem::AgentName { .. } => {
            " (it is set by `.agent_name(…)`, LIVEKIT_AGENT_NAME or LIVEKIT_AGENT_NAME_OVERRIDE)"
        }
        ConfigProblem::Deployment(_) => " (it is set by `.deployment(…)` or LIVEKIT_AGENT_DEPLOYMENT)",
        _ => "",
    }
}

impl ConfigError {
    /// The exit code for a program that ends with this error: 2, as for a wrong command line, or 1 for a
    /// store that is unavailable for a while.
    ///
    /// ```
    /// use agent_worker::{JobContext, JobResult, Worker};
    ///
    /// async fn agent(_: JobContext) -> JobResult { Ok(()) }
    ///
    /// let error = Worker::builder(agent).url("localhost:7880").build().err().unwrap();
    /// assert_eq!(error.exit_code(), 2);
    /// assert!(error.to_string().contains("write ws:// or wss:// before the host"));
    /// ```
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Checkpoints(StoreError::Unavailable { .. })
            | Self::Coordinator(CoordinationError::NoAnswer { .. } | CoordinationError::Store(_)) => 1,
            _ => 2,
        }
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        error_text::debug(self, f)
    }
}
