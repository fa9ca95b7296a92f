//! The state machine of one job: the transition for each state and input.
//!
//! It decides the course of one job (promises I2, I3, I6). It knows no connection, no other job, no time, and
//! not how many attempts are allowed.
//!
//! ```text
//!  offer ─► Offered ─accept─► Accepted ─assigned─► Starting ─began─► Running
//!              │                 │                  ▲    └──────┬──────┘
//!     decline, dismiss,    no assignment,          due       cancel
//!     silence, cut,        cut, cancel              │           ▼
//!     drain                      │                  │       Cancelled ─grace over─► Aborting ─still there─► Abandoned
//!              ▼                 ▼                  │                                                           │
//!            (gone)            (gone)          BackingOff                                                    cleaned
//!                                               ▲      │                                                        ▼
//!                                             retry  cancel, drain                     (gone) ◄─its end──── Stuck
//!                                               │      ▼
//!     the end of an attempt ─────────► Cleaning ┴─► (gone, with its outcome)
//!                                           cleaned
//! ```
//! All from Starting on are the phases of an assigned job. An attempt ends in Starting, Running, Cancelled,
//! Aborting or Abandoned. An abandoned one is cleaned up while it still blocks; a stuck one already has its
//! outcome, and only releases its slot.

use crate::answer::DeclineReason;
use crate::outcome::{AttemptEnd, CancelReason, Verdict};

/// The state of a job that holds a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// The user's request handler was asked.
    Offered,
    /// The acceptance was sent; the assignment is awaited.
    Accepted,
    /// The server granted the job to us.
    Assigned {
        /// The current or last attempt, from 1.
        attempt: u32,
        /// The phase of the job.
        phase: Phase,
    },
}

/// The phase of an assigned job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The driver joins the room, or is about to call the handler again.
    Starting,
    /// The handler runs.
    Running,
    /// The handler was cancelled and has its grace.
    Cancelled {
        /// The reason.
        reason: CancelReason,
    },
    /// The grace is over and the attempt is being aborted.
    Aborting {
        /// The reason.
        reason: CancelReason,
    },
    /// The attempt could not be aborted, and its cleanup runs anyway.
    Abandoned {
        /// The reason of the cancellation.
        reason: CancelReason,
    },
    /// The attempt is over and its cleanup runs.
    Cleaning {
        /// How the attempt ended.
        end: AttemptEnd,
        /// The reason of the cancellation, if any: then there is no other attempt.
        reason: Option<CancelReason>,
    },
    /// The attempt failed; the job waits for the next one, in its room.
    BackingOff {
        /// How the attempt ended.
        end: AttemptEnd,
    },
    /// The attempt could not be aborted. Its failure was reported; its slot is held.
    Stuck,
}

/// Inputs of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobInput {
    /// The request handler accepted the job.
    Accepted,
    /// The request handler declined it, or its answer cannot be sent; another worker may take the job.
    Declined(DeclineReason),
    /// The request handler dismissed it: no worker should run the job.
    Dismissed,
    /// The request handler did not answer in time.
    AnswerOverdue,
    /// The server granted the job to us.
    Assigned,
    /// The server did not assign the job in time.
    AssignmentOverdue,
    /// The room is joined and the handler was called.
    Began,
    /// The attempt is over.
    Ended(AttemptEnd),
    /// The cleanup is over, or timed out, and there will be no other attempt.
    Cleaned,
    /// The cleanup is over, or timed out, and there will be another attempt after a wait.
    CleanedToRetry,
    /// The wait before the next attempt is over.
    RetryDue,
    /// The job is to be cancelled.
    Cancelled(CancelReason),
    /// The grace after a cancellation is over.
    GraceOver,
    /// The attempt has not ended in time after the abort.
    AbortOverdue,
    /// The worker drains: nothing new begins.
    Draining,
    /// The connection to the server was lost.
    Cut,
}

/// The result of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The job keeps its slot: the next state, and the effect.
    Stay(JobState, Effect),
    /// The job leaves its slot.
    Gone(Exit),
}

