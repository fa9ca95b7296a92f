//! Video on a bad network, through a real livekit-server: packets are lost in both directions, and the
//! connections of both sides are cut in the middle. What arrives decodes to the pictures that were sent.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use agent_testkit::{LinkConditions, RealServerBuilder, real_server_with};
use agent_worker::RoomEvent;
use agent_worker::room::{
    EncodedVideoFrame, EncodedVideoStream, JoinRequest, RoomConnector, VideoCodec, VideoTrackOptions, WebRtc,
};

use super::published::show;
use crate::audio_out::{event, join};
use crate::support::ffmpeg::{Decoded, Ffmpeg};
use crate::support::network::Network;

const SOON: Duration = Duration::from_secs(60);

/// The next `count` frames.
async fn take(stream: &mut EncodedVideoStream, count: usize) -> Vec<EncodedVideoFrame> {
    let mut frames = Vec::new();
    let reading = async {
        while frames.len() < count {
            frames.push(stream.next().await.expect("the track continues"));
        }
    };
    tokio::time::timeout(SOON, reading).await.expect("frames come");
    frames
}

/// Checks that each frame is decoded to one of the pictures that were sent.
fn assert_undamaged(ffmpeg: &Ffmpeg, codec: VideoCodec, frames: &[EncodedVideoFrame], sent: &Decoded) {
    let payloads: Vec<_> = frames.iter().map(|frame| &frame.payload).collect();
    let decoded = ffmpeg.decode(codec, &payloads);
    assert_eq!((decoded.errors.as_str(), decoded.pictures.len()), ("", frames.len()));
    let sent: BTreeSet<_> = sent.pictures.iter().collect();
    let damaged = decoded.pictures.iter().filter(|picture| !sent.contains(picture)).count();
    assert_eq!(damaged, 0, "of {} pictures", frames.len());
}

async fn arrives_undamaged(codec: VideoCodec) {
    let Some(server) = real_server_with(RealServerBuilder::default().udp_proxy()).await else { return };
    let Some(ffmpeg) = Ffmpeg::find() else { return };
    let name = format!("lossy-{codec}");
    let network = Network::default();
    let proxy = server.udp_proxy().expect("a proxy");
    let bad = LinkConditions::new().loss(4.0).delay(Duration::from_millis(20)).seed(7);
    proxy.set_for_new_clients(bad);
    let room = join(&server, &network, &name).await;
    let token = server.token().identity("witness").join_room(&name).sign().expect("a token");
    let connector = WebRtc::new(network.options());
    let witness = connector.connect(JoinRequest::new(server.url(), token)).await.expect("joined");
    let (mut own_events, mut events) = (room.events(), witness.events());

    let frames = ffmpeg.encode(codec, (320, 240), 90, 30);
    let sent = ffmpeg.decode(codec, &frames);
    assert_eq!((sent.errors.as_str(), sent.pictures.len()), ("", 90));
    let options = VideoTrackOptions::new("film", codec, 320, 240);
    let track = Arc::new(room.publish_encoded_video(options).await.expect("published"));
    let sid = track.sid();
    let showing = show(track, vec![frames]);
    let is_it =
        |event: &RoomEvent| matches!(event, RoomEvent::TrackSubscribed { track, .. } if track.sid == sid);
    event(&mut events, "the subscription", is_it).await;
    let mut stream = witness.encoded_video(&sid).expect("it is published").capacity(300);
    assert_undamaged(&ffmpeg, codec, &take(&mut stream, 150).await, &sent);
    assert!(proxy.packets().lost > 20, "{:?}", proxy.packets());

    network.cut();
    let again = |event: &RoomEvent| matches!(event, RoomEvent::Reconnected(_));
    event(&mut own_events, "the publisher again", again).await;
    event(&mut events, "the witness again", again).await;
    // What was on its way may still come; then it begins with a key frame, if something is missing.
    let mut more = take(&mut stream, 90).await;
    let first = more.iter().position(|frame| frame.key_frame).expect("one in 30");
    assert_undamaged(&ffmpeg, codec, &more.split_off(first), &sent);
    showing.abort();
}

#[tokio::test]
async fn vp8_is_undamaged_on_a_bad_network() {
    arrives_undamaged(VideoCodec::Vp8).await;
}

#[tokio::test]
async fn h264_is_undamaged_on_a_bad_network() {
    arrives_undamaged(VideoCodec::H264).await;
}
