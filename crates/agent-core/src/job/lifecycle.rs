//! The machine of one job: what each thing that can happen means in each state.
//!
//! It decides the course of one job (promises I2, I3, I6) and nothing else: it knows no connection, no other job, no time, and not
//! how many attempts are allowed.
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
//! All from Starting on are the phases of an assigned job. An attempt ends in Starting, Running, Cancelled, Aborting or Abandoned. An abandoned one has its cleanup while it still blocks; a
//! stuck one has had its outcome already, and only gives its slot back.

use crate::answer::DeclineReason;
use crate::outcome::{AttemptEnd, CancelReason, Verdict};

/// Where a job is, while it holds a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// The user's request handler was asked.
    Offered,
    /// The server was told yes; the assignment is awaited.
    Accepted,
    /// The server granted the job to us.
    Assigned {
        /// The attempt that goes on, or was the last one, from 1.
        attempt: u32,
        /// How far it is.
        phase: Phase,
    },
}

/// How far an assigned job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The driver joins the room, or is about to call the handler again.
    Starting,
    /// The handler runs.
    Running,
    /// The handler was told to stop and has its grace.
    Cancelled {
        /// Why.
        reason: CancelReason,
    },
    /// The grace is over and the attempt is being aborted.
    Aborting {
        /// Why.
        reason: CancelReason,
    },
    /// The attempt cannot be aborted, and its cleanup runs all the same.
    Abandoned {
        /// Why it was told to stop.
        reason: CancelReason,
    },
    /// The attempt is over and its cleanup runs.
    Cleaning {
        /// How the attempt ended.
        end: AttemptEnd,
        /// Why the job was told to stop, if it was: then there is no other attempt.
        reason: Option<CancelReason>,
    },
    /// The attempt failed; the next one is waited for, in the room.
    BackingOff {
        /// How the attempt ended.
        end: AttemptEnd,
    },
    /// The attempt cannot be aborted. Its failure was reported; its slot is held.
    Stuck,
}

/// What can happen to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobInput {
    /// The user's request handler wants the job.
    Accepted,
    /// It does not, or has no answer that can be sent, and another worker may take it.
    Declined(DeclineReason),
    /// It does not, and nobody should.
    Dismissed,
    /// It did not answer in time.
    AnswerOverdue,
    /// The server granted the job to us.
    Assigned,
    /// The server did not, in time.
    AssignmentOverdue,
    /// The room is joined and the handler was called.
    Began,
    /// The attempt is over.
    Ended(AttemptEnd),
    /// Its cleanup is over, or had its time, and there will be no other attempt.
    Cleaned,
    /// Its cleanup is over, or had its time, and there will be another attempt after a while.
    CleanedToRetry,
    /// The while is over.
    RetryDue,
    /// Something asks the job to stop.
    Cancelled(CancelReason),
    /// The grace after a cancellation is over.
    GraceOver,
    /// The attempt is still there after it was aborted.
    AbortOverdue,
    /// Nothing new begins any more.
    Draining,
    /// The connection to the server was lost.
    Cut,
}

/// What comes of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The job keeps its slot: its next state, and what to do.
    Stay(JobState, Effect),
    /// The job is gone from its slot, in this way.
    Gone(Exit),
}

/// What to do about a job that goes on: one thing at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// It should not have happened here: count it.
    Odd,
    /// Send the acceptance.
    Accept,
    /// Have the room joined and the handler called.
    Start,
    /// Have the handler called once more.
    StartAgain,
    /// Tell the server that it runs.
    TellRunning,
    /// Tell the handler to stop.
    Cancel(CancelReason),
    /// Abort the attempt.
    Abort,
    /// Have the attempt's leftovers cancelled and its cleanup run.
    Clean,
    /// Wait for the next attempt.
    BackOff,
    /// Report the outcome of an attempt that cannot be aborted; the slot stays held.
    FinishStuck(Verdict),
}

/// What to do about a job whose slot is free.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Send the refusal.
    Decline(DeclineReason),
    /// Send that nobody should run it.
    Dismiss,
    /// Forget the job: it was never ours.
    Forget,
    /// Report the outcome.
    Finish(Verdict),
    /// Nothing: the outcome of its stuck attempt was reported, and that attempt ended at last.
    Release,
}

