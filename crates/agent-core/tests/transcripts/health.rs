//! Whether a worker works and gets jobs, and which jobs it has.

use std::time::Duration;

use agent_core::{
    Answer, AttemptEnd, CancelReason, HealthProblem, Input, LiveState, RetryPolicy, StopError, Time,
};

use crate::jobs::descriptors;
use crate::rig::{Rig, fatal, id};

/// The states of its jobs, in the order of their ids.
fn states(rig: &Rig) -> Vec<&'static str> {
    rig.worker.live_jobs(rig.now()).map(|live| live.state.as_str()).collect()
}

#[test]
fn a_worker_is_ready_once_the_server_has_answered_it() {
    let mut rig = Rig::new(|_| {});
    rig.answers_pings = false;
    assert_eq!(rig.worker.readiness(), Err(HealthProblem::Disconnected));
    rig.input(Input::Connected);
    assert_eq!(rig.worker.readiness(), Err(HealthProblem::Disconnected), "it is not registered");
    rig.register();
    assert_eq!(rig.worker.readiness(), Err(HealthProblem::Unconfirmed));
    rig.pong();
    assert_eq!(rig.worker.readiness(), Ok(()));
    rig.input(Input::Disconnected { reason: "cut".into() });
    assert_eq!(rig.worker.readiness(), Err(HealthProblem::Disconnected));
    assert_eq!(rig.worker.liveness(), Ok(()), "its jobs continue");
}

fn connects(log: &str) -> usize {
    log.lines().filter(|line| line.ends_with(" Connect")).count()
}

#[test]
fn a_worker_that_prepares_is_live_and_connects_when_it_is_done() {
    let mut rig = Rig::new(|c| c.start_timeout = Some(Duration::from_secs(60)));
    assert_eq!(rig.worker.readiness(), Err(HealthProblem::Preparing));
    assert_eq!(rig.worker.liveness(), Ok(()));
    rig.pass(59_000);
    rig.input(Input::Connected);
    assert_eq!(rig.worker.readiness(), Err(HealthProblem::Preparing));
    rig.input(Input::Prepared(Ok(())));
    assert_eq!(rig.worker.readiness(), Err(HealthProblem::Disconnected));
    // Once.
    rig.input(Input::Prepared(Ok(())));
    rig.input(Input::Prepared(Err("late".into())));
    rig.pass(1_000);
    assert_eq!(rig.worker.liveness(), Ok(()), "its time limit is void");
    let log = rig.log();
    assert!(log.contains("Prepare") && connects(&log) == 1, "{log}");
}

#[test]
fn a_worker_that_cannot_prepare_stops_without_a_connection() {
    let late = "its preparation took longer than 60s: set a longer `start_timeout`";
    for (input, message) in [(Some(Input::Prepared(Err("no model".into()))), "no model"), (None, late)] {
        let mut rig = Rig::new(|c| c.start_timeout = Some(Duration::from_secs(60)));
        match input {
            Some(input) => rig.input(input),
            None => rig.pass(60_000),
        }
        assert_eq!(rig.worker.liveness(), Err(HealthProblem::Stopped));
        let (log, stopped) = (rig.log(), StopError::NotPrepared { message: message.into() });
        assert!(log.contains(&format!("{stopped:?}")) && connects(&log) == 0, "{log}");
    }
}

#[test]
fn a_worker_that_prepares_can_be_stopped() {
    for input in [Input::DrainRequested { within: Duration::from_secs(60) }, Input::StopRequested] {
        let mut rig = Rig::new(|c| c.start_timeout = Some(Duration::from_secs(60)));
        rig.input(input);
        assert_eq!(rig.worker.liveness(), Err(HealthProblem::Stopped));
        let log = rig.log();
        assert!(log.contains("Stopped(Ok(") && connects(&log) == 0, "{log}");
    }
}

#[test]
fn a_full_worker_is_ready_and_a_draining_one_is_not() {
    let mut rig = Rig::quiet(|c| c.max_jobs = 1);
    rig.run_job(1);
    assert_eq!(rig.worker.readiness(), Ok(()));
    rig.input(Input::DrainRequested { within: Duration::from_secs(60) });
    assert_eq!(rig.worker.readiness(), Err(HealthProblem::Draining));
    assert_eq!(rig.worker.liveness(), Ok(()), "its job may end");
    rig.pass(1_000);
    rig.end(1, AttemptEnd::Ok);
    assert_eq!(rig.worker.liveness(), Err(HealthProblem::Stopped));
    assert_eq!(rig.worker.readiness(), Err(HealthProblem::Stopped));
}

