//! The rules of one track.

use super::*;

#[test]
fn a_track_is_published_once_the_server_and_its_section_have_answered() {
    let mut world = World::new();
    world.publish(1, "voice");
    assert_eq!(world.outputs(), [r#"add "voice""#, "open 1"]);
    assert!(!world.sends(1));
    world.answer("TR_1");
    assert!(world.outputs().is_empty() && !world.sends(1));
    world.tracks.section_answered(1, true);
    assert_eq!(world.outputs(), ["1 is TR_1", "published TR_1", "1 done"]);
    assert!(world.sends(1));
    assert_eq!(world.tracks.unsent(), 2);
    world.tracks.message(LocalTrackMessage::Subscribed("TR_1".to_owned()));
    world.tracks.message(LocalTrackMessage::Subscribed("TR_9".to_owned()));
    assert_eq!(world.outputs(), ["subscribed TR_1"]);
    assert_eq!(world.tracks.unpublish(1), Ok(()));
    assert_eq!(world.outputs(), ["close 1", "1 is gone", "unpublished TR_1"]);
    assert_eq!(world.tracks.unpublish(1), Err(RoomError::TrackUnpublished));
    assert!(!world.sends(1) && world.tracks.poll_timeout().is_none());
}

#[test]
fn the_request_describes_the_track() {
    let mut world = World::new();
    let options = AudioTrackOptions::new("music").stereo(true).dtx(false).stream("band");
    world.tracks.publish(1, options.source(crate::TrackSource::ScreenShareAudio).into(), world.now);
    let Some(LocalTrackOutput::Request(request)) = world.tracks.poll_output() else { panic!("a request") };
    let Request::AddTrack(mut request) = *request else { panic!("{request:?}") };
    let cid = std::mem::take(&mut request.cid);
    assert_eq!((cid.len(), cid.matches('-').count(), &cid[14..15]), (36, 4, "4"));
    let expected = proto::AddTrackRequest {
        name: "music".to_owned(),
        source: proto::TrackSource::ScreenShareAudio as i32,
        stream: "band".to_owned(),
        disable_red: true,
        audio_features: vec![
            proto::AudioTrackFeature::TfStereo as i32,
            proto::AudioTrackFeature::TfNoDtx as i32,
        ],
        ..Default::default()
    };
    assert_eq!(request, expected);
}

#[test]
fn a_refused_publish_fails_and_leaves_no_track() {
    let mut world = World::new();
    // Refused by the server, or by its answer to the offer, or not answered.
    world.publish(1, "a");
    world.outputs();
    let error = RoomError::NotAllowed { detail: String::new() };
    world.tracks.message(LocalTrackMessage::Refused(world.cid.clone(), error));
    assert_eq!(world.outputs(), ["1 failed: NotAllowed", "close 1", "1 is gone"]);
    world.publish(2, "b");
    world.tracks.section_answered(2, false);
    world.outputs();
    assert_eq!(world.tracks.unpublish(2), Err(RoomError::TrackUnpublished));
    world.publish(3, "c");
    world.answer("TR_3");
    world.pass(9);
    assert!(world.outputs().is_empty());
    world.pass(1);
    assert_eq!(world.outputs(), ["3 failed: TimedOut", "close 3", "3 is gone"]);
    // Ended before it was published.
    world.publish(4, "d");
    world.outputs();
    assert_eq!(world.tracks.unpublish(4), Ok(()));
    assert_eq!(world.outputs(), ["4 failed: TrackUnpublished", "close 4", "4 is gone"]);
    // Too long a name, and too many.
    world.publish(5, &"x".repeat(257));
    assert_eq!(world.outputs(), ["5 failed: TrackNameTooLong"]);
    for id in 6..9 {
        world.publish(id, "e");
    }
    world.outputs();
    world.publish(9, "f");
    assert_eq!(world.outputs(), ["9 failed: OverLimit"]);
}

#[test]
fn the_server_may_end_a_track() {
    let mut world = World::new();
    world.published(1, "TR_1");
    world.tracks.message(LocalTrackMessage::Unpublished("TR_0".to_owned()));
    assert!(world.outputs().is_empty());
    world.tracks.message(LocalTrackMessage::Unpublished("TR_1".to_owned()));
    assert_eq!(world.outputs(), ["close 1", "1 is gone", "unpublished TR_1"]);
    assert!(!world.sends(1));
    assert_eq!(world.tracks.mute(1, true), Err(RoomError::TrackUnpublished));
}

#[test]
fn a_track_muted_by_us_or_by_the_server_sends_nothing() {
    let mut world = World::new();
    world.published(1, "TR_1");
    assert_eq!(world.tracks.mute(1, true), Ok(()));
    assert_eq!(world.outputs(), ["1 is TR_1, muted", "TR_1 muted: true", "mute TR_1 true"]);
    assert_eq!(world.tracks.mute(1, true), Ok(()));
    assert!(world.outputs().is_empty() && !world.sends(1));
    assert_eq!(world.tracks.mute(1, false), Ok(()));
    assert_eq!(world.outputs(), ["1 is TR_1", "TR_1 muted: false", "mute TR_1 false"]);
    assert!(world.sends(1));
    world.tracks.message(LocalTrackMessage::Muted("TR_1".to_owned(), true));
    assert_eq!(world.outputs(), ["1 is TR_1, muted"]);
    assert!(!world.sends(1));
    // Before it is published, the server learns it with the track.
    world.publish(2, "voice");
    assert_eq!(world.tracks.mute(2, true), Ok(()));
    world.answer("TR_2");
    world.tracks.section_answered(2, true);
    assert_eq!(world.outputs(), ["2 is TR_2, muted", "published TR_2", "2 done", "mute TR_2 true"]);
}

#[test]
fn a_resume_keeps_published_tracks_and_repeats_the_other_requests() {
    let mut world = World::new();
    world.published(1, "TR_1");
    world.publish(2, "later");
    world.outputs();
    let first_cid = world.cid.clone();
    world.tracks.disconnected();
    assert_eq!(world.tracks.mute(1, true), Ok(()));
    world.publish(3, "meanwhile");
    assert_eq!(world.outputs(), ["1 is TR_1, muted", "TR_1 muted: true"]);
    let state = world.tracks.state();
    let [track] = &state[..] else { panic!("{state:?}") };
    assert_eq!(track.track.as_ref().map(|info| (info.sid.as_str(), info.muted)), Some(("TR_1", true)));
    world.pass(60);
    assert!(world.outputs().is_empty(), "without a connection nothing times out");
    world.tracks.reconnected(true, world.now);
    assert_eq!(
        world.outputs(),
        ["mute TR_1 true", "close 2", r#"add "later""#, "open 2", "close 3", r#"add "meanwhile""#, "open 3"]
    );
    assert_ne!(world.cid, first_cid);
    assert_eq!(world.tracks.mute(1, false), Ok(()));
    assert!(world.sends(1));
}

#[test]
fn another_session_publishes_again() {
    let mut world = World::new();
    world.published(1, "TR_1");
    world.publish(2, "late");
    assert_eq!(world.tracks.mute(1, true), Ok(()));
    world.outputs();
    world.tracks.disconnected();
    world.tracks.interrupted();
    assert_eq!((world.tracks.unpublish(2), world.sends(1)), (Ok(()), false));
    world.outputs();
    world.tracks.reconnected(false, world.now);
    assert_eq!(world.outputs(), ["close 1", r#"add "voice" muted"#, "open 1"]);
    world.tracks.section_answered(1, true);
    world.answer("TR_7");
    assert_eq!(world.outputs(), ["1 is TR_7, muted", "republished TR_7, was TR_1"]);
    assert_eq!(world.tracks.mute(1, false), Ok(()));
    assert!(world.sends(1));
    // Not permitted any more.
    world.outputs();
    world.tracks.disconnected();
    world.tracks.interrupted();
    world.tracks.reconnected(false, world.now);
    world.outputs();
    let error = RoomError::NotAllowed { detail: String::new() };
    world.tracks.message(LocalTrackMessage::Refused(world.cid.clone(), error));
    assert_eq!(world.outputs(), ["close 1", "1 is gone", "unpublished TR_7"]);
}

#[test]
fn the_end_of_the_room_ends_the_tracks() {
    let mut world = World::new();
    world.published(1, "TR_1");
    world.publish(2, "late");
    world.outputs();
    world.tracks.room_ended();
    assert_eq!(world.outputs(), ["1 is gone", "2 failed: NotConnected", "2 is gone"]);
}

/// The key frames of two encoders need not be in one picture.
#[test]
fn a_layer_that_waits_for_its_key_frame_does_not_interrupt_the_others() {
    let mut world = World::new();
    let layers = [(320, 240), (640, 480)].map(|(width, height)| VideoLayer::new(width, height, 100_000));
    let options = VideoTrackOptions::new("camera", VideoCodec::Vp8, 640, 480).layers(layers);
    world.tracks.publish(1, options.into(), world.now);
    world.answer("TR_1");
    world.tracks.section_answered(1, true);
    let key: &[u8] = &[0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00];
    let delta: &[u8] = &[0x11, 0, 0];
    let mut picture = 0;
    let mut sends = |layer: usize, payload: &'static [u8]| {
        picture += 1;
        let frame = OutgoingVideoFrame::new(payload, Duration::from_millis(picture * 20)).layer(layer);
        world.now = world.now + Duration::from_millis(20);
        world.tracks.place(1, frame.into(), world.now).is_some()
    };
    let sent =
        [sends(0, key), sends(1, delta), sends(0, delta), sends(1, key), sends(0, delta), sends(1, delta)];
    assert_eq!(sent, [true, false, true, true, true, true]);
    assert_eq!(world.tracks.unsent(), 1);
}