/// The one table of the job: each state and input, and what comes of it.
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

/// An offer ends with exactly one answer, or with the connection on which it came.
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
        // An assignment that overtakes our answer: the worker takes it for a yes, says so, and asks again.
        I::Assigned => Transition::Stay(JobState::Offered, Effect::Odd),
        // Timers of another state, and what belongs to an attempt or a cleanup, where there is none.
        I::AssignmentOverdue | I::RetryDue | I::GraceOver | I::AbortOverdue => {
            Transition::Stay(JobState::Offered, Effect::Odd)
        }
        I::Began | I::Ended(_) | I::Cleaned | I::CleanedToRetry => {
            Transition::Stay(JobState::Offered, Effect::Odd)
        }
    }
}

/// Accepted: it becomes ours, or it never was.
#[deny(clippy::wildcard_enum_match_arm, reason = "each pair is decided, none falls through")]
fn accepted(input: JobInput) -> Transition {
    use JobInput as I;
    match input {
        I::Assigned => {
            Transition::Stay(JobState::Assigned { attempt: 1, phase: Phase::Starting }, Effect::Start)
        }
        I::AssignmentOverdue | I::Cut | I::Cancelled(_) => Transition::Gone(Exit::Forget),
        // A drain lets go on what was accepted.
        I::Draining => Transition::Stay(JobState::Accepted, Effect::None),
        // Answers and answer timers that come late: the offer has been settled by something else.
        I::Accepted | I::Declined(_) | I::Dismissed | I::AnswerOverdue => {
            Transition::Stay(JobState::Accepted, Effect::Odd)
        }
        // Timers of another state, and what belongs to an attempt or a cleanup, where there is none.
        I::RetryDue | I::GraceOver | I::AbortOverdue => Transition::Stay(JobState::Accepted, Effect::Odd),
        I::Began | I::Ended(_) | I::Cleaned | I::CleanedToRetry => {
            Transition::Stay(JobState::Accepted, Effect::Odd)
        }
    }
}

