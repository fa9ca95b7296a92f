//! When a job is over because of its room and its participants.

use std::time::Duration;

use agent_core::{AttemptEnd, CancelReason, EndWhen, Input, JoinedRoom, Presence, RoomEnd};
use agent_proto::livekit as wire;

use crate::rig::{Rig, id};

const SECOND: Duration = Duration::from_secs(1);

fn running(end_when: EndWhen) -> Rig {
    let mut rig = Rig::quiet(|config| config.end_when = end_when);
    rig.run_job(1);
    rig.pass(1_000);
    rig
}

/// A worker with a job for `ada` in the session PA_1.
fn with_target(change: impl Fn(&mut wire::ParticipantInfo)) -> Rig {
    let mut rig = Rig::quiet(|config| config.kind = agent_core::JobKind::Participant);
    rig.run_job_of(1, |job| {
        job.r#type = wire::JobType::JtParticipant.into();
        let mut ada =
            wire::ParticipantInfo { identity: "ada".into(), sid: "PA_1".into(), ..Default::default() };
        change(&mut ada);
        job.participant = Some(ada);
    });
    rig.pass(1_000);
    rig
}

fn room(sid: &str, empty: Option<u64>, departure: Option<u64>) -> JoinedRoom {
    let seconds = |seconds: Option<u64>| seconds.map(Duration::from_secs);
    JoinedRoom {
        sid: sid.to_owned(),
        age: SECOND,
        took: Duration::from_millis(100),
        empty_timeout: seconds(empty),
        departure_timeout: seconds(departure),
    }
}

fn joined(rig: &mut Rig, room: JoinedRoom) {
    rig.input(Input::RoomJoined { job: id(1), room });
}

fn there(rig: &mut Rig, people: usize, target: Option<&str>) {
    let presence = Presence { people, keepers: people, target: target.map(str::to_owned) };
    rig.input(Input::PresenceChanged { job: id(1), presence });
}

/// Some people, and with them what else keeps the room open.
fn kept(rig: &mut Rig, people: usize, keepers: usize) {
    rig.input(Input::PresenceChanged { job: id(1), presence: Presence { people, keepers, target: None } });
}

fn people(rig: &mut Rig, people: usize) {
    there(rig, people, None);
}

/// How long after now the job is cancelled, and why; the job has then ended.
fn ends(rig: &mut Rig) -> Option<(f64, String)> {
    let before = rig.now();
    rig.pass_until(7_200_000, |rig| rig.cancelled.contains_key(&id(1)));
    let reason = rig.cancelled.remove(&id(1))?;
    let after = (rig.now() - before).as_secs_f64();
    rig.end(1, AttemptEnd::Ok);
    Some((after, reason.to_string()))
}

fn end(after: f64, reason: &str) -> Option<(f64, String)> {
    Some((after, reason.to_owned()))
}

