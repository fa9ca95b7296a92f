//! Audio tracks of ours, with str0m as the server.

use std::time::Duration;

use agent_proto::livekit as proto;
use agent_room::{AudioLevel, AudioTrackOptions, Input, OutgoingFrame, RoomCommand, RoomError, RoomEvent};

use crate::support::Pair;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;

const STEP: Duration = Duration::from_millis(20);

fn publish(pair: &mut Pair, id: u64, name: &str) {
    pair.command(id, RoomCommand::PublishTrack { options: AudioTrackOptions::new(name).into() });
}

/// The client ids of the tracks that were requested of the server.
fn cids(pair: &Pair) -> Vec<String> {
    let one = |request: &Request| match request {
        Request::AddTrack(request) => Some(request.cid.clone()),
        _ => None,
    };
    pair.requests.iter().filter_map(one).collect()
}

/// The server publishes the track that was requested last.
fn published(pair: &mut Pair, sid: &str) {
    let cid = cids(pair).pop().expect("a request");
    let track = proto::TrackInfo { sid: sid.to_owned(), ..Default::default() };
    pair.server_sends(Response::TrackPublished(proto::TrackPublishedResponse { cid, track: Some(track) }));
    pair.run_for(STEP);
}

fn send(pair: &mut Pair, track: u64, frame: OutgoingFrame) {
    pair.input(Input::SendFrame { track, frame: frame.into() });
}

/// A packet as the server has received it: sequence number, timestamp, marker, level and payload.
type Received<'a> = (u64, u32, bool, Option<i8>, &'a [u8]);

fn received(pair: &Pair) -> Vec<Received<'_>> {
    let packets = pair.received_audio.iter();
    packets
        .map(|packet| {
            let header = &packet.header;
            let level = header.ext_vals.audio_level;
            (*packet.seq_no, header.timestamp, header.marker, level, &packet.payload[..])
        })
        .collect()
}

/// The client id of each section in the last offer in which we send.
fn offered(pair: &Pair) -> Vec<String> {
    let offers = pair.requests.iter().rev();
    let offer = offers.filter_map(|request| match request {
        Request::Offer(offer) => Some(offer.sdp.clone()),
        _ => None,
    });
    let offer = offer.take(1).collect::<String>();
    let sending = offer.split("\nm=").filter(|section| section.contains("a=sendonly"));
    sending
        .map(|section| {
            let msid = section.lines().find_map(|line| line.strip_prefix("a=msid:")).expect("an msid");
            msid.split(' ').nth(1).expect("two tokens").to_owned()
        })
        .collect()
}

#[test]
fn frames_of_a_track_arrive_as_they_were_sent() {
    let mut pair = Pair::connected();
    publish(&mut pair, 1, "voice");
    assert_eq!(offered(&pair), cids(&pair), "the offer follows the request");
    send(&mut pair, 1, OutgoingFrame::new("too early", 0));
    published(&mut pair, "TR_1");
    assert_eq!(pair.done.get(&1), Some(&Ok(())));
    let sids = pair.local_tracks.iter().map(|(id, track)| (*id, track.as_ref().map(|it| it.sid.clone())));
    assert_eq!(sids.collect::<Vec<_>>(), [(1, Some("TR_1".to_owned()))]);
    let Some(RoomEvent::LocalTrackPublished { participant, track }) = pair.events.last() else {
        panic!("{:?}", pair.events)
    };
    assert_eq!((track.sid.as_str(), participant.tracks.len()), ("TR_1", 1));
    send(&mut pair, 1, OutgoingFrame::new("a", 5_000).level(AudioLevel::new(-30, true)));
    pair.run_for(STEP);
    send(&mut pair, 1, OutgoingFrame::new("b", 5_960));
    pair.run_for(STEP);
    send(&mut pair, 1, OutgoingFrame::new("", 6_920));
    send(&mut pair, 1, OutgoingFrame::new("c", 6_920));
    pair.run_for(STEP);
    assert_eq!(
        received(&pair),
        [
            (0, 5_000, true, Some(-30), &b"a"[..]),
            (1, 5_960, false, Some(-127), b"b"),
            (2, 6_920, true, Some(-127), b"c")
        ]
    );
    assert_eq!((pair.room.unsent_frames(), pair.room.violations()), (2, 0));
    pair.server_sends(Response::TrackSubscribed(proto::TrackSubscribed { track_sid: "TR_1".to_owned() }));
    pair.run_for(STEP);
    assert!(
        matches!(pair.events.last(), Some(RoomEvent::LocalTrackSubscribed { track }) if track.sid == "TR_1")
    );
}

