//! Why a command fails, and its exit code.

use std::io;

use agent_core::FAILED_EXIT_CODE;
use agent_net::ApiError;

use crate::cli::http::{AddressError, ListenError};
use crate::cli::log::LevelError;
use crate::worker::WorkerError;
use crate::worker::config_error::ConfigError;

/// The exit code for wrong options.
const WRONG_USE: u8 = 2;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error(transparent)]
    Level(#[from] LevelError),
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("{0}")]
    Schema(&'static str),
    #[error("the schema could not be written")]
    Output(#[source] io::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Worker(#[from] WorkerError),
    #[error(transparent)]
    Job(#[from] JobRunError),
}

impl CliError {
    pub(super) const fn exit_code(&self) -> u8 {
        match self {
            Self::Level(_) | Self::Address(_) => WRONG_USE,
            Self::Config(error) => error.exit_code(),
            Self::Worker(error) => error.exit_code(),
            Self::Job(_) | Self::Listen(_) | Self::Schema(_) | Self::Output(_) => FAILED_EXIT_CODE,
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
    #[error("the worker was stopped before its job ended")]
    NoJob,
}
