//! Every pair of the transition table, and the promises about it.

use std::time::Duration;

use super::*;
use crate::error_kind::JobErrorKind;

fn retryable() -> AttemptEnd {
    let kind = JobErrorKind::Retryable { after: Duration::from_secs(5) };
    AttemptEnd::Error { kind, text: "no route".into() }
}

fn states() -> Vec<JobState> {
    let reason = CancelReason::Drained;
    let phases = [
        Phase::Starting,
        Phase::Running,
        Phase::Cancelled { reason: reason.clone() },
        Phase::Aborting { reason: reason.clone() },
        Phase::Abandoned { reason: reason.clone() },
        Phase::Cleaning { end: AttemptEnd::Ok, reason: None },
        Phase::Cleaning { end: retryable(), reason: None },
        Phase::Cleaning { end: retryable(), reason: Some(reason) },
        Phase::BackingOff { end: retryable() },
        Phase::Stuck,
    ];
    let assigned = phases.into_iter().map(|phase| JobState::Assigned { attempt: 1, phase });
    [JobState::Offered, JobState::Accepted].into_iter().chain(assigned).collect()
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
            let to = match step(state.clone(), input.clone()) {
                Transition::Stay(next, effect) => format!("{next:?}; {effect:?}"),
                Transition::Gone(exit) => format!("gone; {exit:?}"),
            };
            table += &format!("{state:?} + {input:?} → {to}\n");
        }
        table.push('\n');
    }
    let retryable = format!("{:?}", retryable());
    let table = table.replace(&retryable, "Retryable");
    insta::assert_snapshot!(table.replace("attempt: ", "").replace("phase: ", ""));
}

/// I3, as far as it concerns one job: a job that leaves its slot after its assignment has exactly one
/// outcome.
#[test]
fn an_assigned_job_is_gone_only_with_an_outcome() {
    for state in states().into_iter().filter(JobState::is_assigned) {
        for input in inputs() {
            if let Transition::Gone(exit) = step(state.clone(), input.clone()) {
                let finished = matches!(exit, Exit::Finish(_));
                let released = state.phase() == Some(&Phase::Stuck) && exit == Exit::Release;
                assert!(finished || released, "{state:?} + {input:?} → {exit:?}");
            }
        }
    }
}

/// I6, as far as it concerns one job: every end of an attempt starts its cleanup, nothing else does, and only
/// a job that was cleaned up has an outcome or another attempt.
#[test]
fn an_attempt_is_cleaned_when_it_ends_and_only_then() {
    for state in states() {
        for input in inputs() {
            let transition = step(state.clone(), input.clone());
            let (in_attempt, cleans, after_cleanup) = match &transition {
                Transition::Stay(next, effect) => (
                    next.in_attempt(),
                    *effect == Effect::Clean,
                    matches!(effect, Effect::FinishStuck(_) | Effect::Retry),
                ),
                Transition::Gone(exit) => (false, false, matches!(exit, Exit::Finish(_))),
            };
            let left = state.in_attempt() && !in_attempt;
            assert_eq!(left, cleans, "{state:?} + {input:?} → {transition:?}");
            if after_cleanup {
                assert!(!state.in_attempt(), "{state:?} + {input:?} → {transition:?}");
            }
        }
    }
}
