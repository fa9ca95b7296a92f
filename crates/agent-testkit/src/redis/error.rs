//! Errors of a Redis or Valkey server.

use std::io;
use std::path::PathBuf;

/// Why a Redis server is not available.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisServerError {
    /// There is no binary to start.
    #[error("{program} is not available: {missing}")]
    NotAvailable {
        /// The program's name.
        program: &'static str,
        /// What is missing, and how to get it, in one line.
        missing: String,
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
    #[error("the Redis server is not running")]
    Stopped,
    /// A file, a port or a connection failed, or the server returned an error.
    #[error("a file, a port or a connection of the Redis server failed, or it returned an error")]
    Io(#[from] io::Error),
}