#[test]
fn a_job_ends_a_while_after_the_last_person_has_left() {
    let mut rig = running(EndWhen::Empty { after: 10 * SECOND });
    people(&mut rig, 0); // nobody has joined yet: that ends nothing
    rig.pass(60_000);
    people(&mut rig, 2);
    people(&mut rig, 1);
    people(&mut rig, 0);
    rig.pass(9_999);
    people(&mut rig, 1); // just in time
    rig.pass(60_000);
    people(&mut rig, 0);
    people(&mut rig, 0); // does not begin the wait again
    rig.pass(10_000);
    rig.end(1, AttemptEnd::Ok);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn presence_ends_nothing_if_the_handler_decides() {
    let mut rig = running(EndWhen::Never);
    joined(&mut rig, room("RM_1", Some(30), Some(1)));
    people(&mut rig, 1);
    people(&mut rig, 0);
    rig.pass(3_600_000);
    assert_eq!((rig.worker.slots().running, rig.ended.len()), (1, 0));
    assert!(!rig.log().contains("ShortRoom"));
}

#[test]
fn a_room_job_has_no_target_to_leave() {
    let mut rig = running(EndWhen::TargetLeft { after: 5 * SECOND });
    people(&mut rig, 1);
    people(&mut rig, 0);
    assert_eq!(ends(&mut rig), end(5.0, "shutdown: the room is empty"));
}

#[test]
fn a_job_for_a_participant_ends_when_that_one_has_left_though_others_stay() {
    let mut rig = with_target(|_| {});
    joined(&mut rig, room("RM_1", Some(300), Some(20)));
    there(&mut rig, 2, Some("PA_1"));
    rig.pass(60_000);
    there(&mut rig, 1, None);
    assert_eq!(ends(&mut rig), end(10.0, "shutdown: the participant has left"));
}

#[test]
fn a_target_that_left_before_the_agent_came_is_not_waited_for_longer() {
    let mut rig = with_target(|_| {});
    joined(&mut rig, room("RM_1", Some(300), Some(60)));
    there(&mut rig, 1, None);
    rig.pass(4_000);
    there(&mut rig, 0, None); // the others are gone as well
    assert_eq!(ends(&mut rig), end(6.0, "shutdown: the participant has left"));
}

#[test]
fn a_job_ends_at_once_when_the_session_of_its_target_is_replaced() {
    let mut rig = with_target(|_| {});
    joined(&mut rig, room("RM_1", Some(300), Some(20)));
    there(&mut rig, 1, Some("PA_1"));
    there(&mut rig, 1, Some("PA_1")); // resumed
    rig.pass(60_000);
    there(&mut rig, 1, Some("PA_2"));
    rig.pass(100);
    rig.end(1, AttemptEnd::Cancelled);
    rig.pass(60_000);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_target_that_is_back_in_another_session_has_another_job() {
    let mut rig = with_target(|_| {});
    there(&mut rig, 1, Some("PA_1"));
    there(&mut rig, 0, None);
    rig.pass(3_000);
    there(&mut rig, 1, Some("PA_2"));
    assert_eq!(ends(&mut rig), end(0.0, "target_replaced"));
    // The same before the agent joined.
    let mut rig = with_target(|_| {});
    there(&mut rig, 1, Some("PA_2"));
    assert_eq!(ends(&mut rig), end(0.0, "target_replaced"));
}

#[test]
fn a_target_without_a_session_is_any_session_and_may_still_come() {
    let mut rig = with_target(|ada| ada.sid.clear());
    there(&mut rig, 0, None);
    rig.pass(60_000);
    there(&mut rig, 1, Some("PA_1"));
    there(&mut rig, 1, Some("PA_2"));
    rig.pass(60_000);
    assert_eq!(rig.worker.slots().running, 1);
    there(&mut rig, 0, None);
    assert_eq!(ends(&mut rig), end(10.0, "shutdown: the participant has left"));
}

#[test]
fn a_hidden_target_is_never_seen_and_ends_nothing() {
    let mut rig = with_target(|ada| {
        ada.permission = Some(wire::ParticipantPermission { hidden: true, ..Default::default() });
    });
    joined(&mut rig, room("RM_1", Some(300), Some(20)));
    there(&mut rig, 0, None);
    rig.pass(3_600_000);
    assert_eq!(rig.worker.slots().running, 1);
}

#[test]
fn the_wait_ends_before_the_server_closes_the_room() {
    for (departure, configured, after) in [
        (Some(20), 10, 10.0),
        (Some(5), 10, 0.5),
        (Some(4), 10, 0.0),
        (Some(1), 10, 0.0),
        (Some(0), 10, 0.0),
        (Some(20), 60, 10.0),
        (Some(3600), 60, 60.0),
        (Some(20), 2, 2.0),
        (Some(u64::MAX), 10, 10.0),
        // An unknown timeout shortens nothing.
        (None, 60, 60.0),
    ] {
        let mut rig = running(EndWhen::TargetLeft { after: configured * SECOND });
        joined(&mut rig, room("RM_1", Some(300), departure));
        people(&mut rig, 1);
        people(&mut rig, 0);
        assert_eq!(ends(&mut rig), end(after, "shutdown: the room is empty"), "{departure:?} {configured}");
    }
}

#[test]
fn a_room_that_closes_too_soon_is_noticed_once() {
    for (departure, end_when, notices) in [
        (20, EndWhen::default(), 0),
        // The default wait is shortened without a notice.
        (5, EndWhen::default(), 0),
        (4, EndWhen::default(), 1),
        (0, EndWhen::default(), 1),
        (20, EndWhen::Empty { after: 60 * SECOND }, 1),
        (120, EndWhen::Empty { after: 60 * SECOND }, 0),
        (1, EndWhen::Never, 0),
    ] {
        for joins in [1, 3] {
            let mut rig = running(end_when);
            (0..joins).for_each(|_| joined(&mut rig, room("RM_1", Some(300), Some(departure))));
            assert_eq!(rig.log().matches("ShortRoom").count(), notices, "{departure} {end_when:?} {joins}");
        }
    }
}

#[test]
fn a_departure_timeout_that_changes_counts_from_then_on() {
    let mut rig = running(EndWhen::default());
    joined(&mut rig, room("RM_1", Some(300), Some(60)));
    people(&mut rig, 1);
    people(&mut rig, 0);
    rig.pass(2_000);
    joined(&mut rig, room("RM_1", Some(300), Some(12)));
    assert_eq!(ends(&mut rig), end(4.0, "shutdown: the room is empty"));
}

#[test]
fn a_stream_keeps_the_room_open_and_a_recorder_does_not() {
    let mut rig = running(EndWhen::default());
    joined(&mut rig, room("RM_1", Some(300), Some(5)));
    kept(&mut rig, 1, 2);
    kept(&mut rig, 0, 1); // no person is left, but the room stays
    rig.pass(5_000);
    kept(&mut rig, 0, 0);
    assert_eq!(ends(&mut rig), end(0.5, "shutdown: the room is empty"));
    // A stream alone is not a person, and its end ends nothing.
    let mut rig = running(EndWhen::default());
    joined(&mut rig, room("RM_1", Some(300), Some(20)));
    kept(&mut rig, 0, 1);
    rig.pass(3_600_000);
    assert_eq!(rig.worker.slots().running, 1);
}

#[test]
fn a_job_ends_before_the_server_closes_a_room_that_nobody_joined() {
    for (empty, after) in [(300, 289.0), (60, 53.0), (5, 2.5), (1, 0.0)] {
        let mut rig = running(EndWhen::default());
        joined(&mut rig, room("RM_1", Some(empty), Some(20)));
        people(&mut rig, 0);
        assert_eq!(ends(&mut rig), end(after, "shutdown: nobody has come into the room"), "{empty}");
    }
    // Once somebody has joined, the departure timeout counts.
    let mut rig = running(EndWhen::default());
    joined(&mut rig, room("RM_1", Some(300), Some(20)));
    people(&mut rig, 0);
    people(&mut rig, 1);
    rig.pass(3_600_000);
    assert_eq!(rig.worker.slots().running, 1);
}

#[test]
fn the_reason_says_whether_the_room_was_used() {
    // A target without a session may not have come yet.
    let mut rig = with_target(|ada| ada.sid.clear());
    joined(&mut rig, room("RM_1", Some(300), Some(20)));
    people(&mut rig, 0);
    assert_eq!(ends(&mut rig), end(289.0, "shutdown: nobody has come into the room"));
    // A stream has come and gone.
    let mut rig = running(EndWhen::default());
    joined(&mut rig, room("RM_1", Some(300), Some(20)));
    kept(&mut rig, 0, 1);
    kept(&mut rig, 0, 0);
    assert_eq!(ends(&mut rig).map(|(_, reason)| reason).as_deref(), Some("shutdown: the room is empty"));
}

#[test]
fn a_job_ends_when_the_room_that_was_joined_is_not_its_own() {
    let mut rig = running(EndWhen::default());
    joined(&mut rig, room("RM_other", Some(300), Some(20)));
    people(&mut rig, 0);
    rig.pass(100);
    rig.end(1, AttemptEnd::Ok);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn the_id_of_the_room_may_come_late_and_means_nothing_while_it_is_unknown() {
    let mut rig = running(EndWhen::Never);
    joined(&mut rig, room("", None, None));
    rig.pass(1_000);
    joined(&mut rig, room("RM_1", None, None));
    rig.pass(60_000);
    assert_eq!(rig.worker.slots().running, 1);
    let mut rig = running(EndWhen::Never);
    joined(&mut rig, room("", None, None));
    joined(&mut rig, room("RM_other", None, None));
    assert_eq!(ends(&mut rig), end(0.0, "room_gone"));
    // A job without a room id accepts any room.
    let mut rig = Rig::quiet(|config| config.end_when = EndWhen::Never);
    rig.run_job_of(1, |job| job.room.get_or_insert_default().sid.clear());
    joined(&mut rig, room("RM_other", None, None));
    rig.pass(60_000);
    assert_eq!(rig.worker.slots().running, 1);
}

#[test]
fn a_job_that_is_to_stay_stays_in_another_room() {
    let mut rig = Rig::quiet(|config| config.stay_in_new_room = true);
    rig.run_job_of(1, |job| {
        job.r#type = wire::JobType::JtParticipant.into();
        let ada = wire::ParticipantInfo { identity: "ada".into(), sid: "PA_1".into(), ..Default::default() };
        job.participant = Some(ada);
    });
    joined(&mut rig, room("RM_1", Some(300), Some(20)));
    there(&mut rig, 1, Some("PA_1"));
    rig.input(Input::RoomReplaced { job: id(1) });
    joined(&mut rig, room("RM_2", Some(300), Some(20)));
    // Sessions of another room are unrelated.
    there(&mut rig, 1, Some("PA_2"));
    rig.pass(60_000);
    assert_eq!(rig.worker.slots().running, 1);
    there(&mut rig, 1, None);
    assert_eq!(ends(&mut rig), end(10.0, "shutdown: the participant has left"));

    let mut rig = Rig::quiet(|config| config.stay_in_new_room = false);
    rig.run_job(1);
    joined(&mut rig, room("RM_1", Some(300), Some(20)));
    rig.input(Input::RoomReplaced { job: id(1) });
    assert_eq!(ends(&mut rig), end(0.0, "room_gone"));
}

#[test]
fn an_outcome_in_a_room_that_was_closed_first_has_a_mark() {
    for (reason, closed) in [
        (CancelReason::RoomClosed, true),
        (CancelReason::Shutdown("enough".into()), false),
        (CancelReason::Kicked, false),
    ] {
        let mut rig = running(EndWhen::default());
        rig.cancel(1, reason.clone());
        rig.end(1, AttemptEnd::Ok);
        assert_eq!(rig.last_ended.as_ref().map(|ended| ended.room_closed), Some(closed), "{reason}");
    }
    // Both ways in which a server reports it, in any order.
    let mut rig = running(EndWhen::default());
    rig.terminate(1);
    rig.cancel(1, CancelReason::RoomClosed);
    rig.end(1, AttemptEnd::Ok);
    assert!(rig.last_ended.is_some_and(|ended| ended.room_closed));
    // An outcome that was sent before, read or not.
    for read in [true, false] {
        let mut rig = running(EndWhen::default());
        rig.answers_pings = read;
        rig.end(1, AttemptEnd::Ok);
        rig.cancel(1, CancelReason::RoomClosed);
        assert!(rig.last_ended.as_ref().is_some_and(|ended| !ended.room_closed));
        assert_eq!(rig.log().contains("ClosedUnconfirmed"), !read);
    }
}

/// How a room ends decides whether its job is cancelled, and the outcome of a handler that then returns `Ok`.
#[test]
fn the_end_of_a_room_is_a_reason_to_stop_unless_the_handler_left() {
    let table = [
        (RoomEnd::Left, None, true),
        (RoomEnd::DuplicateIdentity, Some(CancelReason::DuplicateIdentity), false),
        (RoomEnd::Removed, Some(CancelReason::Kicked), false),
        (RoomEnd::Deleted, Some(CancelReason::RoomClosed), true),
        (RoomEnd::Closed, Some(CancelReason::RoomClosed), true),
        (RoomEnd::Lost, Some(CancelReason::RoomGone), false),
    ];
    for (end, reason, success) in table {
        let mut rig = running(EndWhen::default());
        rig.input(Input::RoomEnded { job: id(1), end });
        assert_eq!(rig.cancelled.get(&id(1)), reason.as_ref(), "{end:?}");
        rig.end(1, AttemptEnd::Ok);
        let ended = rig.last_ended.as_ref().unwrap();
        assert_eq!(ended.outcome.is_success(), success, "{end:?}");
        assert_eq!(ended.room_closed, reason == Some(CancelReason::RoomClosed), "{end:?}");
    }
    // The first reason is kept; the closing of the room is recorded all the same.
    let mut rig = running(EndWhen::default());
    rig.cancel(1, CancelReason::Shutdown("enough".into()));
    rig.input(Input::RoomEnded { job: id(1), end: RoomEnd::Closed });
    assert_eq!(rig.cancelled.get(&id(1)), Some(&CancelReason::Shutdown("enough".into())));
    rig.end(1, AttemptEnd::Ok);
    assert!(rig.last_ended.is_some_and(|ended| ended.room_closed));
}
