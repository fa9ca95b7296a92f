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
//! An attempt ends in Starting, Running, Cancelled, Aborting or Abandoned. An abandoned one has its cleanup while it still blocks; a
//! stuck one has had its outcome already, and only gives its slot back.

use crate::answer::DeclineReason;
use crate::outcome::{AttemptEnd, CancelReason, Verdict};

/// Where a job is, while it holds a slot. Attempts count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// The user's request handler was asked.
    Offered,
    /// The server was told yes; the assignment is awaited.
    Accepted,
    /// Assigned; the driver joins the room, or is about to call the handler again.
    Starting {
        /// Which one.
        attempt: u32,
    },
    /// The handler runs.
    Running {
        /// Which call of it.
        attempt: u32,
    },
    /// The handler was told to stop and has its grace.
    Cancelled {
        /// Which call of it.
        attempt: u32,
        /// Why.
        reason: CancelReason,
    },
    /// The grace is over and the attempt is being aborted.
    Aborting {
        /// Which one.
        attempt: u32,
        /// Why.
        reason: CancelReason,
    },
    /// The attempt cannot be aborted, and its cleanup runs all the same.
    Abandoned {
        /// Which one.
        attempt: u32,
        /// Why it was told to stop.
        reason: CancelReason,
    },
    /// The attempt is over and its cleanup runs.
    Cleaning {
        /// Which one.
        attempt: u32,
        /// How it ended.
        end: AttemptEnd,
        /// Why the job was told to stop, if it was: then there is no other attempt.
        reason: Option<CancelReason>,
    },
    /// Waits for its next attempt, in its room.
    BackingOff {
        /// The one that failed.
        attempt: u32,
        /// How it ended.
        end: AttemptEnd,
    },
    /// The attempt cannot be aborted. Its failure was reported; its slot is held.
    Stuck {
        /// Which one.
        attempt: u32,
    },
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

/// What to do about it: one thing at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// It should not have happened here: count it.
    Odd,
    /// Send the acceptance.
    Accept,
    /// Send the refusal; the slot is free.
    Decline(DeclineReason),
    /// Send that nobody should run it; the slot is free.
    Dismiss,
    /// Forget the job: it was never ours.
    Forget,
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
    /// Report the outcome; the slot is free.
    Finish(Verdict),
    /// Report the outcome of an attempt that cannot be aborted; the slot stays held.
    FinishStuck(Verdict),
    /// The stuck attempt ended at last; the slot is free.
    Release,
}