/// What to do about a job that keeps its slot: at most one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// The input is not expected in this state: count it.
    Unexpected,
    /// Send the acceptance.
    Accept,
    /// Join the room and call the handler.
    Start,
    /// Call the handler again.
    Retry,
    /// Report to the server that the job runs.
    ReportRunning,
    /// Cancel the handler.
    Cancel(CancelReason),
    /// Abort the attempt.
    Abort,
    /// Cancel the attempt's remaining tasks and run its cleanup.
    Clean,
    /// Wait for the next attempt.
    BackOff,
    /// Report the outcome of an attempt that could not be aborted; the slot stays held.
    FinishStuck(Verdict),
}

/// What to do about a job whose slot is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Decline the offer.
    Decline(DeclineReason),
    /// Dismiss the offer.
    Dismiss,
    /// Remove the job: it was never assigned to us.
    Forget,
    /// Report the outcome.
    Finish(Verdict),
    /// Nothing: the outcome was reported when the attempt was stuck, and it has now ended.
    Release,
}

/// The transition table of the job.
///
/// ```
/// use agent_core::{step, AttemptEnd, Effect, Exit, JobInput, JobState, Outcome, Phase, Transition};
///
/// let running = JobState::Assigned { attempt: 1, phase: Phase::Running };
/// let Transition::Stay(cleaning, effect) = step(running, JobInput::Ended(AttemptEnd::Ok)) else { panic!() };
/// assert_eq!(effect, Effect::Clean);
/// let Transition::Gone(Exit::Finish(verdict)) = step(cleaning, JobInput::Cleaned) else { panic!() };
/// assert_eq!(verdict.outcome, Outcome::Success);
/// ```
#[must_use]
pub fn step(state: JobState, input: JobInput) -> Transition {
    match state {
        JobState::Offered => offered(input),
        JobState::Accepted => accepted(input),
        JobState::Assigned { attempt, phase } => assigned(attempt, phase, input),
    }
}

/// Offered: ends with exactly one answer, or with the offer's connection.
#[deny(clippy::wildcard_enum_match_arm, reason = "each pair is decided, none falls through")]
fn offered(input: JobInput) -> Transition {
    use JobInput as I;
    match input {
        I::Accepted => Transition::Stay(JobState::Accepted, Effect::Accept),
        I::Declined(why) => Transition::Gone(Exit::Decline(why)),
        I::AnswerOverdue => Transition::Gone(Exit::Decline(DeclineReason::Silent)),
        I::Cancelled(_) => Transition::Gone(Exit::Decline(DeclineReason::Cancelled)),
        I::Draining => Transition::Gone(Exit::Decline(DeclineReason::Draining)),
        I::Dismissed => Transition::Gone(Exit::Dismiss),
        I::Cut => Transition::Gone(Exit::Forget),
        // An assignment that overtakes our answer: the worker treats it as an acceptance, sends that, and
        // applies the assignment again.
        I::Assigned => Transition::Stay(JobState::Offered, Effect::Unexpected),
        // Timers of another state, and inputs of an attempt or a cleanup, of which there is none.
        I::AssignmentOverdue | I::RetryDue | I::GraceOver | I::AbortOverdue => {
            Transition::Stay(JobState::Offered, Effect::Unexpected)
        }
        I::Began | I::Ended(_) | I::Cleaned | I::CleanedToRetry => {
            Transition::Stay(JobState::Offered, Effect::Unexpected)
        }
    }
}

/// Accepted: ends with the assignment, or without one.
#[deny(clippy::wildcard_enum_match_arm, reason = "each pair is decided, none falls through")]
fn accepted(input: JobInput) -> Transition {
    use JobInput as I;
    match input {
        I::Assigned => {
            Transition::Stay(JobState::Assigned { attempt: 1, phase: Phase::Starting }, Effect::Start)
        }
        I::AssignmentOverdue | I::Cut | I::Cancelled(_) => Transition::Gone(Exit::Forget),
        // A drain keeps what was accepted.
        I::Draining => Transition::Stay(JobState::Accepted, Effect::None),
        // Late answers and answer timers: the offer was settled otherwise.
        I::Accepted | I::Declined(_) | I::Dismissed | I::AnswerOverdue => {
            Transition::Stay(JobState::Accepted, Effect::Unexpected)
        }
        // Timers of another state, and inputs of an attempt or a cleanup, of which there is none.
        I::RetryDue | I::GraceOver | I::AbortOverdue => {
            Transition::Stay(JobState::Accepted, Effect::Unexpected)
        }
        I::Began | I::Ended(_) | I::Cleaned | I::CleanedToRetry => {
            Transition::Stay(JobState::Accepted, Effect::Unexpected)
        }
    }
}

