//! Video with a browser on the other side, through a real livekit-server: what it encodes, and what it
//! decodes, in the clear and end-to-end encrypted.

use std::sync::Arc;
use std::time::Duration;

use agent_testkit::{ClientKind, ClientVideo, OfficialClient, RealServer, official_host_of, real_server};
use agent_worker::room::{
    E2eeKey, E2eeOptions, JoinRequest, RoomConnector, VideoCodec, VideoTrackOptions, WebRtc,
};
use agent_worker::{Room, RoomEvent};

use super::published::{sees, show, watch};
use crate::audio_out::event;
use crate::support::ffmpeg::Ffmpeg;

const SOON: Duration = Duration::from_secs(30);
const PASSPHRASE: &str = "a passphrase of both";
/// Of orange: Y, Cb, Cr.
const ORANGE: [f64; 3] = [165.0, 42.0, 179.0];

/// What is compared, and how far it may be off.
fn is_orange(color: [f64; 3]) -> bool {
    color.iter().zip(ORANGE).all(|(found, expected)| (found - expected).abs() < 8.0)
}

async fn agent(server: &RealServer, name: &str, encrypted: bool) -> Room {
    let token = server.token().identity("agent").join_room(name).sign().expect("a token");
    let mut request = JoinRequest::new(server.url(), token);
    request.e2ee = encrypted.then(|| E2eeOptions::shared(E2eeKey::new(PASSPHRASE)));
    WebRtc::default().connect(request).await.expect("the room is joined")
}

async fn browser(server: &RealServer, name: &str, encrypted: bool) -> OfficialClient {
    let (token, url) =
        (server.token().identity("ada").join_room(name).sign().expect("a token"), server.url());
    let joined = match encrypted {
        true => OfficialClient::join_encrypted(ClientKind::Browser, &url, &token, PASSPHRASE).await,
        false => OfficialClient::join_with(ClientKind::Browser, &url, &token).await,
    };
    joined.expect("the browser joins")
}

async fn both_ways(name: &str, encrypted: bool) {
    let Some(server) = real_server().await else { return };
    if official_host_of(ClientKind::Browser).await.is_none() {
        return;
    }
    let Some(ffmpeg) = Ffmpeg::find() else { return };
    let room = agent(&server, name, encrypted).await;
    let mut events = room.events();
    let mut ada = browser(&server, name, encrypted).await;

    let sid = ada.publish_video(ClientVideo::new(VideoCodec::Vp8)).await.expect("a track");
    let is_it = |event: &RoomEvent| matches!(event, RoomEvent::TrackSubscribed { track, .. } if track.sid == sid && track.encrypted == encrypted);
    event(&mut events, "the subscription", is_it).await;
    let mut camera = room.encoded_video(&sid).expect("it is published").capacity(300);
    let reading = async {
        let mut frames = Vec::new();
        while frames.len() < 60 {
            frames.push(camera.next().await.expect("the track continues"));
        }
        frames
    };
    let frames = tokio::time::timeout(SOON, reading).await.expect("frames come");
    assert!(frames[0].key_frame && frames.iter().all(|frame| !frame.after_loss));
    let payloads: Vec<_> = frames.iter().map(|frame| &frame.payload).collect();
    let decoded = ffmpeg.decode(VideoCodec::Vp8, &payloads);
    assert_eq!((decoded.errors.as_str(), decoded.pictures.len()), ("", 60));

    let pictures = ffmpeg.encode_source(VideoCodec::Vp8, "color=c=0xffa500:size=320x240:rate=30", 30, 15);
    let options = VideoTrackOptions::new("film", VideoCodec::Vp8, 320, 240);
    let track = Arc::new(room.publish_encoded_video(options).await.expect("published"));
    let sid = track.sid();
    let showing = show(track, vec![pictures]);
    watch(&mut ada, &sid).await;
    let seen = sees(&mut ada, &sid, 30).await;
    assert_eq!((seen.width, seen.height), (320, 240));
    assert!(is_orange([seen.luma, seen.blue, seen.red]), "{seen:?}");
    showing.abort();
    room.leave().await;
    ada.leave().await.expect("left");
}

#[tokio::test]
async fn a_browser_shows_and_sees() {
    both_ways("browser", false).await;
}

#[tokio::test]
async fn a_browser_shows_and_sees_what_is_encrypted() {
    both_ways("browser-sealed", true).await;
}
