//! End-to-end encrypted video with an official client, through a real livekit-server: what it decodes of
//! ours, and what ffmpeg decodes of its.

use std::sync::Arc;
use std::time::Duration;

use agent_testkit::{ClientKind, ClientVideo, RealServer, real_server};
use agent_worker::RoomEvent;
use agent_worker::room::{
    E2eeError, E2eeKey, E2eeOptions, E2eeState, EncodedVideoFrame, EncodedVideoStream, JoinRequest,
    RoomConnector, VideoCodec, VideoTrackOptions, WebRtc,
};

use crate::audio_out::event;
use crate::e2ee::{PASSPHRASE, agent, client, state};
use crate::support::ffmpeg::Ffmpeg;
use crate::video::published::{sees, show, watch};

const SOON: Duration = Duration::from_secs(30);

/// The server, and ffmpeg; `None`: the test is skipped.
async fn tools() -> Option<(RealServer, Ffmpeg)> {
    let server = real_server().await?;
    agent_testkit::official_host().await?;
    Some((server, Ffmpeg::find()?))
}

/// The next 30 frames.
async fn take(stream: &mut EncodedVideoStream) -> Vec<EncodedVideoFrame> {
    let mut frames = Vec::new();
    let reading = async {
        while frames.len() < 30 {
            frames.push(stream.next().await.expect("the track continues"));
        }
    };
    tokio::time::timeout(SOON, reading).await.expect("frames come");
    frames
}

/// Checks that ffmpeg decodes these, the first of which has this size.
fn assert_decodable(ffmpeg: &Ffmpeg, codec: VideoCodec, frames: &[EncodedVideoFrame]) {
    assert!(frames[0].key_frame && !frames[0].after_loss, "{:?}", frames[0]);
    assert_eq!((frames[0].width, frames[0].height), (Some(320), Some(240)));
    let payloads: Vec<_> = frames.iter().map(|frame| &frame.payload).collect();
    let decoded = ffmpeg.decode(codec, &payloads);
    assert_eq!((decoded.errors.as_str(), decoded.pictures.len()), ("", frames.len()));
    assert_eq!(decoded.pictures[0].0, 320 * 240 * 3 / 2);
}

async fn is_read(codec: VideoCodec, name: &str) {
    let Some((server, ffmpeg)) = tools().await else { return };
    let room = agent(&server, name, PASSPHRASE).await;
    let mut events = room.events();
    let ada = client(&server, ClientKind::Python, name).await;
    let sid = ada.publish_video(ClientVideo::new(codec)).await.expect("a track");
    let is_it = |event: &RoomEvent| matches!(event, RoomEvent::TrackSubscribed { track, .. } if track.sid == sid && track.encrypted);
    event(&mut events, "the subscription", is_it).await;
    let mut video = room.encoded_video(&sid).expect("it is published");
    state(&mut events, |state| *state == E2eeState::Ok).await;
    assert_decodable(&ffmpeg, codec, &take(&mut video).await);

    // A participant without the key gets no frames, and with the key they begin with a key frame.
    let token = server.token().identity("eve").join_room(name).sign().expect("a token");
    let mut request = JoinRequest::new(server.url(), token);
    request.e2ee = Some(E2eeOptions::per_participant());
    let eve = WebRtc::default().connect(request).await.expect("joined");
    let mut events = eve.events();
    event(&mut events, "the subscription", is_it).await;
    let mut video = eve.encoded_video(&sid).expect("it is published");
    let missing = E2eeState::Failed(E2eeError::MissingKey { index: 0 });
    state(&mut events, |state| *state == missing).await;
    let frame = tokio::time::timeout(Duration::from_secs(1), video.next()).await;
    assert!(frame.is_err(), "{frame:?}");
    eve.set_e2ee_key_of("ada", 0, E2eeKey::new(PASSPHRASE)).await.expect("set");
    assert_decodable(&ffmpeg, codec, &take(&mut video).await);
}

#[tokio::test]
async fn vp8_of_a_client_is_read() {
    is_read(VideoCodec::Vp8, "sealed-vp8").await;
}

#[tokio::test]
async fn h264_of_a_client_is_read() {
    is_read(VideoCodec::H264, "sealed-h264").await;
}

async fn is_seen(codec: VideoCodec, name: &str) {
    let Some((server, ffmpeg)) = tools().await else { return };
    // Orange: Y 165, Cb 42, Cr 179.
    let frames = ffmpeg.encode_source(codec, "color=c=0xffa500:size=320x240:rate=30", 30, 15);
    let room = agent(&server, name, PASSPHRASE).await;
    let mut ada = client(&server, ClientKind::Python, name).await;
    let options = VideoTrackOptions::new("film", codec, 320, 240);
    let track = Arc::new(room.publish_encoded_video(options).await.expect("published"));
    let sid = track.sid();
    let showing = show(track, vec![frames]);
    watch(&mut ada, &sid).await;
    let seen = sees(&mut ada, &sid, 20).await;
    assert_eq!((seen.width, seen.height), (320, 240));
    for (found, expected) in [(seen.luma, 165.0), (seen.blue, 42.0), (seen.red, 179.0)] {
        assert!((found - expected).abs() < 6.0, "{seen:?}");
    }
    showing.abort();
}

#[tokio::test]
async fn vp8_of_ours_is_seen_by_a_client() {
    is_seen(VideoCodec::Vp8, "shown-vp8").await;
}

#[tokio::test]
async fn h264_of_ours_is_seen_by_a_client() {
    is_seen(VideoCodec::H264, "shown-h264").await;
}
