//! Data tracks over signalling and the data channel `_data_track`.

use std::time::Duration;

use agent_proto::livekit as proto;
use agent_room::{DataTrackFrame, RoomCommand, RoomError, RoomEvent};

use crate::support::Pair;
use proto::data_track_subscriber_handles::PublishedDataTrack;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;

/// A packet with the frame `hi`, of the track with this number.
const fn packet(handle: u8, frame: u8) -> [u8; 14] {
    [0x18, 0, 0, handle, 0, frame, 0, frame, 0, 0, 0, 0, b'h', b'i']
}

fn publish(pair: &mut Pair, id: u64, name: &str) {
    pair.command(id, RoomCommand::PublishDataTrack { name: name.to_owned() });
}

fn push(pair: &mut Pair, id: u64, track: u64, payload: impl Into<DataTrackFrame>) {
    pair.command(id, RoomCommand::PushDataFrame { track, frame: payload.into() });
}

/// The server publishes the track of this number.
fn published(pair: &mut Pair, pub_handle: u32, sid: &str) {
    let info = proto::DataTrackInfo { pub_handle, sid: sid.to_owned(), ..Default::default() };
    pair.server_sends(Response::PublishDataTrackResponse(proto::PublishDataTrackResponse {
        info: Some(info),
    }));
    pair.run_for(Duration::from_millis(10));
}

fn ada(pair: &mut Pair, version: u32, tracks: &[&str]) {
    let track = |sid: &&str| proto::DataTrackInfo {
        pub_handle: 1,
        sid: (*sid).to_owned(),
        name: "position".to_owned(),
        ..Default::default()
    };
    let ada = proto::ParticipantInfo {
        sid: "PA_ada".to_owned(),
        identity: "ada".to_owned(),
        version,
        data_tracks: tracks.iter().map(track).collect(),
        ..Default::default()
    };
    pair.server_sends(Response::Update(proto::ParticipantUpdate {
        participants: vec![ada],
        ..Default::default()
    }));
    pair.run_for(Duration::from_millis(10));
}

fn handles(pair: &mut Pair, handles: &[(u32, &str)]) {
    let track = |sid: &str| PublishedDataTrack { track_sid: sid.to_owned(), ..Default::default() };
    let sub_handles = handles.iter().map(|(handle, sid)| (*handle, track(sid))).collect();
    pair.server_sends(Response::DataTrackSubscriberHandles(proto::DataTrackSubscriberHandles {
        sub_handles,
    }));
    pair.run_for(Duration::from_millis(10));
}

/// What the server was asked about data tracks.
fn asked(pair: &Pair) -> Vec<String> {
    let one = |request: &Request| match request {
        Request::PublishDataTrackRequest(request) => {
            Some(format!("publish {} {}", request.pub_handle, request.name))
        }
        Request::UnpublishDataTrackRequest(request) => Some(format!("unpublish {}", request.pub_handle)),
        Request::UpdateDataSubscription(update) => {
            let one = |update: &proto::update_data_subscription::Update| {
                format!("{}{}", if update.subscribe { "+" } else { "-" }, update.track_sid)
            };
            Some(update.updates.iter().map(one).collect())
        }
        _ => None,
    };
    pair.requests.iter().filter_map(one).collect()
}

#[test]
fn frames_of_ours_arrive_once_the_server_has_published_the_track() {
    let mut pair = Pair::connected();
    publish(&mut pair, 1, "position");
    push(&mut pair, 2, 1, "too early");
    assert_eq!((asked(&pair), pair.done.contains_key(&1)), (vec!["publish 1 position".to_owned()], false));
    published(&mut pair, 1, "DTR_1");
    assert_eq!((&pair.done[&1], &pair.done[&2]), (&Ok(()), &Ok(())));
    push(&mut pair, 3, 1, "hi");
    push(&mut pair, 4, 1, vec![7; 20_000]);
    pair.run_until("three packets", |pair| pair.received_frames.len() == 3);
    assert_eq!(pair.received_frames[0][..8], packet(1, 0)[..8]);
    assert_eq!(pair.received_frames[0][12..], *b"hi");
    let (first, last) = (&pair.received_frames[1], &pair.received_frames[2]);
    assert_eq!((first.len(), last.len(), first[0], last[0]), (16_000, 4_024, 0x10, 0x08));
    assert!(pair.done[&3] == Ok(()) && pair.done[&4] == Ok(()));
    pair.command(5, RoomCommand::UnpublishDataTrack { track: 1 });
    push(&mut pair, 6, 1, "late");
    assert_eq!((&pair.done[&5], &pair.done[&6]), (&Ok(()), &Err(RoomError::TrackUnpublished)));
    assert_eq!(asked(&pair)[1..], ["unpublish 1"]);

    // Refused, and without an answer.
    publish(&mut pair, 7, "again");
    pair.server_sends(Response::RequestResponse(proto::RequestResponse {
        reason: proto::request_response::Reason::DuplicateName as i32,
        message: "twice".to_owned(),
        request: Some(proto::request_response::Request::PublishDataTrack(proto::PublishDataTrackRequest {
            pub_handle: 2,
            ..Default::default()
        })),
        ..Default::default()
    }));
    pair.run_for(Duration::from_millis(10));
    assert_eq!(pair.done[&7], Err(RoomError::Refused { detail: "twice".to_owned() }));
    publish(&mut pair, 8, "again");
    pair.run_until("the timeout", |pair| pair.done.contains_key(&8));
    assert_eq!(pair.done[&8], Err(RoomError::TimedOut));
    assert_eq!(pair.room.violations(), 0);
}

