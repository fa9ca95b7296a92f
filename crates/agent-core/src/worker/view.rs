//! What is seen of a running worker: its health, and its jobs.

use std::sync::Arc;
use std::time::Duration;

use crate::job::Job;
use crate::job::lifecycle::{JobState, Phase};

/// Why a worker does not work, or gets no jobs. Displayed as what is wrong, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HealthProblem {
    /// It has stopped.
    #[error("the worker has stopped")]
    Stopped,
    /// Attempts that could not be aborted hold all its slots.
    #[error("attempts that cannot be aborted hold every slot: restart the worker")]
    AllStuck,
    /// It prepares for jobs.
    #[error("starting: what is to be done before the first connection is not done yet")]
    Preparing,
    /// It drains.
    #[error("draining")]
    Draining,
    /// It has no connection to the server, or is not registered on it.
    #[error("not connected to the LiveKit server")]
    Disconnected,
    /// It is registered, and the server has not answered it since.
    #[error("registered, and not confirmed by the LiveKit server yet")]
    Unconfirmed,
    /// It was told to accept no new jobs.
    #[error("quiet: no new jobs are accepted until an undrain")]
    Quiet,
}

/// A job that holds a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LiveJob {
    /// The job.
    pub job: Arc<Job>,
    /// Its state.
    pub state: LiveState,
    /// How many attempts have begun.
    pub attempts: u32,
    /// The time since its assignment; before that, since its offer.
    pub age: Duration,
    /// The error or panic of the last attempt that ended with one, in at most 300 characters.
    pub last_error: Option<Arc<str>>,
}

/// The state of a job that holds a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum LiveState {
    /// The request handler was called.
    Offered,
    /// Accepted, not yet assigned.
    Accepted,
    /// Its room is being joined, or its handler is about to be called again.
    Starting,
    /// Its handler runs.
    Running,
    /// Its handler was cancelled and has its grace.
    Cancelled,
    /// Its handler is being aborted.
    Aborting,
    /// Its cleanup runs.
    Cleaning,
    /// It waits for the next attempt.
    BackingOff,
    /// Its attempt could not be aborted.
    Stuck,
}

impl LiveState {
    /// The name of this state, in snake case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Accepted => "accepted",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Cancelled => "cancelled",
            Self::Aborting => "aborting",
            Self::Cleaning => "cleaning",
            Self::BackingOff => "backing_off",
            Self::Stuck => "stuck",
        }
    }

    pub(super) const fn of(state: &JobState) -> Self {
        match state {
            JobState::Offered => Self::Offered,
            JobState::Accepted => Self::Accepted,
            JobState::Assigned { phase, .. } => match phase {
                Phase::Starting => Self::Starting,
                Phase::Running => Self::Running,
                Phase::Cancelled { .. } => Self::Cancelled,
                Phase::Aborting { .. } => Self::Aborting,
                Phase::Abandoned { .. } | Phase::Cleaning { .. } => Self::Cleaning,
                Phase::BackingOff { .. } => Self::BackingOff,
                Phase::Stuck => Self::Stuck,
            },
        }
    }
}