/// Assigned: it ends with exactly one outcome.
#[deny(clippy::wildcard_enum_match_arm, reason = "each pair is decided, none falls through")]
fn assigned(attempt: u32, phase: Phase, input: JobInput) -> Transition {
    use JobInput as I;
    use Phase as P;
    let to = |phase, effect| Transition::Stay(JobState::Assigned { attempt, phase }, effect);
    let finish = |verdict| Transition::Gone(Exit::Finish(verdict));
    match (phase, input) {
        // A cut stops no job.
        (phase, I::Cut) => to(phase, Effect::None),
        // A second assignment changes nothing, and its timer is another state's.
        (phase, I::Assigned | I::AssignmentOverdue) => to(phase, Effect::Odd),
        // Answers and answer timers that come late: the offer has been settled by something else.
        (phase, I::Accepted | I::Declined(_) | I::Dismissed | I::AnswerOverdue) => to(phase, Effect::Odd),

        (P::Starting, I::Began) => to(P::Running, Effect::TellRunning),

        (P::Starting | P::Running, I::Cancelled(reason)) => {
            to(P::Cancelled { reason: reason.clone() }, Effect::Cancel(reason))
        }
        (P::Cancelled { reason }, I::GraceOver) => to(P::Aborting { reason }, Effect::Abort),
        (P::Aborting { reason }, I::AbortOverdue) => to(P::Abandoned { reason }, Effect::Clean),
        // The first reason stays, and a handler that was called while it was being cancelled goes on being cancelled.
        (
            phase @ (P::Cancelled { .. } | P::Aborting { .. } | P::Abandoned { .. } | P::Stuck),
            I::Cancelled(_) | I::Began,
        ) => to(phase, Effect::None),

        // However an attempt ends, its cleanup comes before its outcome: it may need the room.
        (P::Starting | P::Running, I::Ended(end)) => to(P::Cleaning { end, reason: None }, Effect::Clean),
        (P::Cancelled { reason } | P::Aborting { reason }, I::Ended(end)) => {
            to(P::Cleaning { end, reason: Some(reason) }, Effect::Clean)
        }
        // Its cleanup runs already.
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
        // The end of an attempt is the end of its job, unless it was to be tried again: then a cancellation still says how.
        (P::Cleaning { end, reason: None }, I::Cancelled(reason)) if end.is_retryable() => {
            to(P::Cleaning { end, reason: Some(reason.clone()) }, Effect::Cancel(reason))
        }
        (phase @ P::Cleaning { .. }, I::Cancelled(_)) => to(phase, Effect::None),

        (P::BackingOff { .. }, I::RetryDue) => {
            let next = JobState::Assigned { attempt: attempt.saturating_add(1), phase: P::Starting };
            Transition::Stay(next, Effect::StartAgain)
        }
        (P::BackingOff { end }, I::Cancelled(reason)) => finish(Verdict::of_cancelled(&reason, end)),

        // A drain lets go on what runs, and begins nothing new.
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

        // What belongs to an attempt, a cleanup or a timer of another phase.
        (P::Starting, I::Cleaned | I::CleanedToRetry | I::RetryDue | I::GraceOver | I::AbortOverdue) => {
            to(P::Starting, Effect::Odd)
        }
        (
            P::Running,
            I::Began | I::Cleaned | I::CleanedToRetry | I::RetryDue | I::GraceOver | I::AbortOverdue,
        ) => to(P::Running, Effect::Odd),
        (phase @ P::Cancelled { .. }, I::Cleaned | I::CleanedToRetry | I::RetryDue | I::AbortOverdue) => {
            to(phase, Effect::Odd)
        }
        (phase @ P::Aborting { .. }, I::Cleaned | I::CleanedToRetry | I::RetryDue | I::GraceOver) => {
            to(phase, Effect::Odd)
        }
        (phase @ P::Abandoned { .. }, I::CleanedToRetry | I::RetryDue | I::GraceOver | I::AbortOverdue) => {
            to(phase, Effect::Odd)
        }
        (
            phase @ P::Cleaning { .. },
            I::Began | I::Ended(_) | I::CleanedToRetry | I::RetryDue | I::GraceOver | I::AbortOverdue,
        ) => to(phase, Effect::Odd),
        (
            phase @ P::BackingOff { .. },
            I::Began | I::Ended(_) | I::Cleaned | I::CleanedToRetry | I::GraceOver | I::AbortOverdue,
        ) => to(phase, Effect::Odd),
        (P::Stuck, I::Cleaned | I::CleanedToRetry | I::RetryDue | I::GraceOver | I::AbortOverdue) => {
            to(P::Stuck, Effect::Odd)
        }
    }
}

impl JobState {
    /// Whether the server granted the job to us.
    #[must_use]
    pub const fn is_assigned(&self) -> bool {
        matches!(self, Self::Assigned { .. })
    }

    /// How far the job is, once it is assigned.
    #[must_use]
    pub const fn phase(&self) -> Option<&Phase> {
        match self {
            Self::Offered | Self::Accepted => None,
            Self::Assigned { phase, .. } => Some(phase),
        }
    }

    /// The attempt that goes on, or was the last one; 0 before the first.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        match self {
            Self::Offered | Self::Accepted => 0,
            Self::Assigned { attempt, .. } => *attempt,
        }
    }

    /// Whether the cleanup of this attempt is waited for.
    #[must_use]
    pub const fn is_cleaning(&self, of: u32) -> bool {
        matches!(
            self,
            Self::Assigned { attempt, phase: Phase::Cleaning { .. } | Phase::Abandoned { .. } } if *attempt == of
        )
    }

    /// Whether an attempt goes on: see [`Phase::in_attempt`].
    #[must_use]
    pub const fn in_attempt(&self) -> bool {
        match self {
            Self::Offered | Self::Accepted => false,
            Self::Assigned { phase, .. } => phase.in_attempt(),
        }
    }
}

impl Phase {
    /// Whether the handler was called, or is about to be, and has not returned as far as we know.
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
