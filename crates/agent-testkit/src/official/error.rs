//! Errors of LiveKit's own SDKs.

use std::time::Duration;

use super::event::ClientEvent;
use crate::install::InstallError;

/// Errors of an official client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A required tool is missing.
    #[error("LiveKit's SDK is not available: {missing}")]
    NotAvailable {
        /// What is missing, and how to get it, in one line.
        missing: String,
    },
    /// The process of the clients ended.
    #[error("the official clients' process ended; its log ends with:\n{log}")]
    HostGone {
        /// The end of its own log.
        log: String,
    },
    /// The SDK refused an operation.
    #[error("the official client failed to {operation}: {reason}")]
    Failed {
        /// The operation.
        operation: String,
        /// The SDK's error.
        reason: String,
    },
    /// An RPC returned an error.
    #[error("the RPC failed with error {code}: {message}")]
    Rpc {
        /// The error code: 1400 if the other side does not have the method.
        code: u64,
        /// The error message.
        message: String,
        /// The data with the error, if there are any.
        data: Option<String>,
    },
    /// An expected event did not arrive.
    #[error("{what} did not arrive within {within:?}; pending events: {seen:?}")]
    Timeout {
        /// The expected event.
        what: String,
        /// The timeout.
        within: Duration,
        /// The pending events.
        seen: Vec<ClientEvent>,
    },
    /// A pipe or a file failed.
    #[error("the official clients' process could not be started or reached")]
    Io(#[from] std::io::Error),
}

impl From<InstallError> for ClientError {
    fn from(error: InstallError) -> Self {
        match error {
            InstallError::Missing(missing) => Self::NotAvailable { missing },
            InstallError::Io(error) => Self::Io(error),
        }
    }
}

/// Errors of an official worker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfficialWorkerError {
    /// A required tool is missing.
    #[error("LiveKit's own worker is not available: {missing}")]
    NotAvailable {
        /// What is missing, and how to get it, in one line.
        missing: String,
    },
    /// The worker ended.
    #[error("the official worker ended; its log ends with:\n{log}")]
    Ended {
        /// The end of its own log.
        log: String,
    },
    /// An expected event did not occur.
    #[error("{what} did not occur within {within:?}; the official worker's log ends with:\n{log}")]
    Timeout {
        /// The expected event.
        what: String,
        /// The timeout.
        within: Duration,
        /// The end of the worker's own log.
        log: String,
    },
    /// A pipe or a file failed.
    #[error("the official worker's process could not be started")]
    Io(#[from] std::io::Error),
}

impl From<InstallError> for OfficialWorkerError {
    fn from(error: InstallError) -> Self {
        match error {
            InstallError::Missing(missing) => Self::NotAvailable { missing },
            InstallError::Io(error) => Self::Io(error),
        }
    }
}
