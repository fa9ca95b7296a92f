//! Jobs that report no progress, second jobs.

use agent_core::{AttemptEnd, Input};
use agent_proto::livekit as wire;

use crate::rig::{Rig, id};

#[test]
fn a_handler_that_stops_reporting_progress_is_noticed_once() {
    let mut rig = Rig::quiet(|_| {});
    rig.run_job(1);
    rig.pass(1_000);
    rig.pass(600_000); // one that never reports progress is not expected to
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
fn a_second_job_of_the_same_room_is_refused_with_one_per_target() {
    for (guard, taken) in [(false, 2), (true, 1)] {
        let mut rig = Rig::registered(|config| config.one_per_target = guard);
        rig.offer_in(1, "lobby");
        rig.offer_in(2, "lobby");
        assert_eq!(rig.worker.slots().used(), taken, "{guard}");
        rig.offer_in(3, "another room");
        assert_eq!(rig.worker.slots().used(), 2);
    }
}

/// The older job is about to end: without the new one nothing would serve the participant that returned, or
/// the new room.
#[test]
fn another_session_and_another_run_of_the_room_are_no_second_job() {
    let same = |room: &'static str, session: &'static str| {
        move |job: &mut wire::Job| {
            job.r#type = wire::JobType::JtParticipant.into();
            job.room = Some(wire::Room { name: "lobby".into(), sid: room.into(), ..Default::default() });
            let target =
                wire::ParticipantInfo { identity: "ada".into(), sid: session.into(), ..Default::default() };
            job.participant = Some(target);
        }
    };
    for (room, session, taken) in [
        ("RM_1", "PA_1", 1),
        ("RM_1", "PA_2", 2),
        ("RM_2", "PA_1", 2),
        // Without a session id it counts as the present one.
        ("RM_1", "", 1),
        ("", "PA_1", 1),
    ] {
        let mut rig = Rig::registered(|config| config.one_per_target = true);
        rig.run_job_of(1, same("RM_1", "PA_1"));
        rig.offer_of(2, same(room, session));
        assert_eq!(rig.worker.slots().used(), taken, "{room:?} {session:?}");
    }
}