/// The one table of the job: the next state (`None`: gone) and what to do.
///
/// ```
/// use agent_core::{step, AttemptEnd, Effect, JobInput, JobState, Outcome};
///
/// let (next, effect) = step(JobState::Running { attempt: 1 }, JobInput::Ended(AttemptEnd::Ok));
/// assert_eq!(effect, Effect::Clean);
/// let (next, effect) = step(next.unwrap(), JobInput::Cleaned);
/// assert!(matches!(effect, Effect::Finish(verdict) if verdict.outcome == Outcome::Success));
/// assert_eq!(next, None);
/// ```
#[deny(clippy::wildcard_enum_match_arm, reason = "each pair is decided, none falls through")]
#[allow(clippy::too_many_lines, reason = "one table, in one place")]
pub fn step(state: JobState, input: JobInput) -> (Option<JobState>, Effect) {
    use JobInput as I;
    use JobState as S;
    match (state, input) {
        // An offer ends with exactly one answer, or with the connection on which it came.
        (S::Offered, I::Accepted) => (Some(S::Accepted), Effect::Accept),
        (S::Offered, I::Declined(why)) => (None, Effect::Decline(why)),
        (S::Offered, I::AnswerOverdue) => (None, Effect::Decline(DeclineReason::Silent)),
        (S::Offered, I::Cancelled(_)) => (None, Effect::Decline(DeclineReason::Cancelled)),
        (S::Offered, I::Draining) => (None, Effect::Decline(DeclineReason::Draining)),
        (S::Offered, I::Dismissed) => (None, Effect::Dismiss),
        (S::Offered, I::Cut) => (None, Effect::Forget),
        // An assignment that overtakes our answer: the worker takes it for a yes, says so, and asks again.
        (S::Offered, I::Assigned) => (Some(S::Offered), Effect::Odd),

        (S::Accepted, I::Assigned) => (Some(S::Starting { attempt: 1 }), Effect::Start),
        (S::Accepted, I::AssignmentOverdue | I::Cut | I::Cancelled(_)) => (None, Effect::Forget),

        (S::Starting { attempt }, I::Began) => (Some(S::Running { attempt }), Effect::TellRunning),

        (S::Starting { attempt } | S::Running { attempt }, I::Cancelled(reason)) => {
            (Some(S::Cancelled { attempt, reason: reason.clone() }), Effect::Cancel(reason))
        }
        (S::Cancelled { attempt, reason }, I::GraceOver) => {
            (Some(S::Aborting { attempt, reason }), Effect::Abort)
        }
        (S::Aborting { attempt, reason }, I::AbortOverdue) => {
            (Some(S::Abandoned { attempt, reason }), Effect::Clean)
        }
        // The first reason stays, and a handler that was called while it was being cancelled goes on being cancelled.
        (
            s @ (S::Cancelled { .. } | S::Aborting { .. } | S::Abandoned { .. }),
            I::Cancelled(_) | I::Began,
        ) => (Some(s), Effect::None),

        // However an attempt ends, its cleanup comes before its outcome: it may need the room.
        (S::Starting { attempt } | S::Running { attempt }, I::Ended(end)) => {
            (Some(S::Cleaning { attempt, end, reason: None }), Effect::Clean)
        }
        (S::Cancelled { attempt, reason } | S::Aborting { attempt, reason }, I::Ended(end)) => {
            (Some(S::Cleaning { attempt, end, reason: Some(reason) }), Effect::Clean)
        }
        // Its cleanup runs already.
        (S::Abandoned { attempt, reason }, I::Ended(end)) => {
            (Some(S::Cleaning { attempt, end, reason: Some(reason) }), Effect::None)
        }

        (S::Cleaning { end, reason: None, .. }, I::Cleaned) => (None, Effect::Finish(Verdict::of(end))),
        (S::Cleaning { end, reason: Some(reason), .. }, I::Cleaned) => {
            (None, Effect::Finish(Verdict::of_cancelled(&reason, end)))
        }
        (S::Abandoned { attempt, reason }, I::Cleaned) => {
            let verdict = Verdict::of_cancelled(&reason, AttemptEnd::Aborted);
            (Some(S::Stuck { attempt }), Effect::FinishStuck(verdict))
        }
        (S::Cleaning { attempt, end, reason: None }, I::CleanedToRetry) if end.is_retryable() => {
            (Some(S::BackingOff { attempt, end }), Effect::BackOff)
        }
        // The end of an attempt is the end of its job, unless it was to be tried again: then a cancellation still says how.
        (S::Cleaning { attempt, end, reason: None }, I::Cancelled(reason)) if end.is_retryable() => {
            (Some(S::Cleaning { attempt, end, reason: Some(reason.clone()) }), Effect::Cancel(reason))
        }
        (s @ S::Cleaning { .. }, I::Cancelled(_)) => (Some(s), Effect::None),

        (S::BackingOff { attempt, .. }, I::RetryDue) => {
            (Some(S::Starting { attempt: attempt.saturating_add(1) }), Effect::StartAgain)
        }
        (S::BackingOff { end, .. }, I::Cancelled(reason)) => {
            (None, Effect::Finish(Verdict::of_cancelled(&reason, end)))
        }
        (S::BackingOff { end, .. }, I::Draining) => (None, Effect::Finish(Verdict::of(end))),

        (S::Stuck { .. }, I::Ended(_)) => (None, Effect::Release),
        (s @ S::Stuck { .. }, I::Cancelled(_) | I::Began) => (Some(s), Effect::None),

        // A cut stops no job.
        (
            s @ (S::Starting { .. }
            | S::Running { .. }
            | S::Cancelled { .. }
            | S::Aborting { .. }
            | S::Abandoned { .. }
            | S::Cleaning { .. }
            | S::BackingOff { .. }
            | S::Stuck { .. }),
            I::Cut,
        ) => (Some(s), Effect::None),
        // A drain lets go on what was accepted, and what runs.
        (
            s @ (S::Accepted
            | S::Starting { .. }
            | S::Running { .. }
            | S::Cancelled { .. }
            | S::Aborting { .. }
            | S::Abandoned { .. }
            | S::Cleaning { .. }
            | S::Stuck { .. }),
            I::Draining,
        ) => (Some(s), Effect::None),

        // A second assignment changes nothing.
        (
            s @ (S::Starting { .. }
            | S::Running { .. }
            | S::Cancelled { .. }
            | S::Aborting { .. }
            | S::Abandoned { .. }
            | S::Cleaning { .. }
            | S::BackingOff { .. }
            | S::Stuck { .. }),
            I::Assigned,
        ) => (Some(s), Effect::Odd),
        // Answers and answer timers that come late: the offer has been settled by something else.
        (
            s @ (S::Accepted
            | S::Starting { .. }
            | S::Running { .. }
            | S::Cancelled { .. }
            | S::Aborting { .. }
            | S::Abandoned { .. }
            | S::Cleaning { .. }
            | S::BackingOff { .. }
            | S::Stuck { .. }),
            I::Accepted | I::Declined(_) | I::Dismissed | I::AnswerOverdue,
        ) => (Some(s), Effect::Odd),
        // What belongs to an attempt, where there is none.
        (
            s @ (S::Offered | S::Accepted | S::Cleaning { .. } | S::BackingOff { .. }),
            I::Began | I::Ended(_),
        ) => (Some(s), Effect::Odd),
        (s @ S::Running { .. }, I::Began) => (Some(s), Effect::Odd),
        // What belongs to a cleanup, where there is none, or no other attempt to come.
        (
            s @ (S::Offered
            | S::Accepted
            | S::Starting { .. }
            | S::Running { .. }
            | S::Cancelled { .. }
            | S::Aborting { .. }
            | S::BackingOff { .. }
            | S::Stuck { .. }),
            I::Cleaned,
        ) => (Some(s), Effect::Odd),
        (
            s @ (S::Offered
            | S::Accepted
            | S::Starting { .. }
            | S::Running { .. }
            | S::Cancelled { .. }
            | S::Aborting { .. }
            | S::Abandoned { .. }
            | S::Cleaning { .. }
            | S::BackingOff { .. }
            | S::Stuck { .. }),
            I::CleanedToRetry,
        ) => (Some(s), Effect::Odd),
        // Timers of another state.
        (
            s @ (S::Offered
            | S::Accepted
            | S::Starting { .. }
            | S::Running { .. }
            | S::Cancelled { .. }
            | S::Aborting { .. }
            | S::Abandoned { .. }
            | S::Cleaning { .. }
            | S::Stuck { .. }),
            I::RetryDue,
        ) => (Some(s), Effect::Odd),
        (
            s @ (S::Offered
            | S::Starting { .. }
            | S::Running { .. }
            | S::Cancelled { .. }
            | S::Aborting { .. }
            | S::Abandoned { .. }
            | S::Cleaning { .. }
            | S::BackingOff { .. }
            | S::Stuck { .. }),
            I::AssignmentOverdue,
        ) => (Some(s), Effect::Odd),
        (
            s @ (S::Offered
            | S::Accepted
            | S::Starting { .. }
            | S::Running { .. }
            | S::Aborting { .. }
            | S::Abandoned { .. }
            | S::Cleaning { .. }
            | S::BackingOff { .. }
            | S::Stuck { .. }),
            I::GraceOver,
        ) => (Some(s), Effect::Odd),
        (
            s @ (S::Offered
            | S::Accepted
            | S::Starting { .. }
            | S::Running { .. }
            | S::Cancelled { .. }
            | S::Abandoned { .. }
            | S::Cleaning { .. }
            | S::BackingOff { .. }
            | S::Stuck { .. }),
            I::AbortOverdue,
        ) => (Some(s), Effect::Odd),
    }
}