/// Assigned: ends with exactly one outcome.
#[deny(clippy::wildcard_enum_match_arm, reason = "each pair is decided, none falls through")]
fn assigned(attempt: u32, phase: Phase, input: JobInput) -> Transition {
    use JobInput as I;
    use Phase as P;
    let to = |phase, effect| Transition::Stay(JobState::Assigned { attempt, phase }, effect);
    let finish = |verdict| Transition::Gone(Exit::Finish(verdict));
    match (phase, input) {
        // A cut stops no job.
        (phase, I::Cut) => to(phase, Effect::None),
        // A second assignment changes nothing, and its timer belongs to another state.
        (phase, I::Assigned | I::AssignmentOverdue) => to(phase, Effect::Unexpected),
        // Late answers and answer timers: the offer was settled otherwise.
        (phase, I::Accepted | I::Declined(_) | I::Dismissed | I::AnswerOverdue) => {
            to(phase, Effect::Unexpected)
        }

        (P::Starting, I::Began) => to(P::Running, Effect::ReportRunning),

        (P::Starting | P::Running, I::Cancelled(reason)) => {
            to(P::Cancelled { reason: reason.clone() }, Effect::Cancel(reason))
        }
        (P::Cancelled { reason }, I::GraceOver) => to(P::Aborting { reason }, Effect::Abort),
        (P::Aborting { reason }, I::AbortOverdue) => to(P::Abandoned { reason }, Effect::Clean),
        // The first reason is kept, and a handler that starts during a cancellation stays cancelled.
        (
            phase @ (P::Cancelled { .. } | P::Aborting { .. } | P::Abandoned { .. } | P::Stuck),
            I::Cancelled(_) | I::Began,
        ) => to(phase, Effect::None),

        // After any end of an attempt its cleanup precedes its outcome: it may need the room.
        (P::Starting | P::Running, I::Ended(end)) => to(P::Cleaning { end, reason: None }, Effect::Clean),
        (P::Cancelled { reason } | P::Aborting { reason }, I::Ended(end)) => {
            to(P::Cleaning { end, reason: Some(reason) }, Effect::Clean)
        }
        // The cleanup runs already.
        (P::Abandoned { reason }, I::Ended(end)) => {
            to(P::Cleaning { end, reason: Some(reason) }, Effect::None)
        }
        (P::Stuck, I::Ended(_)) => Transition::Gone(Exit::Release),

        (P::Cleaning { end, reason: None }, I::Cleaned) => finish(Verdict::of(end)),
        (P::Cleaning { end, reason: Some(reason) }, I::Cleaned) => {
            finish(Verdict::of_cancelled(&reason, end))
        }
        (P::Abandoned { reason }, I::Cleaned) => {
            to(P::Stuck, Effect::FinishStuck(Verdict::of_cancelled(&reason, AttemptEnd::Aborted)))
        }
        (P::Cleaning { end, reason: None }, I::CleanedToRetry) if end.is_retryable() => {
            to(P::BackingOff { end }, Effect::BackOff)
        }
        // The end of an attempt determines the outcome, unless it was to be retried: then a cancellation
        // during the cleanup does.
        (P::Cleaning { end, reason: None }, I::Cancelled(reason)) if end.is_retryable() => {
            to(P::Cleaning { end, reason: Some(reason.clone()) }, Effect::Cancel(reason))
        }
        (phase @ P::Cleaning { .. }, I::Cancelled(_)) => to(phase, Effect::None),

        (P::BackingOff { .. }, I::RetryDue) => {
            let next = JobState::Assigned { attempt: attempt.saturating_add(1), phase: P::Starting };
            Transition::Stay(next, Effect::Retry)
        }
        (P::BackingOff { end }, I::Cancelled(reason)) => finish(Verdict::of_cancelled(&reason, end)),

        // A drain keeps what runs, and begins nothing new.
        (P::BackingOff { end }, I::Draining) => finish(Verdict::of(end)),
        (
            phase @ (P::Starting
            | P::Running
            | P::Cancelled { .. }
            | P::Aborting { .. }
            | P::Abandoned { .. }
            | P::Cleaning { .. }
            | P::Stuck),
            I::Draining,
        ) => to(phase, Effect::None),

        // Inputs of an attempt, a cleanup or a timer of another phase.
        (P::Starting, I::Cleaned | I::CleanedToRetry | I::RetryDue | I::GraceOver | I::AbortOverdue) => {
            to(P::Starting, Effect::Unexpected)
        }
        (
            P::Running,
            I::Began | I::Cleaned | I::CleanedToRetry | I::RetryDue | I::GraceOver | I::AbortOverdue,
        ) => to(P::Running, Effect::Unexpected),
        (phase @ P::Cancelled { .. }, I::Cleaned | I::CleanedToRetry | I::RetryDue | I::AbortOverdue) => {
            to(phase, Effect::Unexpected)
        }
        (phase @ P::Aborting { .. }, I::Cleaned | I::CleanedToRetry | I::RetryDue | I::GraceOver) => {
            to(phase, Effect::Unexpected)
        }
        (phase @ P::Abandoned { .. }, I::CleanedToRetry | I::RetryDue | I::GraceOver | I::AbortOverdue) => {
            to(phase, Effect::Unexpected)
        }
        (
            phase @ P::Cleaning { .. },
            I::Began | I::Ended(_) | I::CleanedToRetry | I::RetryDue | I::GraceOver | I::AbortOverdue,
        ) => to(phase, Effect::Unexpected),
        (
            phase @ P::BackingOff { .. },
            I::Began | I::Ended(_) | I::Cleaned | I::CleanedToRetry | I::GraceOver | I::AbortOverdue,
        ) => to(phase, Effect::Unexpected),
        (P::Stuck, I::Cleaned | I::CleanedToRetry | I::RetryDue | I::GraceOver | I::AbortOverdue) => {
            to(P::Stuck, Effect::Unexpected)
        }
    }
}

