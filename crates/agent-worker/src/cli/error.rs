//! Why a command fails, and its exit code.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use agent_core::{BoxError, FAILED_EXIT_CODE};
use agent_net::ApiError;

use crate::cli::http::{AddressError, ListenError, TokenError};
use crate::cli::log::LevelError;
#[cfg(feature = "otel")]
use crate::otel::TracesError;
use crate::worker::WorkerError;
use crate::worker::config_error::ConfigError;

/// The exit code for wrong options.
const WRONG_USE: u8 = 2;
/// How long a worker may take to report its status.
pub(super) const STATUS_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error(transparent)]
    Level(#[from] LevelError),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Status(#[from] StatusError),
    #[error("{0}")]
    Schema(&'static str),
    #[error("the schema could not be written")]
    Output(#[source] io::Error),
    #[error("{}{}", .0, in_options(.0))]
    Config(#[source] ConfigError),
    #[error(transparent)]
    Worker(#[from] WorkerError),
    #[error(transparent)]
    Job(#[from] JobRunError),
    #[error("the metrics cannot be recorded")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    #[error(transparent)]
    Doctor(#[from] DoctorError),
    #[cfg(feature = "otel")]
    #[error(transparent)]
    Traces(#[from] TracesError),
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// The option that sets what is wrong, to be added to the error's text.
pub(super) fn in_options(error: &ConfigError) -> String {
    let option = match error {
        ConfigError::NoUrl | ConfigError::Url(_) => "--url",
        ConfigError::NoApiKey | ConfigError::WhiteSpace { what: "API key", .. } => "--api-key",
        ConfigError::NoApiSecret | ConfigError::WhiteSpace { .. } => "--api-secret",
        _ => return String::new(),
    };
    format!("; on the command line it is `{option}`")
}

impl CliError {
    pub(super) const fn exit_code(&self) -> u8 {
        match self {
            Self::Level(_) | Self::Address(_) | Self::Token(_) => WRONG_USE,
            #[cfg(feature = "otel")]
            Self::Traces(_) => WRONG_USE,
            Self::Config(error) => error.exit_code(),
            Self::Worker(error) => error.exit_code(),
            Self::Job(_)
            | Self::Listen(_)
            | Self::Metrics(_)
            | Self::Doctor(_)
            | Self::Status(_)
            | Self::Schema(_)
            | Self::Output(_) => FAILED_EXIT_CODE,
        }
    }
}

/// Why there was no successful job.
#[derive(Debug, thiserror::Error)]
pub(super) enum JobRunError {
    #[error("the job could not be dispatched")]
    Dispatch(#[source] ApiError),
    #[error("the room {0:?} exists already: leave out `--room`, or use `connect`")]
    RoomExists(String),
    #[error("the room could not be prepared")]
    Room(#[source] ApiError),
    #[error("the job failed: {0}")]
    Failed(String),
    #[error("the agent {0} the job, so that its handler did not run: see `on_request` and `dismiss_invalid`")]
    NotAccepted(&'static str),
    #[error("the worker was stopped before its job ended")]
    NoJob,
}

/// Why an examination ends with a failure.
#[derive(Debug, thiserror::Error)]
pub(super) enum DoctorError {
    #[error("the findings could not be written")]
    Output(#[source] io::Error),
    #[error("checks failed: {0}")]
    Failed(String),
}

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub(super) enum StatusError {
    #[error(
        "no worker answers at {at}: check that it runs, and its HTTP port (`--http-port` or LIVEKIT_AGENT_HTTP_PORT; its log \
         names it)"
    )]
    Unreachable {
        at: SocketAddr,
        #[source]
        error: io::Error,
    },
    #[error(
        "no worker answers at {at} within {STATUS_TIMEOUT:?}: check its HTTP port, and whether it is blocked"
    )]
    Slow { at: SocketAddr },
    #[error("the worker at {at} is not well: {reason}")]
    Unwell { at: SocketAddr, reason: String },
    #[error("what answers at {at} is not a worker: check the HTTP port")]
    NotAWorker {
        at: SocketAddr,
        #[source]
        error: BoxError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_named_as_an_option_too() {
        let white_space = |what, variable| ConfigError::WhiteSpace { what, variable };
        for (error, option) in [
            (ConfigError::NoUrl, "`--url`"),
            (ConfigError::NoApiKey, "`--api-key`"),
            (ConfigError::NoApiSecret, "`--api-secret`"),
            (white_space("API key", "LIVEKIT_API_KEY"), "`--api-key`"),
            (white_space("API secret", "LIVEKIT_API_SECRET"), "`--api-secret`"),
        ] {
            let text = CliError::from(error).to_string();
            assert!(text.ends_with(&format!("; on the command line it is {option}")), "{text}");
        }
        let lease = CliError::from(ConfigError::Lease(Duration::ZERO)).to_string();
        assert!(!lease.contains("command line"), "{lease}");
    }
}