#[test]
fn tracks_have_sections_of_their_own_which_are_used_again() {
    let mut pair = Pair::connected();
    // Both before the first answer: the second offer waits for it.
    publish(&mut pair, 1, "a");
    let first = cids(&pair);
    published(&mut pair, "TR_1");
    publish(&mut pair, 2, "b");
    published(&mut pair, "TR_2");
    let both = cids(&pair);
    assert_eq!((offered(&pair), both[0] == first[0]), (both.clone(), true));
    send(&mut pair, 2, OutgoingFrame::new("b", 0));
    send(&mut pair, 1, OutgoingFrame::new("a", 0));
    pair.run_for(STEP);
    let sources: Vec<_> = pair.received_audio.iter().map(|packet| packet.header.ssrc).collect();
    assert_ne!(sources[0], sources[1]);

    pair.command(3, RoomCommand::UnpublishTrack { track: 1 });
    pair.run_for(STEP);
    assert_eq!((pair.done.get(&3), offered(&pair)), (Some(&Ok(())), vec![both[1].clone()]));
    let gone = |event: &RoomEvent| {
        matches!(event, RoomEvent::LocalTrackUnpublished { participant, track }
        if track.sid == "TR_1" && participant.tracks.len() == 1)
    };
    assert!(pair.events.last().is_some_and(gone), "{:?}", pair.events);
    send(&mut pair, 1, OutgoingFrame::new("late", 960));
    pair.run_for(STEP);
    assert_eq!(pair.received_audio.len(), 2);

    publish(&mut pair, 4, "c");
    published(&mut pair, "TR_4");
    let all = cids(&pair);
    let mut expected = vec![all[2].clone(), all[1].clone()];
    expected.sort();
    let mut names = offered(&pair);
    names.sort();
    assert_eq!(names, expected, "a section of the past, with the new client id");
    send(&mut pair, 4, OutgoingFrame::new("c", 0));
    send(&mut pair, 2, OutgoingFrame::new("d", 960));
    pair.run_for(STEP);
    let payloads: Vec<_> = pair.received_audio.iter().map(|packet| &packet.payload[..]).collect();
    assert_eq!(payloads, [&b"b"[..], b"a", b"c", b"d"]);
    assert_ne!(pair.received_audio[2].header.ssrc, sources[1], "not the stream of the first track");
    assert_eq!(pair.received_audio[3].header.ssrc, sources[0]);
    assert_eq!(pair.room.violations(), 0);
}

#[test]
fn tracks_that_are_published_at_once_share_an_offer() {
    let mut pair = Pair::connected();
    for id in 1..4 {
        publish(&mut pair, id, "x");
    }
    for (n, cid) in cids(&pair).into_iter().enumerate() {
        let track = Some(proto::TrackInfo { sid: format!("TR_{n}"), ..Default::default() });
        pair.server_sends(Response::TrackPublished(proto::TrackPublishedResponse { cid, track }));
    }
    pair.run_for(STEP);
    assert!((1..4).all(|id| pair.done.get(&id) == Some(&Ok(()))));
    assert_eq!(offered(&pair), cids(&pair));
    let offers = pair.requests.iter().filter(|request| matches!(request, Request::Offer(_))).count();
    assert_eq!(offers, 2);
}

#[test]
fn refusals_name_what_is_missing() {
    let mut pair = Pair::connected();
    let mut permit = |version, can_publish, sources: &[i32]| {
        let me = proto::ParticipantInfo {
            sid: "PA_me".to_owned(),
            identity: "me".to_owned(),
            version,
            permission: Some(proto::ParticipantPermission {
                can_publish,
                can_publish_sources: sources.to_vec(),
                ..Default::default()
            }),
            ..Default::default()
        };
        pair.server_sends(Response::Update(proto::ParticipantUpdate {
            participants: vec![me],
            ..Default::default()
        }));
        pair.run_for(STEP);
        publish(&mut pair, version.into(), "x");
        pair.done.get(&u64::from(version)).cloned()
    };
    let error = |detail: &str| Some(Err(RoomError::NotAllowed { detail: detail.to_owned() }));
    assert_eq!(permit(1, false, &[]), error("no permission to publish tracks (`can_publish`)"));
    let only_camera = "no permission to publish the source Microphone, but [Camera] (`can_publish_sources`)";
    assert_eq!(permit(2, true, &[1]), error(only_camera));
    assert_eq!(permit(3, true, &[1, 2]), None);
    let request = pair.requests.iter().find_map(|request| match request {
        Request::AddTrack(request) => Some(request.clone()),
        _ => None,
    });
    pair.server_sends(Response::RequestResponse(proto::RequestResponse {
        reason: proto::request_response::Reason::LimitExceeded as i32,
        message: "too many".to_owned(),
        request: Some(proto::request_response::Request::AddTrack(request.expect("a request"))),
        ..Default::default()
    }));
    pair.run_for(STEP);
    assert_eq!(pair.done[&3], Err(RoomError::OverLimit { detail: "too many".to_owned() }));
    assert!(offered(&pair).is_empty());
    publish(&mut pair, 4, "x");
    pair.run_until("the timeout", |pair| pair.done.contains_key(&4));
    assert_eq!(pair.done[&4], Err(RoomError::TimedOut));
}

