//! Retries within one assignment, and what prevents them.

use std::time::Duration;

use agent_core::{AttemptEnd, CancelReason, Config, Input, JobErrorKind, Lifecycle, Outcome, RetryPolicy};

use crate::connection::cut_and_reconnect;
use crate::rig::{Rig, fatal, id};

/// A running job after the settling time, with three attempts in all and waits without jitter.
fn running(change: impl FnOnce(&mut Config)) -> Rig {
    let mut rig = Rig::registered(|c| {
        c.retry = RetryPolicy::attempts(3).backoff(Duration::ZERO, Duration::ZERO);
        change(c);
    });
    rig.run_job(1);
    rig.pass(1_000);
    rig
}

/// The error of a job that was not retried.
fn error_after(rig: Rig) -> String {
    assert_eq!(rig.ended.get(&id(1)), Some(&1), "it has ended");
    let log = rig.log();
    assert!(!log.contains("< retry "), "{log}");
    let ended = log.lines().find_map(|line| line.split_once("< ended AJ_1 failed: "));
    ended.unwrap_or_else(|| panic!("no failure in\n{log}")).1.to_owned()
}

#[test]
fn a_flaky_handler_succeeds_at_last() {
    let mut rig = running(|_| {});
    rig.end_retryable(1, 5);
    assert_eq!(rig.worker.slots().backing_off, 1, "it keeps its slot");
    assert_eq!(
        rig.worker.lifecycle(&id(1)),
        Some(Lifecycle::Running),
        "and its lifecycle state is still Running"
    );
    rig.pass(5_000);
    rig.input(Input::HandlerStarted { job: id(1) });
    rig.pass(1_000);
    rig.end(1, AttemptEnd::Ok);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn the_last_error_includes_the_number_of_attempts() {
    let mut rig = running(|_| {});
    for _ in 0..3 {
        rig.end_retryable(1, 1);
        rig.pass(1_000);
    }
    assert_eq!(rig.ended[&id(1)], 1);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_wait_of_nothing_is_no_wait() {
    let mut rig = running(|_| {});
    rig.end_retryable(1, 0);
    assert_eq!(rig.worker.slots().running, 1);
    rig.end(1, fatal("no such voice"));
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_room_that_could_not_be_joined_is_retried() {
    let mut rig =
        Rig::registered(|c| c.retry = RetryPolicy::attempts(2).backoff(Duration::ZERO, Duration::ZERO));
    rig.offer(1);
    rig.answer(1, agent_core::Answer::accept());
    rig.assign(1);
    rig.end_retryable(1, 2);
    assert_eq!(rig.worker.lifecycle(&id(1)), Some(Lifecycle::Assigned), "no handler was called yet");
    rig.pass(2_000);
    rig.input(Input::HandlerStarted { job: id(1) });
    rig.pass(1_000);
    rig.end(1, AttemptEnd::Ok);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn the_jitter_grows_and_is_added_to_the_delay_of_the_error() {
    let mut rig = running(|c| {
        c.retry = RetryPolicy::attempts(9).backoff(Duration::from_secs(1), Duration::from_secs(4));
    });
    for _ in 0..6 {
        rig.end_retryable(1, 5);
        rig.pass_to_next(); // a ping may come first
        while rig.worker.slots().backing_off > 0 {
            rig.pass_to_next();
        }
    }
    let log = rig.log();
    let waits: Vec<&str> = log
        .lines()
        .filter_map(|line| line.split_once("wait: "))
        .map(|(_, wait)| wait.trim_end_matches(" })"))
        .collect();
    insta::assert_snapshot!(waits.join("\n"));
}

#[test]
fn invalid_fatal_cancelled_timed_out_and_panics_are_not_retried() {
    let kinds = [
        JobErrorKind::Fatal { reason: "quota_exceeded".into() },
        JobErrorKind::Invalid { field: "language".into(), value: "xx".into(), message: "unknown".into() },
        JobErrorKind::TimedOut,
        JobErrorKind::Cancelled,
    ];
    for kind in kinds {
        let mut rig = running(|_| {});
        rig.end(1, AttemptEnd::Error { kind, text: "text".into() });
        assert!(error_after(rig).starts_with("text "));
    }
    for end in [AttemptEnd::Panicked("text".into()), AttemptEnd::Cancelled, AttemptEnd::Aborted] {
        let mut rig = running(|_| {});
        rig.end(1, end);
        error_after(rig);
    }
}

#[test]
fn there_is_no_retry_while_draining() {
    let drain = || Input::DrainRequested { within: Duration::from_secs(60) };
    let mut rig = running(|_| {});
    rig.input(drain());
    rig.end_retryable(1, 1);
    assert!(error_after(rig).starts_with("no route to the model "));
    // A drain does not wait for a job that is backing off.
    let mut rig = running(|_| {});
    rig.end_retryable(1, 30);
    rig.input(drain());
    assert!(error_after(rig).starts_with("no route to the model "));
}

#[test]
fn there_is_no_retry_without_a_room() {
    let mut rig = running(|_| {});
    let kind = JobErrorKind::Retryable { after: Duration::ZERO };
    let end = AttemptEnd::Error { kind, text: "the room is over".into() };
    rig.input(Input::AttemptEnded { job: id(1), end, room_gone: true });
    assert!(error_after(rig).starts_with("the room is over "));
}

#[test]
fn there_is_no_retry_of_a_cancelled_job() {
    for reason in [CancelReason::Terminated, CancelReason::Kicked, CancelReason::Shutdown("enough".into())] {
        // Before the error, during the cleanup, and in the wait for the next attempt.
        for when in 0..3 {
            let mut rig = running(|_| {});
            rig.cleans = false;
            if when == 0 {
                rig.cancel(1, reason.clone());
            }
            rig.end_retryable(1, 2);
            if when == 1 {
                rig.cancel(1, reason.clone());
            }
            rig.cleaned();
            if when == 2 {
                rig.cancel(1, reason.clone());
            }
            assert!(error_after(rig).starts_with("no route to the model "), "{reason} {when}");
        }
    }
}

#[test]
fn the_budget_and_the_longest_wait_end_it() {
    let mut rig = running(|c| c.retry = c.retry.clone().budget(Duration::from_secs(5)));
    rig.end_retryable(1, 5); // 1 s is spent
    assert!(error_after(rig).starts_with("no route to the model "));
    let mut rig = running(|c| c.retry = c.retry.clone().retry_after_limit(Duration::from_secs(5)));
    rig.end_retryable(1, 6);
    assert!(error_after(rig).starts_with("no route to the model "));
}

#[test]
fn the_time_of_a_job_spans_its_attempts() {
    let mut rig = running(|c| c.job_timeout = Some(Duration::from_secs(8)));
    rig.end_retryable(1, 3);
    rig.pass(3_000);
    rig.input(Input::HandlerStarted { job: id(1) });
    rig.pass(4_000); // 8 s after the assignment
    assert!(rig.worker.slots().running == 1);
    rig.end(1, AttemptEnd::Cancelled);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_wait_that_would_end_with_the_jobs_time_is_not_waited() {
    let mut rig = running(|c| c.job_timeout = Some(Duration::from_secs(8)));
    rig.end_retryable(1, 7);
    assert!(error_after(rig).starts_with("no route to the model "));
}

#[test]
fn a_cut_stops_no_retry() {
    let mut rig = running(|_| {});
    rig.end_retryable(1, 20);
    cut_and_reconnect(&mut rig);
    assert_eq!(rig.worker.slots().backing_off, 1);
    rig.pass(20_000);
    assert_eq!(rig.worker.slots().running, 1);
    let log = rig.log();
    assert!(log.contains("send migrate [\"AJ_1\"]"), "{log}");
}

#[test]
fn the_user_gets_the_number_of_attempts_and_their_time() {
    let mut rig = running(|_| {});
    rig.end_retryable(1, 2);
    rig.pass(2_500);
    rig.end(1, AttemptEnd::Panicked("index out of bounds".into()));
    let ended = rig.last_ended.take().expect("it ended");
    assert_eq!(ended.attempts, 2);
    assert_eq!(ended.kind, Some(JobErrorKind::Panicked));
    assert_eq!(
        ended.outcome,
        Outcome::Failed { error: "panicked: index out of bounds (after 2 attempts)".into() }
    );
    assert_eq!(
        (ended.duration, ended.last_attempt),
        (Duration::from_millis(3500), Duration::from_millis(500))
    );
}

/// A driver that reports an end twice does not bring a room back.
#[test]
fn a_second_end_of_an_attempt_changes_nothing() {
    let mut rig = running(|config| config.retry = RetryPolicy::attempts(3));
    rig.cleans = false;
    let error = || AttemptEnd::Error {
        kind: JobErrorKind::Retryable { after: Duration::ZERO },
        text: "the room is gone".into(),
    };
    rig.input(Input::AttemptEnded { job: id(1), end: error(), room_gone: true });
    rig.input(Input::AttemptEnded { job: id(1), end: error(), room_gone: false });
    rig.cleaned();
    rig.pass(60_000);
    let error = error_after(rig);
    assert!(error.starts_with("the room is gone "), "{error}");
}
