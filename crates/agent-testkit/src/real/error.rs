//! Errors of a real server.

use std::path::PathBuf;

use agent_net::ApiError;
use agent_worker::net::UrlError;

/// Why a real server is not available.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// A required tool is missing.
    #[error("livekit-server is not available: {missing}")]
    NotAvailable {
        /// What is missing, and how to get it, in one line.
        missing: String,
    },
    /// The server could not be installed.
    #[error("livekit-server could not be installed: {reason}")]
    Install {
        /// The end of the installation's output.
        reason: String,
    },
    /// The server could not be started, or ended before it answered.
    #[error("{} did not start: {reason}", binary.display())]
    Start {
        /// The binary.
        binary: PathBuf,
        /// What happened, with the end of the server's log.
        reason: String,
    },
    /// The server is stopped.
    #[error("the server is not running")]
    Stopped,
    /// A file operation or a port failed.
    #[error("a file or a port for livekit-server is not available")]
    Io(#[from] std::io::Error),
    /// The API client could not be created.
    #[error("the client of the server's API could not be created")]
    Api(#[from] ApiError),
    /// The server's URL is invalid.
    #[error("the URL of livekit-server is invalid")]
    Url(#[from] UrlError),
}