#[test]
fn a_worker_that_gave_up_is_not_live() {
    let mut rig = Rig::new(|c| c.max_connect_attempts = Some(1));
    rig.input(Input::ConnectFailed(agent_core::LinkError::Failed { message: "refused".into() }));
    assert_eq!(rig.worker.liveness(), Err(HealthProblem::Stopped));
    let gave_up = StopError::GaveUp { attempts: 1, last: "refused".into() };
    assert!(rig.log().contains(&format!("{gave_up:?}")));
}

/// One stuck attempt leaves slots for other jobs, and the last one none.
#[test]
fn a_worker_without_a_usable_slot_is_not_live() {
    let mut rig = Rig::quiet(|c| c.max_jobs = 2);
    for n in 1..=2 {
        assert_eq!(rig.worker.liveness(), Ok(()));
        rig.run_job(n);
        rig.cancel(n, CancelReason::Terminated);
        rig.pass_until(60_000, |rig| rig.worker.slots().stuck == n as usize);
    }
    assert_eq!(states(&rig), ["stuck", "stuck"]);
    assert_eq!(rig.worker.liveness(), Err(HealthProblem::AllStuck));
    rig.end(1, AttemptEnd::Aborted);
    assert_eq!(rig.worker.liveness(), Ok(()), "it has ended after all");
}

/// A restart would not give it more of them.
#[test]
fn a_worker_without_descriptors_for_a_job_is_live() {
    let mut rig = Rig::registered(|_| {});
    rig.input(descriptors(8));
    assert_eq!((rig.worker.capacity(), rig.worker.liveness()), (0, Ok(())));
}

#[test]
fn live_jobs_have_a_state_an_age_and_their_last_error() {
    let mut rig = Rig::quiet(|c| {
        c.max_jobs = 4;
        c.retry = RetryPolicy::attempts(3).backoff(Duration::ZERO, Duration::ZERO);
    });
    assert_eq!(states(&rig), [""; 0]);
    rig.offer(1);
    rig.offer(2);
    rig.answer(2, Answer::accept());
    rig.run_job(3);
    assert_eq!(states(&rig), ["offered", "accepted", "running"]);
    rig.pass(1_500);
    let text = "no route ".repeat(100);
    let kind = agent_core::JobErrorKind::Retryable { after: Duration::from_secs(5) };
    rig.end(3, AttemptEnd::Error { kind, text });
    rig.pass(500);
    let job = |rig: &Rig| rig.worker.live_jobs(rig.now()).find(|live| live.job.id == id(3)).unwrap();
    let waiting = job(&rig);
    assert_eq!((waiting.state, waiting.attempts), (LiveState::BackingOff, 1));
    assert_eq!(waiting.age, Duration::from_secs(2));
    let error = waiting.last_error.unwrap();
    assert!(error.starts_with("no route no route") && error.chars().count() <= 301, "{error}");
    rig.pass(5_000);
    let again = job(&rig);
    assert_eq!((again.state, again.attempts), (LiveState::Starting, 2));
    assert_eq!(again.last_error.as_ref(), Some(&error), "it is known while the next attempt runs");
    rig.input(Input::HandlerStarted { job: id(3) });
    rig.cleans = false;
    rig.end(3, fatal("no model"));
    assert_eq!(job(&rig).state, LiveState::Cleaning);
    assert_eq!(job(&rig).last_error.as_deref(), Some("no model"));
    assert!(rig.worker.has_job(&id(3)));
    rig.cleaned();
    assert!(rig.worker.live_jobs(Time::ZERO).all(|live| live.job.id != id(3)), "it has its outcome");
    assert!(!rig.worker.has_job(&id(3)));
}

#[test]
fn a_cancelled_job_is_shown_as_that() {
    let mut rig = Rig::quiet(|_| {});
    rig.run_job(1);
    rig.cancel(1, CancelReason::Terminated);
    assert_eq!(states(&rig), ["cancelled"]);
    let grace = rig.worker.config().grace;
    rig.pass(u64::try_from(grace.as_millis()).unwrap());
    assert_eq!(states(&rig), ["aborting"]);
}
