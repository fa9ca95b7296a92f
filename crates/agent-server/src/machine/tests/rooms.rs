//! Rooms, as far as jobs begin and end with them.

use agent_proto::livekit as wire;
use agent_proto::livekit::JobStatus::JsSuccess;
use agent_room::{AudioTrackOptions, DisconnectReason, Permissions, RoomCommand};

use super::rig::Rig;
use crate::machine::{Change, ChangeParticipant, Grant, Join, OpenRoom, Refusal};

/// The status must precede the leave: in the other order the server has already decided.
#[test]
fn an_agent_that_leaves_before_its_status_has_failed() {
    let mut rig = Rig::new();
    let (_, agent) = rig.running("a", "lobby");
    rig.forget();
    rig.leaves(agent);
    rig.pass(1_000);
    rig.status("a", JsSuccess, "");
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_room_that_is_deleted_ends_its_jobs() {
    let mut rig = Rig::new();
    rig.running("a", "lobby");
    rig.person_joins("lobby", "ada");
    rig.forget();
    rig.delete_room("lobby");
    rig.pass(1_000);
    rig.status("a", JsSuccess, "");
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_job_whose_agent_is_removed_has_failed() {
    let mut rig = Rig::new();
    let (_, agent) = rig.running("a", "lobby");
    rig.forget();
    rig.member_left("the agent is removed", agent, DisconnectReason::Removed);
    rig.pass(1_000);
    // The agent is gone, so the second removal does nothing.
    rig.member_left("and again", agent, DisconnectReason::Removed);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_second_agent_of_the_same_identity_kicks_the_first_out() {
    let mut rig = Rig::new();
    rig.running("a", "lobby");
    rig.forget();
    rig.agent_joins("a");
    rig.pass(1_000);
    insta::assert_snapshot!(rig.log());
}

/// The only end by the server that is a success; the agent gets 3 s to finish.
#[test]
fn a_deleted_dispatch_ends_its_job_and_removes_the_agent_3_s_later() {
    let mut rig = Rig::new();
    let (dispatch, _) = rig.running("a", "lobby");
    rig.forget();
    rig.delete_dispatch("lobby", &dispatch);
    assert!(rig.server.list_dispatches("lobby").iter().all(|other| other.id != dispatch));
    rig.pass(2_999);
    rig.remark("--- 2.999 s later");
    rig.pass(1);
    rig.status("a", JsSuccess, "");
    insta::assert_snapshot!(rig.log());
}

/// The server waits for the job that it is launching, and then ends it.
#[test]
fn a_dispatch_that_is_deleted_during_the_offer_ends_its_job_when_it_is_assigned() {
    let mut rig = Rig::new();
    rig.worker("a");
    let dispatch = rig.dispatch("greeter", "lobby");
    let jobs = |rig: &Rig| -> usize {
        rig.server
            .list_dispatches("lobby")
            .iter()
            .filter_map(|one| one.state.as_ref())
            .map(|s| s.jobs.len())
            .sum()
    };
    assert_eq!(jobs(&rig), 0, "an offered job is not listed");
    rig.delete_dispatch("lobby", &dispatch);
    rig.forget();
    rig.accept("a");
    assert!(rig.text().contains("is terminated"), "{}", rig.text());
    rig.dispatch("greeter", "stairs");
    rig.accept("a");
    assert_eq!(
        rig.server.list_dispatches("stairs").iter().filter(|one| one.agent_name == "greeter").count(),
        1
    );
}

#[test]
fn an_agent_that_left_in_time_is_not_removed() {
    let mut rig = Rig::new();
    let (dispatch, agent) = rig.running("a", "lobby");
    rig.forget();
    rig.delete_dispatch("lobby", &dispatch);
    rig.leaves(agent);
    // A later participant with the same identity is another one.
    rig.agent_joins("a");
    rig.pass(10_000);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_room_closes_20_s_after_the_last_human_left() {
    let mut rig = Rig::new();
    rig.running("a", "lobby");
    rig.forget();
    let ada = rig.person_joins("lobby", "ada");
    rig.pass(400_000); // longer than an empty room would stay
    rig.leaves(ada);
    rig.pass(19_000);
    let ada = rig.person_joins("lobby", "ada");
    rig.pass(19_000);
    rig.leaves(ada);
    rig.pass(20_000);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn an_agent_alone_keeps_no_room_open() {
    let mut rig = Rig::new();
    rig.running("a", "lobby");
    rig.forget();
    rig.pass(300_000);
    insta::assert_snapshot!(rig.log());
}

#[test]
fn a_room_has_an_unnamed_agent_or_those_that_it_asks_for() {
    let mut rig = Rig::new();
    rig.worker("named");
    rig.connect("unnamed");
    rig.register("unnamed", wire::RegisterWorkerRequest::default());
    rig.forget();
    rig.open_room("plain");
    let agents = vec![("greeter".to_owned(), "hello".to_owned())];
    let open = OpenRoom { name: "with-its-own".to_owned(), agents, ..OpenRoom::default() };
    rig.call("a room with its own agents is made", open).unwrap();
    insta::assert_snapshot!(rig.log());
}

#[test]
fn refused_joins() {
    let mut rig = Rig::new();
    let mut join = |room: &str, identity: &str| {
        let grant = Grant { room: room.to_owned(), identity: identity.to_owned(), ..Grant::default() };
        let member = rig.next_id();
        rig.call("a participant joins", Join::new(member, grant)).map(|_| member)
    };
    for (room, identity) in [("lobby", ""), ("lobby", &"x".repeat(257)), ("", "ada")] {
        let refused = join(room, identity).unwrap_err().to_string();
        assert!(refused.contains("identity") || refused.contains("room"), "{refused}");
    }
    let member = join("lobby", &"x".repeat(256)).unwrap();
    let grant = Grant { room: "lobby".to_owned(), identity: "ada".to_owned(), ..Grant::default() };
    let twice = rig.call("the same stay begins twice", Join::new(member, grant));
    assert!(matches!(twice, Err(Refusal::NotAdmitted { .. })), "{twice:?}");
    insta::assert_snapshot!(rig.log().replace(&"x".repeat(256), "xxx"));
}

/// The others do not know of a hidden participant, whatever it does: only itself is notified.
#[test]
fn a_hidden_participant_stays_hidden() {
    let mut rig = Rig::new();
    rig.person_joins("lobby", "ada");
    let spy = rig.joins_with("lobby", "spy", |grant| {
        (grant.permissions.hidden, grant.permissions.can_publish) = (true, true);
        grant.permissions.can_update_metadata = true;
    });
    rig.forget();
    rig.commands("spy has a name", spy, RoomCommand::SetName("Spy".to_owned())).unwrap();
    let track = RoomCommand::PublishTrack { options: AudioTrackOptions::default().into() };
    let track = rig.commands("spy publishes a track", spy, track).unwrap();
    rig.commands("spy mutes it", spy, RoomCommand::MuteTrack { track, muted: true }).unwrap();
    rig.commands("spy ends it", spy, RoomCommand::UnpublishTrack { track }).unwrap();
    let data = RoomCommand::PublishDataTrack { name: "data".to_owned() };
    let track = rig.commands("spy publishes data", spy, data).unwrap();
    rig.commands("spy ends the data", spy, RoomCommand::UnpublishDataTrack { track }).unwrap();
    assert!(!rig.text().contains("< to ada:"), "{}", rig.text());
    assert!(rig.text().contains("< to spy: NameChanged"), "{}", rig.text());
}

/// A permission that is withdrawn, or given, changes what a participant is sent.
#[test]
fn a_member_without_the_permission_to_subscribe_is_sent_nothing() {
    let mut rig = Rig::new();
    rig.joins_with("lobby", "ada", |grant| grant.permissions.can_subscribe = true);
    let bob = rig.joins_with("lobby", "bob", |grant| grant.permissions.can_publish = true);
    let track = RoomCommand::PublishTrack { options: AudioTrackOptions::default().into() };
    rig.commands("bob publishes a track", bob, track).unwrap();
    rig.forget();
    for may in [false, true] {
        let mut permissions = Permissions::default();
        permissions.can_subscribe = may;
        let change = Change { permissions: Some(permissions), ..Change::default() };
        let (room, identity) = ("lobby".to_owned(), "ada".to_owned());
        rig.call("ada's permissions change", ChangeParticipant { room, identity, change }).unwrap();
        let shown = if may { "< to ada: TrackSubscribed" } else { "< to ada: TrackUnsubscribed" };
        assert_eq!(rig.text().matches(shown).count(), 1, "{}", rig.text());
    }
}