#[test]
fn many_frames_wait_for_the_channel_and_too_many_are_refused() {
    let mut pair = Pair::connected();
    publish(&mut pair, 1, "pictures");
    published(&mut pair, 1, "DTR_1");
    for id in 2..6 {
        push(&mut pair, id, 1, vec![0; 1_300_000]);
    }
    // More than 4 MiB wait.
    assert_eq!(pair.done.get(&5), Some(&Err(RoomError::QueueFull)));
    assert!(!pair.done.contains_key(&2));
    pair.run_until("the others", |pair| (2..5).all(|id| pair.done.get(&id) == Some(&Ok(()))));
    push(&mut pair, 6, 1, vec![0; 2_000_001]);
    assert_eq!(pair.done[&6], Err(RoomError::FrameTooLarge { len: 2_000_001 }));
}

#[test]
fn tracks_of_others_are_events_and_their_frames_come_after_a_subscription() {
    let mut pair = Pair::connected();
    pair.events.clear();
    ada(&mut pair, 1, &["DTR_a"]);
    let [RoomEvent::ParticipantJoined(_), RoomEvent::DataTrackPublished { participant, track }] =
        &pair.events[..]
    else {
        panic!("{:?}", pair.events);
    };
    assert_eq!(
        (participant.identity.as_str(), track.name.as_str(), track.encrypted),
        ("ada", "position", false)
    );
    pair.send_bytes("_data_track", &packet(3, 0));
    pair.command(1, RoomCommand::SubscribeDataTrack { sid: "DTR_a".to_owned() });
    handles(&mut pair, &[(3, "DTR_a")]);
    pair.send_bytes("_data_track", &packet(3, 1));
    pair.run_until("a frame", |pair| !pair.data_frames.is_empty());
    assert_eq!(pair.data_frames, [("DTR_a".to_owned(), DataTrackFrame::new("hi"))]);
    // Garbage is counted.
    pair.send_bytes("_data_track", b"garbage");
    pair.run_until("the violation", |pair| pair.room.violations() == 1);

    // The frames of an unpublished track end.
    ada(&mut pair, 2, &[]);
    assert!(matches!(pair.events.last(), Some(RoomEvent::DataTrackUnpublished { .. })), "{:?}", pair.events);
    pair.send_bytes("_data_track", &packet(3, 2));
    pair.command(2, RoomCommand::UnsubscribeDataTrack { subscription: 1 });
    pair.run_for(Duration::from_millis(20));
    assert_eq!((pair.data_frames.len(), asked(&pair)), (1, vec!["+DTR_a".to_owned()]));
}

#[test]
fn another_session_publishes_again() {
    let mut pair = Pair::connected();
    ada(&mut pair, 1, &["DTR_a"]);
    publish(&mut pair, 1, "position");
    published(&mut pair, 1, "DTR_1");
    pair.command(2, RoomCommand::SubscribeDataTrack { sid: "DTR_a".to_owned() });
    handles(&mut pair, &[(3, "DTR_a")]);
    pair.rtc.close().unwrap();
    pair.run_until("the loss", |pair| pair.bind_asked);
    push(&mut pair, 3, 1, "meanwhile");
    assert_eq!(pair.done[&3], Ok(()));
    pair.requests.clear();
    pair.rejoin();
    pair.run_until("the connection", |pair| {
        pair.events.iter().any(|event| matches!(event, RoomEvent::Reconnected(_)))
    });
    pair.run_for(Duration::from_millis(20));
    // Ada has left meanwhile.
    assert_eq!(asked(&pair), ["publish 1 position"]);
    published(&mut pair, 1, "DTR_2");
    push(&mut pair, 4, 1, "hi");
    pair.run_until("the packet", |pair| pair.received_frames.len() == 1);
}