impl JobState {
    /// Whether the server granted the job to us.
    #[must_use]
    pub const fn is_assigned(&self) -> bool {
        self.attempt() > 0
    }

    /// The attempt that goes on, or was the last one; 0 before the first.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        match self {
            Self::Offered | Self::Accepted => 0,
            Self::Starting { attempt }
            | Self::Running { attempt }
            | Self::Cancelled { attempt, .. }
            | Self::Aborting { attempt, .. }
            | Self::Abandoned { attempt, .. }
            | Self::Cleaning { attempt, .. }
            | Self::BackingOff { attempt, .. }
            | Self::Stuck { attempt } => *attempt,
        }
    }

    /// Whether the cleanup of this attempt is waited for.
    #[must_use]
    pub const fn is_cleaning(&self, of: u32) -> bool {
        matches!(self, Self::Cleaning { attempt, .. } | Self::Abandoned { attempt, .. } if *attempt == of)
    }

    /// Whether the handler was called, or is about to be, and has not returned as far as we know.
    #[must_use]
    pub const fn in_attempt(&self) -> bool {
        match self {
            Self::Starting { .. } | Self::Running { .. } | Self::Cancelled { .. } | Self::Aborting { .. } => {
                true
            }
            Self::Offered
            | Self::Accepted
            | Self::Abandoned { .. }
            | Self::Cleaning { .. }
            | Self::BackingOff { .. }
            | Self::Stuck { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::JobErrorKind;
    use std::time::Duration;

    fn retryable() -> AttemptEnd {
        let kind = JobErrorKind::Retryable { after: Duration::from_secs(5) };
        AttemptEnd::Error { kind, text: "no route".into() }
    }

    fn states() -> Vec<JobState> {
        let attempt = 1;
        let reason = CancelReason::Drained;
        vec![
            JobState::Offered,
            JobState::Accepted,
            JobState::Starting { attempt },
            JobState::Running { attempt },
            JobState::Cancelled { attempt, reason: reason.clone() },
            JobState::Aborting { attempt, reason: reason.clone() },
            JobState::Abandoned { attempt, reason: reason.clone() },
            JobState::Cleaning { attempt, end: AttemptEnd::Ok, reason: None },
            JobState::Cleaning { attempt, end: retryable(), reason: None },
            JobState::Cleaning { attempt, end: retryable(), reason: Some(reason) },
            JobState::BackingOff { attempt, end: retryable() },
            JobState::Stuck { attempt },
        ]
    }

    fn inputs() -> Vec<JobInput> {
        vec![
            JobInput::Accepted,
            JobInput::Declined(DeclineReason::Handler),
            JobInput::Dismissed,
            JobInput::AnswerOverdue,
            JobInput::Assigned,
            JobInput::AssignmentOverdue,
            JobInput::Began,
            JobInput::Ended(AttemptEnd::Ok),
            JobInput::Ended(AttemptEnd::Cancelled),
            JobInput::Ended(retryable()),
            JobInput::Ended(AttemptEnd::Panicked("message".into())),
            JobInput::Ended(AttemptEnd::Aborted),
            JobInput::Cleaned,
            JobInput::CleanedToRetry,
            JobInput::RetryDue,
            JobInput::Cancelled(CancelReason::Terminated),
            JobInput::GraceOver,
            JobInput::AbortOverdue,
            JobInput::Draining,
            JobInput::Cut,
        ]
    }

    #[test]
    fn every_state_and_input() {
        let mut table = String::new();
        for state in states() {
            for input in inputs() {
                let (next, effect) = step(state.clone(), input.clone());
                let next = next.map_or("gone".to_owned(), |s| format!("{s:?}"));
                table += &format!("{state:?} + {input:?} → {next}; {effect:?}\n");
            }
            table.push('\n');
        }
        let retryable = format!("{:?}", retryable());
        insta::assert_snapshot!(table.replace(&retryable, "Retryable").replace("attempt: ", ""));
    }

    /// I3, as far as one job can hold it: a job whose slot is freed after its assignment has had exactly one outcome.
    #[test]
    fn an_assigned_job_is_gone_only_with_an_outcome() {
        for state in states().into_iter().filter(JobState::is_assigned) {
            for input in inputs() {
                let (next, effect) = step(state.clone(), input.clone());
                if next.is_none() {
                    let finished = matches!(effect, Effect::Finish(_));
                    let released = matches!(state, JobState::Stuck { .. }) && effect == Effect::Release;
                    assert!(finished || released, "{state:?} + {input:?} → {effect:?}");
                }
            }
        }
    }

    /// I6, as far as one job can hold it: whatever ends an attempt has it cleaned, nothing else does, and only a job that was
    /// cleaned has an outcome or another attempt.
    #[test]
    fn an_attempt_is_cleaned_when_it_ends_and_only_then() {
        for state in states() {
            for input in inputs() {
                let (next, effect) = step(state.clone(), input.clone());
                let left = state.in_attempt() && next.as_ref().is_none_or(|next| !next.in_attempt());
                assert_eq!(left, effect == Effect::Clean, "{state:?} + {input:?} → {next:?}, {effect:?}");
                if matches!(effect, Effect::Finish(_) | Effect::FinishStuck(_) | Effect::StartAgain) {
                    assert!(!state.in_attempt(), "{state:?} + {input:?} → {effect:?}");
                }
            }
        }
    }
}
