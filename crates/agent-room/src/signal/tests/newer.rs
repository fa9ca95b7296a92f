//! What livekit-server 1.13.5 does not send, or not without LiveKit Cloud: held by these transcripts alone.
//! - `ParticipantUpdate.full_snapshot`: the list is complete.
//! - `RoomMovedResponse`: a participant is moved to another room (LiveKit Cloud).
//! - `SyncState.data_subscription` and `publish_data_tracks`: a server reads them when it takes over a
//!   session from another one; 1.13.5 ignores the first.
//! - `KindDetail`, and kinds, states, reasons, qualities and capabilities that are newer than this version.
//! - Messages that are newer than this version.

use super::*;
use crate::KindDetail;
use crate::data_tracks::DataTrackState;

fn snapshot(participants: Vec<proto::ParticipantInfo>) -> Response {
    Response::Update(proto::ParticipantUpdate { participants, full_snapshot: true })
}

#[test]
fn a_full_snapshot_removes_participants_that_are_not_listed() {
    let mut rig = Rig::connected(quiet);
    rig.updates(vec![info("PA_bob", "bob", 1), info("PA_eve", "eve", 1)]);
    rig.script.clear();
    let renamed = proto::ParticipantInfo { name: "Bob".to_owned(), ..info("PA_bob", "bob", 2) };
    // We are not in it, and stay.
    rig.receives(snapshot(vec![renamed, info("PA_eve2", "eve", 1), info("PA_joe", "joe", 1)]));
    rig.receives(snapshot(vec![]));
    rig.updates(vec![]);
    rig.check("full_snapshot");
    assert_eq!((rig.signal.roster.remote().count(), rig.signal.violations()), (0, 0));
    assert_eq!(rig.signal.roster.local().map(|local| local.identity.as_str()), Some("me"));
}

#[test]
fn a_moved_room_stays_another_room() {
    let mut rig = Rig::connected(quiet);
    rig.receives(Response::RoomMoved(proto::RoomMovedResponse {
        room: Some(proto::Room { sid: "RM_2".to_owned(), name: "hall".to_owned(), ..Default::default() }),
        token: "sesame 3".to_owned(),
        participant: Some(info("PA_me2", "me", 1)),
        other_participants: vec![info("PA_eve", "eve", 1)],
    }));
    rig.script.clear();
    // A new session uses the new token, and is not taken for another room.
    rig.receives(leave(proto::DisconnectReason::UnknownReason, Action::Reconnect));
    rig.step("bound", |signal, _| signal.bound("v=0 again".to_owned()));
    rig.step("opened", Signal::opened);
    let room = Some(proto::Room { sid: "RM_2".to_owned(), name: "hall".to_owned(), ..Default::default() });
    rig.receives(Response::Join(proto::JoinResponse { room, ..join() }));
    rig.step("media ready", Signal::media_ready);
    assert!(rig.script.contains("room_changed: false"), "{}", rig.script);
    assert_eq!(rig.signal.token.expose(), "sesame 3");
}

#[test]
fn a_server_that_takes_a_session_over_receives_the_data_tracks() {
    let mut rig = Rig::connected(quiet);
    rig.step("closed", |signal, now| signal.signal_closed("cut", now));
    rig.step("opened", Signal::opened);
    rig.receives(Response::Reconnect(proto::ReconnectResponse::default()));
    rig.script.clear();
    let info = proto::DataTrackInfo { pub_handle: 1, sid: "DTR_1".to_owned(), ..Default::default() };
    let update = proto::update_data_subscription::Update { track_sid: "DTR_a".to_owned(), subscribe: true };
    let data_tracks = DataTrackState {
        published: vec![proto::PublishDataTrackResponse { info: Some(info) }],
        subscription: proto::UpdateDataSubscription { updates: vec![update] },
    };
    let below = LowerState { data_tracks, ..LowerState::default() };
    rig.step("sync", |signal, now| signal.sync(below, Some("v=0 again".to_owned()), now));
    rig.check("sync_with_data_tracks");
}

#[test]
fn details_of_kinds_are_read_and_limited() {
    let mut rig = Rig::connected(quiet);
    let mut phone = info("PA_p", "phone", 1);
    (phone.kind, phone.kind_details) = (7, vec![3, 5, 77]);
    let mut many = info("PA_m", "many", 1);
    many.kind_details = vec![1; 10_000];
    rig.updates(vec![phone, many]);
    let details: Vec<_> =
        rig.signal.roster.remote().map(|who| (who.identity.as_str(), &who.kind_details)).collect();
    let (twilio, simulation) = (KindDetail::ConnectorTwilio, KindDetail::Simulation);
    assert_eq!(details[2], ("phone", &vec![twilio, simulation, KindDetail::Unknown(77)]));
    assert_eq!(details[1], ("many", &vec![KindDetail::Forwarded; 16]));
}

/// A field of the protocol that this version does not have: its number, and some bytes.
fn unknown_field(number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut key = number << 3 | 2;
    while key >= 0x80 {
        bytes.push((key & 0x7f | 0x80) as u8);
        key >>= 7;
    }
    bytes.extend([key as u8, 3, b'n', b'e', b'w']);
    bytes
}

#[test]
fn messages_and_fields_of_a_newer_protocol_are_harmless() {
    let mut rig = Rig::connected(quiet);
    rig.script.clear();
    for number in [7, 14, 26, 30, 31, 32, 99, 5_000] {
        let frame = unknown_field(number).into();
        rig.step("a newer message", |signal, now| signal.received(&frame, now));
    }
    assert_eq!((rig.signal.violations(), rig.script.matches("    ").count()), (0, 0), "{}", rig.script);
    // In a known message.
    let named = proto::ParticipantInfo { name: "Bob".to_owned(), ..info("PA_bob", "bob", 1) };
    let update =
        Response::Update(proto::ParticipantUpdate { participants: vec![named], full_snapshot: false });
    let mut frame = encode(&proto::SignalResponse { message: Some(update) }).to_vec();
    frame.extend(unknown_field(5_000));
    rig.step("a newer field", |signal, now| signal.received(&frame.into(), now));
    assert!(rig.script.contains("ParticipantJoined") && rig.script.contains("Bob"), "{}", rig.script);
}

#[test]
fn values_of_a_newer_protocol_are_harmless() {
    let mut rig = Rig::connected(quiet);
    let mut eve = info("PA_eve", "eve", 1);
    (eve.state, eve.kind, eve.client_protocol) = (77, 77, 1_000);
    (eve.capabilities, eve.kind_details) = (vec![77], vec![-1]);
    eve.data_tracks =
        vec![proto::DataTrackInfo { encryption: 77, sid: "DTR_1".to_owned(), ..Default::default() }];
    let mut newer = track("TR_1", proto::TrackType::Audio, false);
    (newer.r#type, newer.source, newer.encryption) = (77, 77, 77);
    eve.tracks = vec![newer];
    rig.updates(vec![eve.clone()]);
    let participant_sid = "PA_eve".to_owned();
    rig.receives(Response::ConnectionQuality(proto::ConnectionQualityUpdate {
        updates: vec![proto::ConnectionQualityInfo { participant_sid, quality: 77, score: f32::NAN }],
    }));
    rig.receives(Response::RequestResponse(proto::RequestResponse { reason: 77, ..Default::default() }));
    (eve.version, eve.state, eve.disconnect_reason) = (2, State::Disconnected as i32, 77);
    rig.updates(vec![eve]);
    rig.check("newer_values");
    assert_eq!(rig.signal.violations(), 0);
}
