//! Frames of video from a backend to the readers of tracks.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};

use agent_room::{
    Connected, EncodedVideoFrame, Participant, RoomCommand, RoomInfo, Track, TrackKind, VideoCodec,
};

use crate::{FrameSender, Room, RoomBackend, RoomRequest, TrackError};

fn room() -> (Room, RoomBackend, FrameSender) {
    let mut ada = Participant::new("PA_ada", "ada");
    for (sid, kind) in
        [("TR_1", TrackKind::Video), ("TR_2", TrackKind::Video), ("TR_audio", TrackKind::Audio)]
    {
        ada.tracks.insert(sid.to_owned(), Track::new(sid, kind));
    }
    let mut connected = Connected::new(RoomInfo::new("RM_1", "lobby"), Participant::new("PA_me", "me"));
    connected.participants = vec![Arc::new(ada)];
    let (room, backend) = RoomBackend::new(connected);
    let frames = backend.frames();
    (room, backend, frames)
}

/// A frame of VP8 with a number: a key frame, or one that needs those before it.
fn frame(key: bool, number: u8) -> EncodedVideoFrame {
    let payload = vec![if key { 0x10 } else { 0x11 }, number];
    EncodedVideoFrame::new(VideoCodec::Vp8, payload, Duration::from_millis(40 * u64::from(number)))
}

/// The key frames that were requested.
fn requested(backend: &mut RoomBackend) -> Vec<String> {
    let mut sids = Vec::new();
    while let Some(Some(request)) = backend.next_request().now_or_never() {
        if let RoomRequest::Command { command: RoomCommand::RequestKeyFrame { track_sid }, .. } = request {
            sids.push(track_sid);
        }
    }
    sids
}

#[tokio::test]
async fn a_slow_reader_continues_with_a_key_frame() {
    let (room, mut backend, mut frames) = room();
    let stream = room.encoded_video("TR_1").unwrap().capacity(4);
    for n in 0..4 {
        frames.send("TR_1", frame(n == 0, n));
    }
    assert_eq!((stream.dropped(), requested(&mut backend)), (0, vec![]));
    // Without its key frame no frame can be decoded.
    frames.send("TR_1", frame(false, 4));
    assert_eq!((stream.dropped(), requested(&mut backend)), (5, vec!["TR_1".to_owned()]));
    frames.send("TR_1", frame(false, 5));
    frames.send("TR_1", frame(true, 6));
    frames.send("TR_1", frame(false, 7));
    assert_eq!((stream.dropped(), requested(&mut backend)), (6, vec![]));
    // It can continue with a key frame that waits.
    for n in 8..11 {
        frames.send("TR_1", frame(n == 8, n));
    }
    assert_eq!((stream.dropped(), requested(&mut backend)), (8, vec![]));
    assert_eq!(
        format!("{stream:?}"),
        r#"EncodedVideoStream { track_sid: "TR_1", waiting: 3, dropped: 8, .. }"#
    );
    drop(backend);
    let read: Vec<_> =
        stream.map(|frame| (frame.payload[1], frame.key_frame, frame.after_loss)).collect().await;
    assert_eq!(read, [(8, true, true), (9, false, false), (10, false, false)]);
}

/// The frames that are left cannot be decoded without those that were dropped.
#[tokio::test]
async fn a_smaller_capacity_requests_a_key_frame_for_those_that_it_drops() {
    let (room, mut backend, mut frames) = room();
    let stream = room.encoded_video("TR_1").unwrap();
    for n in 0..3 {
        frames.send("TR_1", frame(n == 0, n));
    }
    let stream = stream.capacity(3);
    assert_eq!((stream.dropped(), requested(&mut backend)), (0, vec![]));
    let stream = stream.capacity(1);
    assert_eq!((stream.dropped(), requested(&mut backend)), (3, vec!["TR_1".to_owned()]));
    // Nothing more is dropped for this.
    let mut stream = stream.capacity(1);
    assert_eq!((stream.dropped(), requested(&mut backend)), (3, vec![]));
    frames.send("TR_1", frame(true, 3));
    let next = stream.next().await.unwrap();
    assert_eq!((next.payload[1], next.after_loss), (3, true));
}

#[tokio::test]
async fn each_reader_has_the_frames_of_its_track_and_may_request_key_frames() {
    let (room, mut backend, mut frames) = room();
    let (mut one, mut two) = (room.encoded_video("TR_1").unwrap(), room.encoded_video("TR_2").unwrap());
    frames.send("TR_1", frame(true, 1));
    frames.send("TR_2", frame(true, 2));
    assert_eq!((one.next().await.unwrap().payload[1], two.next().await.unwrap().payload[1]), (1, 2));
    two.request_key_frame();
    assert_eq!(requested(&mut backend), ["TR_2"]);
    let refused = |sid: &str| room.encoded_video(sid).unwrap_err();
    assert_eq!(refused("TR_1"), TrackError::AlreadyRead { sid: "TR_1".to_owned() });
    let sid = "TR_audio".to_owned();
    assert_eq!(refused("TR_audio"), TrackError::NotVideo { sid, kind: TrackKind::Audio });
    drop((one, two));
    assert!(room.encoded_video("TR_1").is_ok());
}
