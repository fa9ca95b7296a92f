//! Video tracks of an agent on a real livekit-server, as official clients and another agent see them. The
//! frames are those of ffmpeg.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use agent_testkit::{ClientEvent, ClientVideo, OfficialClient, OfficialPictures, real_server};
use agent_worker::room::{
    EncodedVideoFrame, EncodedVideoTrack, JoinRequest, OutgoingVideoFrame, RoomConnector, RoomError,
    TrackSource, VideoChoice, VideoCodec, VideoLayer, VideoQuality, VideoTrackOptions, WebRtc,
};
use agent_worker::{Room, RoomEvent};

use crate::audio_out::{client, event, join};
use crate::support::ffmpeg::Ffmpeg;
use crate::support::long;
use crate::support::network::Network;

const SOON: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_nanos(33_333_333);

/// Shows these frames, of each layer at the same time, 30 a second and again from the beginning, until the
/// track ends. It counts the key frames that were requested.
pub(crate) fn show(track: Arc<EncodedVideoTrack>, layers: Vec<Vec<Vec<u8>>>) -> JoinHandle<(RoomError, u32)> {
    tokio::spawn(async move {
        let mut pace = tokio::time::interval(STEP);
        let mut requested = 0;
        for number in 0_u32.. {
            pace.tick().await;
            requested += u32::from(track.take_key_frame_request());
            for (layer, frames) in layers.iter().enumerate() {
                let frame = frames[number as usize % frames.len()].clone();
                if let Err(error) = track.send(OutgoingVideoFrame::new(frame, STEP * number).layer(layer)) {
                    return (error, requested);
                }
            }
        }
        unreachable!("it has no end")
    })
}

/// Waits until the client is subscribed to this track, and watches it.
pub(crate) async fn watch(client: &mut OfficialClient, sid: &str) {
    let subscribed =
        |event: &ClientEvent| matches!(event, ClientEvent::TrackSubscribed { track, .. } if track.sid == sid);
    client.wait_for(subscribed, SOON).await.expect("the client is subscribed");
    client.watch(sid).await.expect("it watches");
}

/// Waits until the client has seen this many pictures.
pub(crate) async fn sees(client: &mut OfficialClient, sid: &str, count: u64) -> OfficialPictures {
    let seen = |event: &ClientEvent| matches!(event, ClientEvent::Seen(pictures) if pictures.sid == sid && pictures.frames >= count);
    match client.wait_for(seen, SOON).await.expect("it sees pictures") {
        ClientEvent::Seen(pictures) => pictures,
        other => panic!("{other:?}"),
    }
}

async fn three_hundred_pictures(codec: VideoCodec, name: &str) {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let Some(ffmpeg) = Ffmpeg::find() else { return };
    let frames = ffmpeg.encode(codec, (320, 240), 300, 30);
    assert_eq!(frames.len(), 300);
    let room = join(&server, &Network::default(), name).await;
    let mut events = room.events();
    let mut ada = client(&server, name, "ada").await;
    let options = VideoTrackOptions::new("film", codec, 320, 240);
    let track = Arc::new(room.publish_encoded_video(options).await.expect("published"));
    let sid = track.sid();
    let showing = show(track.clone(), vec![frames]);
    watch(&mut ada, &sid).await;
    let subscribed =
        |event: &RoomEvent| matches!(event, RoomEvent::LocalTrackSubscribed { track } if track.sid == sid);
    event(&mut events, "the subscription", subscribed).await;
    let seen = sees(&mut ada, &sid, 300).await;
    assert_eq!((seen.width, seen.height), (320, 240));

    // Muted, nothing comes; then it goes on.
    track.mute().await.expect("muted");
    let muted =
        |event: &ClientEvent| matches!(event, ClientEvent::TrackMuted { track, .. } if track.sid == sid);
    ada.wait_for(muted, SOON).await.expect("it is muted");
    track.unmute().await.expect("no longer muted");
    let unmuted =
        |event: &ClientEvent| matches!(event, ClientEvent::TrackUnmuted { track, .. } if track.sid == sid);
    ada.wait_for(unmuted, SOON).await.expect("it is not muted");
    let before = sees(&mut ada, &sid, 300).await.frames;
    sees(&mut ada, &sid, before + 60).await;
    assert_eq!(track.dropped(), 0);
    room.leave().await;
    let (error, requested) = showing.await.expect("no panic");
    assert_eq!(error, RoomError::NotConnected);
    assert!(requested > 0, "who begins to watch needs a key frame");
}

#[tokio::test]
async fn three_hundred_frames_of_vp8_are_seen_by_a_client() {
    three_hundred_pictures(VideoCodec::Vp8, "out-vp8").await;
}

