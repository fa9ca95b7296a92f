//! Draining and stopping.

use std::time::Duration;

use agent_core::{Answer, AttemptEnd, DrainReport, Input};

use crate::rig::{Rig, id};

fn drain(seconds: u64) -> Input {
    Input::DrainRequested { within: Duration::from_secs(seconds) }
}

#[test]
fn an_idle_worker_stops_at_once() {
    let mut rig = Rig::registered(|_| {});
    rig.input(drain(60));
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_worker_without_a_connection_stops_at_once() {
    let mut rig = Rig::new(|_| {});
    rig.input(drain(60));
    assert!(rig.log().contains("Stopped(Ok("));
}

#[test]
fn running_jobs_may_end_and_no_new_ones_are_accepted() {
    let mut rig = Rig::registered(|c| c.max_jobs = 5);
    rig.run_job(1);
    rig.offer(2);
    rig.offer(3);
    rig.answer(3, Answer::accept());
    rig.input(drain(60));
    rig.assign(3); // accepted before: it is ours
    rig.offer(4);
    rig.assign(5); // unasked: it is failed
    rig.input(Input::HandlerStarted { job: id(3) });
    rig.pass(1_000);
    rig.end(1, AttemptEnd::Ok);
    rig.end(3, AttemptEnd::Ok);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn the_limit_cancels_the_grace_aborts_and_a_stuck_one_is_left_behind() {
    let mut rig = Rig::registered(|c| c.max_jobs = 5);
    for n in 1..=3 {
        rig.run_job(n);
    }
    rig.pass(1_000);
    rig.input(drain(5));
    rig.pass(5_000);
    rig.end(1, AttemptEnd::Cancelled);
    rig.pass(10_000);
    rig.end(2, AttemptEnd::Aborted);
    rig.pass(1_000);
    assert_eq!(rig.ended.values().collect::<Vec<_>>(), [&1, &1, &1]);
    let log = rig.log();
    assert!(log.contains("\n17.000s < Stopped(Ok("), "limit + grace + 1 s:\n{log}");
    assert!(log.contains("stuck: 1"), "{log}");
    insta::assert_snapshot!(log);
}

/// A busy program fires timers a little late, and so aborts late: what remains at the end counts as stuck all
/// the same.
#[test]
fn a_stuck_one_is_counted_also_when_the_program_wakes_late() {
    let mut rig = Rig::registered(|_| {});
    rig.run_job(1);
    rig.input(drain(5));
    rig.pass(5_000);
    rig.oversleep(10_020);
    rig.pass(980);
    let log = rig.log();
    assert!(log.contains("\n16.000s < Stopped(Ok(") && log.contains("stuck: 1"), "{log}");
}

#[test]
fn a_second_signal_aborts() {
    let mut rig = Rig::registered(|_| {});
    rig.run_job(1);
    rig.pass(1_000);
    rig.input(drain(3600));
    rig.input(Input::StopRequested);
    rig.end(1, AttemptEnd::Aborted);
    insta::assert_snapshot!(rig.log());
}

/// The owner of a program may have less time than its settings say.
#[test]
fn a_second_drain_ends_no_later_and_may_end_earlier() {
    let mut rig = Rig::registered(|_| {});
    rig.run_job(1);
    rig.input(drain(3600));
    rig.pass(1_000);
    rig.input(drain(7200));
    rig.input(drain(5));
    rig.input(drain(60));
    rig.pass(5_000);
    assert_eq!(rig.ended.get(&id(1)), None);
    rig.end(1, AttemptEnd::Cancelled);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_drain_whose_limit_is_over_does_not_begin_again() {
    let mut rig = Rig::registered(|_| {});
    rig.run_job(1);
    rig.input(drain(5));
    rig.pass(5_000);
    rig.input(drain(1));
    rig.pass(1_000);
    let log = rig.log();
    assert_eq!(log.matches("< Cancel").count(), 1, "{log}");
}

#[test]
fn a_drain_without_a_connection_counts_unsent_statuses() {
    let mut rig = Rig::registered(|_| {});
    rig.run_job(1);
    rig.input(Input::Disconnected { reason: "cut".into() });
    rig.end(1, AttemptEnd::Ok);
    rig.input(Input::StopRequested);
    rig.pass(1_000);
    assert!(rig.log().contains("unsent: 1"));
}

#[test]
fn a_stopped_machine_does_nothing_more() {
    let mut rig = Rig::registered(|_| {});
    rig.input(drain(60));
    assert_eq!(rig.worker.poll_timeout(), None);
    rig.input(Input::Connected);
    rig.offer(1);
    assert!(rig.worker.poll_output().is_none());
}

/// A program that requests the stop again and again does not keep the worker alive.
#[test]
fn a_second_stop_ends_no_later() {
    let mut rig = Rig::registered(|_| {});
    rig.cleans = false;
    rig.run_job(1);
    for _ in 0..4 {
        rig.input(Input::StopRequested);
        rig.pass(400);
    }
    let log = rig.log();
    assert_eq!(log.matches("Stopped(Ok(").count(), 1, "{log}");
}

#[test]
fn the_reports_of_two_workers_are_added_up() {
    let report = |[succeeded, failed, stuck, unsent]: [usize; 4]| {
        let mut report = DrainReport::default();
        (report.succeeded, report.failed, report.stuck, report.unsent) = (succeeded, failed, stuck, unsent);
        report
    };
    assert_eq!(report([1, 2, 3, 4]).and(report([10, 20, 30, 40])), report([11, 22, 33, 44]));
}
