//! A worker that accepts nothing for a while.

use std::time::Duration;

use agent_core::{Answer, AttemptEnd, HealthProblem, Input};

use crate::rig::{Rig, id};

#[test]
fn nothing_new_is_accepted_and_the_jobs_continue() {
    let mut rig = Rig::quiet(|c| c.max_jobs = 5);
    rig.run_job(1);
    rig.offer(2);
    rig.answer(2, Answer::accept());
    rig.offer(3);
    rig.input(Input::QuietRequested); // declines job 3
    rig.answer(3, Answer::accept()); // too late
    rig.assign(2); // accepted before: it is ours
    rig.input(Input::HandlerStarted { job: id(2) });
    rig.offer(4);
    rig.end_retryable(1, 1);
    rig.pass(3_000); // its next attempt begins
    rig.end(1, AttemptEnd::Ok);
    rig.input(Input::QuietRequested); // no news
    rig.input(Input::UndrainRequested);
    rig.offer(4);
    insta::assert_snapshot!(rig.log());
}

/// It is not dispatched to, so it is not ready; a restart would end its jobs, so it is live.
#[test]
fn a_quiet_worker_is_live_and_not_ready() {
    let mut rig = Rig::quiet(|_| {});
    rig.offer(1); // the server dispatches
    rig.input(Input::QuietRequested);
    assert!(rig.worker.is_quiet());
    assert_eq!((rig.worker.liveness(), rig.worker.readiness()), (Ok(()), Err(HealthProblem::Quiet)));
    rig.input(Input::UndrainRequested);
    assert_eq!(rig.worker.readiness(), Ok(()));
}

#[test]
fn it_stays_quiet_over_a_lost_connection() {
    let mut rig = Rig::new(|_| {});
    rig.input(Input::QuietRequested);
    rig.input(Input::Connected);
    rig.register();
    rig.input(Input::Disconnected { reason: "cut".into() });
    rig.pass(60_000);
    rig.input(Input::Connected);
    rig.register();
    rig.offer(1);
    assert!(rig.worker.is_quiet());
    let log = rig.log();
    assert!(!log.contains("< ask"), "{log}");
    assert_eq!(
        log.matches("send load 0.00 WsFull with 0 jobs").count(),
        2,
        "each connection is told at once:\n{log}"
    );
}

#[test]
fn a_drain_goes_further_and_is_not_taken_back() {
    let mut rig = Rig::quiet(|_| {});
    rig.run_job(1);
    rig.input(Input::QuietRequested);
    rig.input(Input::DrainRequested { within: Duration::from_secs(60) });
    for input in [Input::UndrainRequested, Input::QuietRequested] {
        rig.input(input);
        assert!(rig.worker.is_draining() && !rig.worker.is_quiet());
    }
    rig.offer(2);
    rig.end(1, AttemptEnd::Ok);
    rig.pass(1_000);
    let log = rig.log();
    assert!(log.contains("send decline AJ_2") && log.contains("Stopped(Ok("), "{log}");
}