impl JobState {
    /// Whether the server granted the job to us.
    #[must_use]
    pub const fn is_assigned(&self) -> bool {
        matches!(self, Self::Assigned { .. })
    }

    /// The phase of the job, once it is assigned.
    #[must_use]
    pub const fn phase(&self) -> Option<&Phase> {
        match self {
            Self::Offered | Self::Accepted => None,
            Self::Assigned { phase, .. } => Some(phase),
        }
    }

    /// The current or last attempt; 0 before the first.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        match self {
            Self::Offered | Self::Accepted => 0,
            Self::Assigned { attempt, .. } => *attempt,
        }
    }

    /// Whether the job waits for the cleanup of this attempt.
    #[must_use]
    pub const fn is_cleaning(&self, of: u32) -> bool {
        matches!(
            self,
            Self::Assigned { attempt, phase: Phase::Cleaning { .. } | Phase::Abandoned { .. } } if *attempt == of
        )
    }

    /// Whether the end of an attempt is awaited, also of one that could not be aborted.
    pub(crate) const fn has_attempt(&self) -> bool {
        let abandoned = matches!(self, Self::Assigned { phase: Phase::Abandoned { .. } | Phase::Stuck, .. });
        abandoned || self.in_attempt()
    }

    /// Whether an attempt is in progress: see [`Phase::in_attempt`].
    #[must_use]
    pub const fn in_attempt(&self) -> bool {
        match self {
            Self::Offered | Self::Accepted => false,
            Self::Assigned { phase, .. } => phase.in_attempt(),
        }
    }
}

impl Phase {
    /// Whether the handler was called, or is about to be, and has not returned.
    #[must_use]
    pub const fn in_attempt(&self) -> bool {
        match self {
            Self::Starting | Self::Running | Self::Cancelled { .. } | Self::Aborting { .. } => true,
            Self::Abandoned { .. } | Self::Cleaning { .. } | Self::BackingOff { .. } | Self::Stuck => false,
        }
    }
}

#[cfg(test)]
mod tests;