#[test]
fn a_resume_keeps_a_track_and_its_stream() {
    let mut pair = Pair::connected();
    publish(&mut pair, 1, "voice");
    published(&mut pair, "TR_1");
    send(&mut pair, 1, OutgoingFrame::new("a", 0));
    pair.run_for(STEP);
    pair.resume(0);
    // The media connection is still there.
    send(&mut pair, 1, OutgoingFrame::new("b", 960));
    pair.run_until("the connection", |pair| {
        pair.events.iter().any(|event| matches!(event, RoomEvent::Reconnected(_)))
    });
    let sync = pair.requests.iter().find_map(|request| match request {
        Request::SyncState(state) => Some(state.clone()),
        _ => None,
    });
    let tracks = sync.expect("a state").publish_tracks;
    assert_eq!((tracks.len(), tracks[0].cid.as_str()), (1, cids(&pair)[0].as_str()));
    send(&mut pair, 1, OutgoingFrame::new("c", 1_920));
    pair.run_for(STEP);
    let numbers: Vec<_> = received(&pair).iter().map(|packet| packet.0).collect();
    assert_eq!(numbers, [0, 1, 2]);
}

#[test]
fn another_session_publishes_a_track_again() {
    let mut pair = Pair::connected();
    publish(&mut pair, 1, "voice");
    published(&mut pair, "TR_1");
    send(&mut pair, 1, OutgoingFrame::new("a", 0));
    pair.run_for(STEP);
    pair.rtc.close().unwrap();
    pair.run_until("the loss", |pair| pair.bind_asked);
    send(&mut pair, 1, OutgoingFrame::new("meanwhile", 960));
    pair.requests.clear();
    pair.audio.clear();
    pair.rejoin();
    pair.run_until("the connection", |pair| {
        pair.events.iter().any(|event| matches!(event, RoomEvent::Reconnected(_)))
    });
    pair.run_for(STEP);
    published(&mut pair, "TR_2");
    let Some(RoomEvent::LocalTrackRepublished { participant, track, previous_sid }) = pair.events.last()
    else {
        panic!("{:?}", pair.events)
    };
    assert_eq!((track.sid.as_str(), previous_sid.as_str()), ("TR_2", "TR_1"));
    assert_eq!(participant.tracks.keys().collect::<Vec<_>>(), ["TR_2"]);
    send(&mut pair, 1, OutgoingFrame::new("b", 9_600));
    pair.run_for(STEP);
    let (first, last) = (&pair.received_audio[0], pair.received_audio.last().expect("a packet"));
    assert_eq!((&last.payload[..], last.header.timestamp, last.header.marker), (&b"b"[..], 9_600, true));
    assert_ne!(first.header.ssrc, last.header.ssrc);
    assert_eq!(pair.room.unsent_frames(), 1);
}

#[test]
fn the_server_may_mute_and_end_a_track() {
    let mut pair = Pair::connected();
    publish(&mut pair, 1, "voice");
    published(&mut pair, "TR_1");
    pair.server_sends(Response::Mute(proto::MuteTrackRequest { sid: "TR_1".to_owned(), muted: true }));
    pair.run_for(STEP);
    assert!(matches!(pair.events.last(), Some(RoomEvent::TrackMuted { track, .. }) if track.sid == "TR_1"));
    send(&mut pair, 1, OutgoingFrame::new("muted", 0));
    pair.command(2, RoomCommand::MuteTrack { track: 1, muted: false });
    assert!(matches!(pair.events.last(), Some(RoomEvent::TrackUnmuted { track, .. }) if track.sid == "TR_1"));
    assert!(
        pair.requests
            .contains(&Request::Mute(proto::MuteTrackRequest { sid: "TR_1".to_owned(), muted: false }))
    );
    send(&mut pair, 1, OutgoingFrame::new("a", 960));
    pair.run_for(STEP);
    assert_eq!(received(&pair).len(), 1);
    let track_sid = "TR_1".to_owned();
    pair.server_sends(Response::TrackUnpublished(proto::TrackUnpublishedResponse { track_sid }));
    pair.run_for(STEP);
    assert!(matches!(pair.events.last(), Some(RoomEvent::LocalTrackUnpublished { .. })));
    assert_eq!(pair.local_tracks.last(), Some(&(1, None)));
    assert!(offered(&pair).is_empty());
    pair.command(3, RoomCommand::MuteTrack { track: 1, muted: true });
    assert_eq!(pair.done[&3], Err(RoomError::TrackUnpublished));
}
