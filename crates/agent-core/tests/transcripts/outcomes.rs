//! Cancellation, termination, deadlines, and attempts that do not end.

use std::time::Duration;

use agent_core::{Answer, AttemptEnd, CancelReason, Violation};

use crate::rig::{Rig, fatal, id};

/// A running job after the settling time.
fn running(change: impl FnOnce(&mut agent_core::Config)) -> Rig {
    let mut rig = Rig::registered(change);
    rig.run_job(1);
    rig.pass(1_000);
    rig
}

#[test]
fn a_handler_that_fails_or_panics() {
    let mut rig = running(|_| {});
    rig.end(1, fatal("no such voice"));
    rig.run_job(2);
    rig.pass(1_000);
    rig.end(2, AttemptEnd::Panicked("index out of bounds".into()));
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_terminated_job_returns() {
    let mut rig = running(|_| {});
    rig.terminate(1);
    rig.end(1, AttemptEnd::Ok);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_handler_that_ignores_cancellation_is_aborted() {
    let mut rig = running(|_| {});
    rig.cancel(1, CancelReason::RoomClosed);
    rig.cancel(1, CancelReason::Terminated); // the first reason stays
    rig.pass(10_000);
    rig.end(1, AttemptEnd::Aborted);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_handler_that_cannot_be_aborted_is_stuck() {
    let mut rig = running(|_| {});
    rig.cancel(1, CancelReason::Shutdown("enough".into()));
    rig.pass(11_000);
    assert_eq!((rig.worker.slots().stuck, rig.worker.slots().used()), (1, 1), "its slot stays held");
    rig.end(1, AttemptEnd::Ok);
    assert_eq!(rig.worker.slots().used(), 0);
    assert_eq!(rig.ended[&id(1)], 1, "one outcome");
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_job_over_its_time() {
    let mut rig = running(|c| c.job_timeout = Some(Duration::from_secs(8)));
    rig.pass(8_000);
    rig.end(1, AttemptEnd::Ok);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_room_that_cannot_be_joined() {
    let mut rig = Rig::registered(|_| {});
    rig.offer(1);
    rig.answer(1, Answer::accept());
    rig.assign(1);
    rig.end(1, fatal("the room could not be joined: refused"));
    rig.pass(500);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn terminated_before_its_room_is_joined() {
    let mut rig = Rig::registered(|_| {});
    rig.offer(1);
    rig.answer(1, Answer::accept());
    rig.terminate(1); // not ours yet
    rig.offer(2);
    rig.answer(2, Answer::accept());
    rig.assign(2);
    rig.terminate(2);
    rig.end(2, AttemptEnd::Aborted); // the driver abandons the join; the handler was never called
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_room_is_left_when_the_server_has_read_how_the_job_ended() {
    let mut rig = running(|c| c.max_jobs = 3);
    rig.run_job(2);
    rig.run_job(3);
    rig.pass(1_000);
    rig.answers_pings = false;
    rig.end(1, AttemptEnd::Ok);
    // These wait for another ping: the first one was sent before they ended.
    rig.end(2, AttemptEnd::Ok);
    rig.end(3, AttemptEnd::Ok);
    rig.pass(100);
    rig.pong();
    rig.pong();
    assert_eq!(rig.worker.closing(), 0);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_server_that_never_confirms_what_it_has_read() {
    let mut rig = running(|_| {});
    rig.answers_pings = false;
    rig.end(1, AttemptEnd::Ok);
    rig.pass(5_000);
    assert_eq!(rig.worker.closing(), 0);
    insta::assert_snapshot!(rig.log());
}

/// A server may not know a job yet whose assignment it has just sent.
#[test]
fn an_outcome_is_repeated_if_it_is_within_the_settling_time() {
    for (after, statuses) in [(0, 2), (499, 2), (500, 1), (501, 1)] {
        let mut rig = Rig::registered(|_| {});
        rig.run_job(1);
        rig.pass(after);
        rig.end(1, AttemptEnd::Ok);
        rig.pass(1_000);
        assert_eq!(rig.worker.closing(), 0);
        assert_eq!(rig.log().matches("send status AJ_1 JsSuccess").count(), statuses, "after {after} ms");
    }
}

/// A server that reads nothing does not make the worker wait for all jobs that ever ended.
#[test]
fn the_jobs_whose_outcome_is_not_read_yet_are_bounded() {
    const MOST: u32 = 16_384;
    let mut rig = Rig::registered(|c| c.max_jobs = 20_000);
    rig.answers_pings = false;
    let overflows =
        |rig: &Rig| rig.worker.violations().get(&Violation::ClosingOverflow).copied().unwrap_or(0);
    for n in 1..=MOST {
        rig.run_job(n);
        rig.end(n, AttemptEnd::Ok);
    }
    assert_eq!((rig.worker.closing(), overflows(&rig)), (MOST as usize, 0));
    rig.run_job(MOST + 1);
    rig.end(MOST + 1, AttemptEnd::Ok);
    assert_eq!((rig.worker.closing(), overflows(&rig)), (MOST as usize, 1));
    assert_eq!(rig.ended.len(), MOST as usize + 1, "each has its outcome");
}