#[tokio::test]
async fn three_hundred_frames_of_h264_are_seen_by_a_client() {
    three_hundred_pictures(VideoCodec::H264, "out-h264").await;
}

#[tokio::test]
async fn tracks_are_not_confused_and_one_that_is_published_again_is_seen_again() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let Some(ffmpeg) = Ffmpeg::find() else { return };
    let frames = |size| vec![ffmpeg.encode(VideoCodec::Vp8, size, 60, 15)];
    let (small, large) = (frames((160, 120)), frames((320, 240)));
    let room = join(&server, &Network::default(), "out-two").await;
    let mut eve = client(&server, "out-two", "eve").await;
    let publish = |name, width, height| {
        let options = VideoTrackOptions::new(name, VideoCodec::Vp8, width, height);
        room.publish_encoded_video(options.source(TrackSource::Unknown))
    };
    // At once, so that the server has both requests before an offer.
    let (first, second) = tokio::join!(publish("small", 160, 120), publish("large", 320, 240));
    let (first, second) = (Arc::new(first.expect("published")), Arc::new(second.expect("published")));
    let (first_sid, second_sid) = (first.sid(), second.sid());
    let first = show(first, small.clone());
    let second = show(second, large);
    watch(&mut eve, &first_sid).await;
    watch(&mut eve, &second_sid).await;
    assert_eq!(sees(&mut eve, &first_sid, 20).await.width, 160);
    assert_eq!(sees(&mut eve, &second_sid, 20).await.width, 320);
    first.abort();
    for _ in 0..long::times("publications of a video track", 3, 20) {
        let track = Arc::new(publish("again", 160, 120).await.expect("published"));
        let sid = track.sid();
        let showing = show(track, small.clone());
        watch(&mut eve, &sid).await;
        assert_eq!(sees(&mut eve, &sid, 20).await.width, 160);
        showing.abort();
        let unpublished = |event: &ClientEvent| matches!(event, ClientEvent::TrackUnpublished { track, .. } if track.sid == sid);
        eve.wait_for(unpublished, SOON).await.expect("it ends");
    }
    let before = sees(&mut eve, &second_sid, 20).await.frames;
    assert_eq!(sees(&mut eve, &second_sid, before + 30).await.width, 320);
    second.abort();
}

/// What another agent receives decodes to the pictures that were sent.
async fn passes_through(codec: VideoCodec) {
    let Some(server) = real_server().await else { return };
    let Some(ffmpeg) = Ffmpeg::find() else { return };
    let name = format!("codec-{codec}");
    let room = join(&server, &Network::default(), &name).await;
    let token = server.token().identity("witness").join_room(&name).sign().expect("a token");
    let witness = WebRtc::default().connect(JoinRequest::new(server.url(), token)).await.expect("joined");
    let mut events = witness.events();
    let frames = ffmpeg.encode(codec, (320, 240), 90, 30);
    let sent = ffmpeg.decode(codec, &frames);
    assert_eq!((sent.errors.as_str(), sent.pictures.len(), frames.len()), ("", 90, 90));
    let options = VideoTrackOptions::new("film", codec, 320, 240);
    let track = Arc::new(room.publish_encoded_video(options).await.expect("published"));
    let sid = track.sid();
    let showing = show(track, vec![frames]);
    let is_it =
        |event: &RoomEvent| matches!(event, RoomEvent::TrackSubscribed { track, .. } if track.sid == sid);
    event(&mut events, "the subscription", is_it).await;
    let mut stream = witness.encoded_video(&sid).expect("it is published").capacity(300);
    let reading = async {
        let mut received: Vec<EncodedVideoFrame> = Vec::new();
        while received.len() < 120 {
            received.push(stream.next().await.expect("the track continues"));
        }
        received
    };
    let received = tokio::time::timeout(SOON, reading).await.expect("frames come");
    assert!(received.iter().all(|frame| frame.codec == codec && !frame.after_loss));
    assert_eq!((received[0].width, received[0].height), (Some(320), Some(240)));
    for pair in received.windows(2) {
        let step = (pair[1].timestamp - pair[0].timestamp).as_secs_f64();
        assert!((step - STEP.as_secs_f64()).abs() < 0.001, "{step}");
    }
    let payloads: Vec<_> = received.iter().map(|frame| &frame.payload).collect();
    let decoded = ffmpeg.decode(codec, &payloads);
    assert_eq!((decoded.errors.as_str(), decoded.pictures.len()), ("", 120));
    // Which picture it began with, and from there on each in turn.
    let first =
        sent.pictures.iter().position(|picture| *picture == decoded.pictures[0]).expect("one of them");
    for (n, picture) in decoded.pictures.iter().enumerate() {
        assert_eq!(*picture, sent.pictures[(first + n) % 90], "picture {n}");
    }
    showing.abort();
}

