//! The machine of one job: what each thing that can happen means in each state.
//!
//! It decides the course of one job (promises I2, I3) and nothing else: it knows no connection, no other job, no time.
//!
//! ```text
//!  offer ─► Offered ─accept─► Accepted ─assigned─► Starting ─began─► Running
//!              │                 │                     │                │
//!     decline, dismiss,     no assignment,          cancel           cancel
//!     silence, cut          cut, cancel                └───────┬────────┘
//!              ▼                 ▼                             ▼
//!            (gone)            (gone)                      Cancelled ─grace over─► Aborting ─still there─► Stuck
//!
//!  The end of the attempt, in any state from Starting on, makes the outcome; the job is gone. A stuck one has had its
//!  outcome already, and only gives its slot back.
//! ```

use crate::outcome::{AttemptEnd, CancelReason, Lifecycle, Outcome};

/// Where a job is, while it holds a slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// The user's request handler was asked.
    Offered,
    /// The server was told yes; the assignment is awaited.
    Accepted,
    /// Assigned; the driver joins the room.
    Starting,
    /// The handler runs.
    Running,
    /// The handler was told to stop and has its grace.
    Cancelled(CancelReason),
    /// The grace is over and the attempt is being aborted.
    Aborting(CancelReason),
    /// The attempt cannot be aborted. Its failure was reported; its slot is held.
    Stuck,
}

/// What can happen to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobInput {
    /// The user's request handler wants the job.
    Accepted,
    /// It does not, and another worker may take it; or it panicked.
    Declined,
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
    /// Something asks the job to stop.
    Cancelled(CancelReason),
    /// The grace after a cancellation is over.
    GraceOver,
    /// The attempt is still there after it was aborted.
    AbortOverdue,
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
    Decline,
    /// Send that nobody should run it; the slot is free.
    Dismiss,
    /// Forget the job: it was never ours.
    Forget,
    /// Have the room joined and the handler called.
    Start,
    /// Tell the server that it runs.
    TellRunning,
    /// Tell the handler to stop.
    Cancel(CancelReason),
    /// Abort the attempt.
    Abort,
    /// Report the outcome; the slot is free.
    Finish(Outcome),
    /// Report the outcome of an attempt that cannot be aborted; the slot stays held.
    FinishStuck(Outcome),
    /// The stuck attempt ended at last; the slot is free.
    Release,
}

/// The one table of the job: the next state (`None`: gone) and what to do.
///
/// ```
/// use agent_core::{step, AttemptEnd, Effect, JobInput, JobState, Outcome};
///
/// let (next, effect) = step(JobState::Running, JobInput::Ended(AttemptEnd::Ok));
/// assert_eq!((next, effect), (None, Effect::Finish(Outcome::Success)));
/// ```
#[deny(clippy::wildcard_enum_match_arm, reason = "each pair is decided, none falls through")]
pub fn step(state: JobState, input: JobInput) -> (Option<JobState>, Effect) {
    use JobInput as I;
    use JobState as S;
    match (state, input) {
        // An offer ends with exactly one answer, or with the connection on which it came.
        (S::Offered, I::Accepted) => (Some(S::Accepted), Effect::Accept),
        (S::Offered, I::Declined | I::AnswerOverdue | I::Cancelled(_)) => (None, Effect::Decline),
        (S::Offered, I::Dismissed) => (None, Effect::Dismiss),
        (S::Offered, I::Cut) => (None, Effect::Forget),
        // An assignment that overtakes our answer: the worker takes it for a yes, says so, and asks again.
        (S::Offered, I::Assigned) => (Some(S::Offered), Effect::Odd),

        (S::Accepted, I::Assigned) => (Some(S::Starting), Effect::Start),
        (S::Accepted, I::AssignmentOverdue | I::Cut | I::Cancelled(_)) => (None, Effect::Forget),

        (S::Starting, I::Began) => (Some(S::Running), Effect::TellRunning),
        // A cut stops no job.
        (s @ (S::Starting | S::Running | S::Cancelled(_) | S::Aborting(_) | S::Stuck), I::Cut) => {
            (Some(s), Effect::None)
        }

        (S::Starting | S::Running, I::Ended(end)) => (None, Effect::Finish(Outcome::of(end))),
        (S::Starting | S::Running, I::Cancelled(reason)) => {
            (Some(S::Cancelled(reason.clone())), Effect::Cancel(reason))
        }

        (S::Cancelled(reason) | S::Aborting(reason), I::Ended(end)) => {
            (None, Effect::Finish(Outcome::of_cancelled(&reason, end)))
        }
        (S::Cancelled(reason), I::GraceOver) => (Some(S::Aborting(reason)), Effect::Abort),
        // The first reason stays, and a handler that was called while it was being cancelled goes on being cancelled.
        (s @ (S::Cancelled(_) | S::Aborting(_)), I::Cancelled(_) | I::Began) => (Some(s), Effect::None),
        (S::Aborting(reason), I::AbortOverdue) => {
            (Some(S::Stuck), Effect::FinishStuck(Outcome::of_cancelled(&reason, AttemptEnd::Aborted)))
        }

        (S::Stuck, I::Ended(_)) => (None, Effect::Release),
        (S::Stuck, I::Cancelled(_) | I::Began) => (Some(S::Stuck), Effect::None),

        // A second assignment changes nothing.
        (s @ (S::Starting | S::Running | S::Cancelled(_) | S::Aborting(_) | S::Stuck), I::Assigned) => {
            (Some(s), Effect::Odd)
        }
        // Answers and answer timers that come late: the offer has been settled by something else.
        (
            s @ (S::Accepted | S::Starting | S::Running | S::Cancelled(_) | S::Aborting(_) | S::Stuck),
            I::Accepted | I::Declined | I::Dismissed | I::AnswerOverdue,
        ) => (Some(s), Effect::Odd),
        (s @ (S::Offered | S::Accepted), I::Began | I::Ended(_)) => (Some(s), Effect::Odd),
        (s @ S::Running, I::Began) => (Some(s), Effect::Odd),
        (
            s @ (S::Offered | S::Starting | S::Running | S::Cancelled(_) | S::Aborting(_) | S::Stuck),
            I::AssignmentOverdue,
        ) => (Some(s), Effect::Odd),
        (
            s @ (S::Offered | S::Accepted | S::Starting | S::Running | S::Aborting(_) | S::Stuck),
            I::GraceOver,
        ) => (Some(s), Effect::Odd),
        (
            s @ (S::Offered | S::Accepted | S::Starting | S::Running | S::Cancelled(_) | S::Stuck),
            I::AbortOverdue,
        ) => (Some(s), Effect::Odd),
    }
}

