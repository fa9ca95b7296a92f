//! The times of a join, for the server.

use std::time::Duration;

use agent_core::{Input, JoinedRoom};
use agent_proto::livekit::JobJoinTiming;

use crate::rig::{Rig, id};

fn joined(rig: &mut Rig, sid: &str) {
    let took = Duration::from_millis(40);
    rig.input(Input::RoomJoined {
        job: id(1),
        room: JoinedRoom { sid: sid.to_owned(), took, ..JoinedRoom::default() },
    });
}

fn called(rig: &mut Rig) {
    rig.input(Input::HandlerStarted { job: id(1) });
}

/// What was sent, one line for each status; the times are since the offer.
fn statuses(rig: Rig) -> Vec<String> {
    rig.log()
        .lines()
        .filter_map(|line| line.split_once("send status "))
        .map(|(_, sent)| sent.to_owned())
        .collect()
}

/// In microseconds; the times of the calls of the handler, of the join, and of its end. The worker was
/// offered the job at once.
fn timing(called: i64, [join, connected]: [i64; 2]) -> JobJoinTiming {
    JobJoinTiming {
        offer_received_us: 0,
        accepted_us: 300_000,
        assignment_received_us: 1_500_000,
        launched_us: 1_500_000,
        launch_warm: true,
        entrypoint_started_us: called,
        connect_called_us: join,
        connected_us: connected,
    }
}

#[test]
fn times_of_a_join_before_the_handler_are_in_the_status_that_it_runs() {
    let mut rig = Rig::with_waiting_job();
    rig.pass(50);
    joined(&mut rig, "");
    rig.pass(1);
    called(&mut rig);
    // More is known of the room.
    joined(&mut rig, "RM_1");
    let expected = timing(1_551_000, [1_510_000, 1_550_000]);
    assert_eq!(statuses(rig), [format!("AJ_1 JsRunning \"\", {expected:?}")]);
}

#[test]
fn times_of_a_join_by_the_handler_have_a_status_of_their_own() {
    let mut rig = Rig::with_waiting_job();
    called(&mut rig);
    rig.pass(100);
    joined(&mut rig, "RM_1");
    joined(&mut rig, "RM_2");
    let expected = timing(1_500_000, [1_560_000, 1_600_000]);
    assert_eq!(
        statuses(rig),
        ["AJ_1 JsRunning \"\"".to_owned(), format!("AJ_1 JsRunning \"\", {expected:?}")]
    );
}

#[test]
fn an_assignment_without_an_offer_has_no_times_of_one() {
    let mut rig = Rig::registered(|_| {});
    rig.pass(1_000);
    rig.assign(1);
    joined(&mut rig, "RM_1");
    called(&mut rig);
    let expected = JobJoinTiming {
        assignment_received_us: 1_000_000,
        launched_us: 1_000_000,
        launch_warm: true,
        entrypoint_started_us: 1_000_000,
        connect_called_us: 960_000,
        connected_us: 1_000_000,
        ..JobJoinTiming::default()
    };
    assert_eq!(statuses(rig), [format!("AJ_1 JsRunning \"\", {expected:?}")]);
}

#[test]
fn nothing_is_sent_in_an_outage() {
    let mut rig = Rig::with_waiting_job();
    called(&mut rig);
    rig.input(Input::Disconnected { reason: "cut".to_owned() });
    joined(&mut rig, "RM_1");
    assert_eq!(statuses(rig), ["AJ_1 JsRunning \"\""]);
}