#[tokio::test]
async fn vp8_arrives_as_it_was_sent() {
    passes_through(VideoCodec::Vp8).await;
}

#[tokio::test]
async fn vp9_arrives_as_it_was_sent() {
    passes_through(VideoCodec::Vp9).await;
}

#[tokio::test]
async fn h264_arrives_as_it_was_sent() {
    passes_through(VideoCodec::H264).await;
}

#[tokio::test]
async fn h265_arrives_as_it_was_sent() {
    passes_through(VideoCodec::H265).await;
}

#[tokio::test]
async fn av1_arrives_as_it_was_sent() {
    passes_through(VideoCodec::Av1).await;
}

/// The frames of a client, passed on as they are, with the requests for key frames.
async fn pass_on(room: &Room, from: &str, options: VideoTrackOptions) -> (String, JoinHandle<()>) {
    let mut frames = room.encoded_video(from).expect("it is published");
    let track = room.publish_encoded_video(options).await.expect("published");
    let sid = track.sid();
    let passing = tokio::spawn(async move {
        while let Some(frame) = frames.next().await {
            if track.take_key_frame_request() {
                frames.request_key_frame();
            }
            if track.send(frame).is_err() {
                return;
            }
        }
    });
    (sid, passing)
}

#[tokio::test]
async fn a_camera_that_is_passed_on_is_seen() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let room = join(&server, &Network::default(), "out-pass").await;
    let mut events = room.events();
    let ada = client(&server, "out-pass", "ada").await;
    let mut bob = client(&server, "out-pass", "bob").await;
    let camera = ada.publish_video(ClientVideo::new(VideoCodec::Vp8)).await.expect("a track");
    let is_it =
        |event: &RoomEvent| matches!(event, RoomEvent::TrackSubscribed { track, .. } if track.sid == camera);
    event(&mut events, "the subscription", is_it).await;
    let options = VideoTrackOptions::new("passed", VideoCodec::Vp8, 320, 240);
    let (sid, passing) = pass_on(&room, &camera, options).await;
    watch(&mut bob, &sid).await;
    let seen = sees(&mut bob, &sid, 60).await;
    assert_eq!((seen.width, seen.height), (320, 240));
    room.leave().await;
    passing.await.expect("no panic");
}

/// Reads until the track has this width.
async fn width(stream: &mut agent_worker::room::EncodedVideoStream, wanted: u32) {
    let found = async { while stream.next().await.expect("the track continues").width != Some(wanted) {} };
    tokio::time::timeout(SOON, found).await.unwrap_or_else(|_| panic!("no layer of {wanted} pixels"));
}

#[tokio::test]
async fn a_layer_is_chosen_of_those_that_an_agent_sends() {
    let Some(server) = real_server().await else { return };
    let Some(ffmpeg) = Ffmpeg::find() else { return };
    let sizes = [(160, 90), (320, 180), (640, 360)];
    let layers = sizes.map(|size| ffmpeg.encode(VideoCodec::Vp8, size, 60, 15)).to_vec();
    let room = join(&server, &Network::default(), "layers").await;
    let token = server.token().identity("witness").join_room("layers").sign().expect("a token");
    let witness = WebRtc::default().connect(JoinRequest::new(server.url(), token)).await.expect("joined");
    let mut events = witness.events();
    let options = VideoTrackOptions::new("layers", VideoCodec::Vp8, 640, 360)
        .layers(sizes.map(|(width, height)| VideoLayer::new(width, height, 500_000)));
    let track = Arc::new(room.publish_encoded_video(options).await.expect("published"));
    let sid = track.sid();
    let showing = show(track, layers);
    let is_it =
        |event: &RoomEvent| matches!(event, RoomEvent::TrackSubscribed { track, .. } if track.sid == sid);
    event(&mut events, "the subscription", is_it).await;
    let mut stream = witness.encoded_video(&sid).expect("it is published").capacity(300);
    width(&mut stream, 640).await;
    for (choice, expected) in [
        (VideoChoice::quality(VideoQuality::Low), 160),
        (VideoChoice::size(320, 180), 320),
        (VideoChoice::default(), 640),
    ] {
        witness.set_video_choice(&sid, choice).await.expect("chosen");
        width(&mut stream, expected).await;
    }
    // Paused and continued, it has the layer that was chosen.
    witness.set_video_choice(&sid, VideoChoice::quality(VideoQuality::Low)).await.expect("chosen");
    width(&mut stream, 160).await;
    witness.set_video_choice(&sid, VideoChoice::default()).await.expect("chosen");
    width(&mut stream, 640).await;
    witness.set_track_enabled(&sid, false).await.expect("paused");
    witness.set_track_enabled(&sid, true).await.expect("continued");
    for _ in 0..3 {
        width(&mut stream, 640).await;
    }
    showing.abort();
}