impl JobState {
    /// The lifecycle state that users and hooks see.
    #[must_use]
    pub const fn lifecycle(&self) -> Lifecycle {
        match self {
            Self::Offered | Self::Accepted => Lifecycle::Created,
            Self::Starting => Lifecycle::Assigned,
            Self::Running | Self::Cancelled(_) | Self::Aborting(_) => Lifecycle::Running,
            Self::Stuck => Lifecycle::Failed,
        }
    }

    /// Whether an attempt of it may be going on, or about to.
    #[must_use]
    pub const fn is_assigned(&self) -> bool {
        match self {
            Self::Offered | Self::Accepted => false,
            Self::Starting | Self::Running | Self::Cancelled(_) | Self::Aborting(_) | Self::Stuck => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states() -> Vec<JobState> {
        vec![
            JobState::Offered,
            JobState::Accepted,
            JobState::Starting,
            JobState::Running,
            JobState::Cancelled(CancelReason::Drained),
            JobState::Aborting(CancelReason::Drained),
            JobState::Stuck,
        ]
    }

    fn inputs() -> Vec<JobInput> {
        vec![
            JobInput::Accepted,
            JobInput::Declined,
            JobInput::Dismissed,
            JobInput::AnswerOverdue,
            JobInput::Assigned,
            JobInput::AssignmentOverdue,
            JobInput::Began,
            JobInput::Ended(AttemptEnd::Ok),
            JobInput::Ended(AttemptEnd::Cancelled),
            JobInput::Ended(AttemptEnd::Error("text".into())),
            JobInput::Ended(AttemptEnd::Panicked("message".into())),
            JobInput::Ended(AttemptEnd::Aborted),
            JobInput::Cancelled(CancelReason::Terminated),
            JobInput::GraceOver,
            JobInput::AbortOverdue,
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
        insta::assert_snapshot!(table);
    }

    /// I3, as far as one job can hold it: a job whose slot is freed after its assignment has had exactly one outcome.
    #[test]
    fn an_assigned_job_is_gone_only_with_an_outcome() {
        for state in states().into_iter().filter(JobState::is_assigned) {
            for input in inputs() {
                let (next, effect) = step(state.clone(), input.clone());
                if next.is_none() {
                    let finished = matches!(effect, Effect::Finish(_));
                    let released = state == JobState::Stuck && effect == Effect::Release;
                    assert!(finished || released, "{state:?} + {input:?} → {effect:?}");
                }
            }
        }
    }
}
