//! Cleanup between an attempt and its outcome.

use std::time::Duration;

use agent_core::{AttemptEnd, CancelReason, Config, Input, LinkError};

use crate::rig::{Rig, fatal, id};

/// A running job after the settling time, whose cleanup the test ends.
fn running(change: impl FnOnce(&mut Config)) -> Rig {
    let mut rig = Rig::registered(change);
    rig.cleans = false;
    rig.run_job(1);
    rig.pass(1_000);
    rig
}

#[test]
fn an_outcome_waits_for_its_cleanup() {
    let mut rig = running(|_| {});
    rig.end(1, AttemptEnd::Ok);
    assert_eq!((rig.worker.slots().cleaning, rig.worker.slots().used()), (1, 1), "its slot is held");
    rig.pass(2_000);
    rig.cancel(1, CancelReason::Kicked); // too late to change anything
    rig.cleaned();
    assert_eq!(rig.worker.slots().used(), 0);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_cleanup_that_blocks_changes_no_outcome() {
    let mut rig = running(|_| {});
    rig.end(1, fatal("no such voice"));
    rig.pass(11_000);
    assert_eq!(rig.ended[&id(1)], 1);
    rig.cleaned(); // at last
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_panic_and_an_abort_are_cleaned_up_after() {
    let mut rig = running(|_| {});
    rig.end(1, AttemptEnd::Panicked("index out of bounds".into()));
    rig.cleaned();
    rig.run_job(2);
    rig.cancel(2, CancelReason::RoomClosed);
    rig.pass(10_000);
    rig.end(2, AttemptEnd::Aborted);
    rig.cleaned();
    insta::assert_snapshot!(rig.log());
}

#[test]
fn an_attempt_that_cannot_be_aborted_is_cleaned_up_after_before_its_failure_is_reported() {
    let mut rig = running(|_| {});
    rig.terminate(1);
    rig.pass(11_000);
    assert_eq!(rig.worker.slots().cleaning, 1);
    rig.cleaned();
    assert_eq!((rig.worker.slots().stuck, rig.ended[&id(1)]), (1, 1));
    rig.pass(60_000);
    rig.end(1, AttemptEnd::Aborted); // it returned at last
    assert_eq!(rig.worker.slots().used(), 0);
    assert_eq!(rig.ended[&id(1)], 1);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn an_attempt_that_ends_during_its_cleanup_is_not_stuck() {
    let mut rig = running(|_| {});
    rig.terminate(1);
    rig.pass(11_000);
    rig.end(1, AttemptEnd::Aborted);
    rig.cleaned();
    assert_eq!((rig.worker.slots().used(), rig.ended[&id(1)]), (0, 1));
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_cleanup_that_had_its_time_is_not_taken_for_that_of_the_next_attempt() {
    let mut rig = running(|_| {});
    rig.end_retryable(1, 60);
    rig.pass(11_000); // the first one blocks
    rig.pass(62_000); // the second attempt has begun
    rig.input(Input::HandlerStarted { job: id(1) });
    rig.end(1, AttemptEnd::Ok);
    rig.input(Input::Cleaned { job: id(1), attempt: 1 });
    assert_eq!(rig.worker.slots().cleaning, 1, "it still waits for the second one");
    rig.input(Input::Cleaned { job: id(1), attempt: 2 });
    assert_eq!(rig.worker.slots().used(), 0);
    assert!(rig.log().contains("ended AJ_1 success"));
}

#[test]
fn a_drain_waits_for_cleanups_but_not_for_long() {
    let mut rig = running(|c| c.max_jobs = 5);
    rig.run_job(2);
    rig.run_job(3);
    rig.pass(1_000);
    rig.input(Input::DrainRequested { within: Duration::from_secs(5) });
    rig.pass(1_000);
    rig.end(1, AttemptEnd::Ok); // its cleanup never ends
    rig.pass(4_000);
    rig.pass(9_500);
    rig.end(2, AttemptEnd::Ok); // half a second of its grace is left, and a second more
    rig.pass(500);
    rig.pass(1_000); // the third one cannot be aborted
    assert_eq!(rig.ended.values().collect::<Vec<_>>(), [&1, &1, &1]);
    let log = rig.log();
    assert!(
        log.lines().last().is_some_and(|l| l.starts_with("18.000s < Stopped(Ok(")),
        "limit + grace + 1 s:\n{log}"
    );
    insta::assert_snapshot!(log);
}

#[test]
fn a_worker_that_stops_at_once_has_everything_cleaned_up() {
    let mut rig = running(|c| c.max_connect_attempts = Some(1));
    rig.input(Input::Disconnected { reason: "cut".into() });
    // The loss is no failed attempt, the one after it is.
    rig.pass(1_000);
    assert!(rig.ended.is_empty());
    rig.input(Input::ConnectFailed(LinkError::Failed { message: "refused".into() }));
    assert_eq!(rig.ended[&id(1)], 1);
    insta::assert_snapshot!(rig.log());
}
