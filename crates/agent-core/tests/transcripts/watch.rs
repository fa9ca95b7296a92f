//! Rooms that become empty, jobs that do not get on, second jobs.

use crate::rig::{Rig, id};
use agent_core::{AttemptEnd, EndWhen, Input, Presence};
use std::time::Duration;

fn people(rig: &mut Rig, people: usize) {
    let presence = Presence { people, target: false };
    rig.input(Input::PresenceChanged { job: id(1), presence });
}

fn running() -> Rig {
    let mut rig = Rig::registered(|config| {
        config.end_when = EndWhen::Empty { after: Duration::from_secs(10) };
        // Pings are not what this is about.
        config.ping_interval = Duration::from_secs(3600);
        config.silence_limit = Duration::from_secs(7200);
    });
    rig.run_job(1);
    rig.pass(1_000);
    rig
}

#[test]
fn a_job_ends_a_while_after_the_last_person_has_left() {
    let mut rig = running();
    people(&mut rig, 0); // nobody has come yet: that is no end
    rig.pass(60_000);
    people(&mut rig, 2);
    people(&mut rig, 1);
    people(&mut rig, 0);
    rig.pass(9_999);
    people(&mut rig, 1); // just in time
    rig.pass(60_000);
    people(&mut rig, 0);
    people(&mut rig, 0); // does not begin the wait anew
    rig.pass(10_000);
    rig.end(1, AttemptEnd::Ok);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn an_empty_room_ends_nothing_if_the_handler_decides() {
    let mut rig = Rig::registered(|config| config.end_when = EndWhen::Never);
    rig.run_job(1);
    people(&mut rig, 1);
    people(&mut rig, 0);
    rig.pass(3_600_000);
    assert_eq!((rig.worker.slots().running, rig.ended.len()), (1, 0));
}

#[test]
fn a_room_job_has_no_target_to_leave() {
    let mut rig =
        Rig::registered(|config| config.end_when = EndWhen::TargetLeft { after: Duration::from_secs(5) });
    rig.run_job(1);
    people(&mut rig, 1);
    people(&mut rig, 0);
    rig.pass(5_000);
    rig.end(1, AttemptEnd::Ok);
    assert!(rig.log().contains("the room is empty"));
}

#[test]
fn a_handler_that_got_on_and_is_silent_is_told_once() {
    let mut rig = running();
    rig.pass(600_000); // one that never says anything is not expected to
    let progressed = || Input::Progressed { job: id(1) };
    rig.input(progressed());
    rig.pass(59_000);
    rig.input(progressed());
    rig.pass(600_000);
    rig.input(progressed());
    rig.end(1, AttemptEnd::Ok);
    rig.pass(600_000);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_second_job_of_the_same_room_is_refused_by_those_who_want_it() {
    for (guard, taken) in [(false, 2), (true, 1)] {
        let mut rig = Rig::registered(|config| config.one_per_target = guard);
        rig.offer_in(1, "lobby");
        rig.offer_in(2, "lobby");
        assert_eq!(rig.worker.slots().used(), taken, "{guard}");
        rig.offer_in(3, "another room");
        assert_eq!(rig.worker.slots().used(), 2);
    }
}
