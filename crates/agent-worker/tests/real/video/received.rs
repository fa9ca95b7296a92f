//! Encoded video of official clients, as it comes from a real livekit-server, judged by ffmpeg.

use std::time::{Duration, SystemTime};

use agent_testkit::{ClientVideo, OfficialClient, RealServer, real_server};
use agent_worker::room::{
    EncodedVideoFrame, EncodedVideoStream, RoomEvents, Time, VideoChoice, VideoCodec, VideoQuality,
};
use agent_worker::{Room, RoomEvent};

use crate::audio_out::{client, event, join};
use crate::support::ffmpeg::Ffmpeg;
use crate::support::long;
use crate::support::network::Network;

const LONG: Duration = Duration::from_secs(60);

/// The server, and ffmpeg; `None`: the test is skipped.
async fn tools() -> Option<(RealServer, Ffmpeg)> {
    let server = real_server().await?;
    agent_testkit::official_host().await?;
    Some((server, Ffmpeg::find()?))
}

/// The frames of a camera that this client publishes.
async fn camera(
    room: &Room,
    events: &mut RoomEvents,
    client: &OfficialClient,
    video: ClientVideo,
) -> EncodedVideoStream {
    let sid = client.publish_video(video).await.expect("a track");
    let is_it =
        |event: &RoomEvent| matches!(event, RoomEvent::TrackSubscribed { track, .. } if track.sid == sid);
    event(events, "the subscription", is_it).await;
    room.encoded_video(&sid).expect("it is published")
}

/// The next `count` frames.
async fn take(stream: &mut EncodedVideoStream, count: usize) -> Vec<EncodedVideoFrame> {
    let mut frames = Vec::new();
    let reading = async {
        while frames.len() < count {
            frames.push(stream.next().await.expect("the track continues"));
        }
    };
    tokio::time::timeout(LONG, reading).await.expect("frames come");
    frames
}

/// Checks that these are frames of one stream, in order.
fn assert_in_order(frames: &[EncodedVideoFrame], codec: VideoCodec) {
    assert!(frames.iter().all(|frame| frame.codec == codec && frame.source == frames[0].source));
    for pair in frames.windows(2) {
        assert!(pair[1].timestamp > pair[0].timestamp && pair[1].received >= pair[0].received, "{pair:?}");
    }
}

/// Reads until a key frame of this size comes.
async fn key_frame(stream: &mut EncodedVideoStream, size: (u32, u32)) -> EncodedVideoFrame {
    let found = async {
        loop {
            let frame = stream.next().await.expect("the track continues");
            if frame.width.zip(frame.height) == Some(size) {
                return frame;
            }
        }
    };
    tokio::time::timeout(LONG, found).await.expect("a key frame comes")
}

async fn three_hundred_frames(codec: VideoCodec, name: &str) {
    let Some((server, ffmpeg)) = tools().await else { return };
    let room = join(&server, &Network::default(), name).await;
    let mut events = room.events();
    let ada = client(&server, name, "ada").await;
    let mut stream = camera(&room, &mut events, &ada, ClientVideo::new(codec)).await.capacity(600);
    let frames = take(&mut stream, 300).await;
    assert_in_order(&frames, codec);
    assert!(frames[0].key_frame && !frames[0].after_loss);
    // Later ones may be smaller, as an encoder on a busy machine makes them so.
    assert_eq!((frames[0].width, frames[0].height), (Some(320), Some(240)));
    assert!(frames.iter().all(|frame| frame.key_frame == frame.width.is_some()));
    assert_eq!(stream.dropped(), 0);
    let span = (frames[299].timestamp - frames[0].timestamp).as_secs_f64();
    let took = (frames[299].received - frames[0].received).as_secs_f64();
    assert!((span / took - 1.0).abs() < 0.2, "{span} s of pictures in {took} s");

    // Encoders of clients send a key frame on request only.
    stream.request_key_frame();
    let requested = async {
        let mut all = Vec::new();
        loop {
            all.push(stream.next().await.expect("the track continues"));
            if all.last().is_some_and(|frame| frame.key_frame) {
                return all;
            }
        }
    };
    let more = tokio::time::timeout(LONG, requested).await.expect("a key frame comes");
    let all: Vec<_> = frames.iter().chain(&more).map(|frame| frame.payload.clone()).collect();
    let decoded = ffmpeg.decode(codec, &all);
    assert_eq!((decoded.errors.as_str(), decoded.pictures.len()), ("", all.len()));
    assert_eq!(decoded.pictures[0].0, 320 * 240 * 3 / 2);
    // And from that key frame on alone.
    let decoded = ffmpeg.decode(codec, &all[all.len() - 1..]);
    assert_eq!((decoded.errors.as_str(), decoded.pictures.len()), ("", 1));
    room.leave().await;
    let rest = tokio::time::timeout(LONG, async { while stream.next().await.is_some() {} });
    rest.await.expect("the stream ends with the room");
}

#[tokio::test]
async fn three_hundred_frames_of_vp8_arrive_whole_and_a_key_frame_on_request() {
    three_hundred_frames(VideoCodec::Vp8, "vp8").await;
}

#[tokio::test]
async fn three_hundred_frames_of_h264_arrive_whole_and_a_key_frame_on_request() {
    three_hundred_frames(VideoCodec::H264, "h264").await;
}

#[tokio::test]
async fn a_camera_that_is_published_again_is_seen_again_and_never_as_another_one() {
    let Some((server, ffmpeg)) = tools().await else { return };
    let room = join(&server, &Network::default(), "again").await;
    let mut events = room.events();
    let ada = client(&server, "again", "ada").await;
    let bob = client(&server, "again", "bob").await;
    let of_bob = ClientVideo::new(VideoCodec::Vp8).size(480, 360).fps(15);
    let mut other = camera(&room, &mut events, &bob, of_bob).await.capacity(600);
    key_frame(&mut other, (480, 360)).await;
    for _ in 0..long::times("publications of a camera", 3, 20) {
        let mut stream =
            camera(&room, &mut events, &ada, ClientVideo::new(VideoCodec::Vp8)).await.capacity(600);
        let first = key_frame(&mut stream, (320, 240)).await;
        let frames = [vec![first], take(&mut stream, 30).await].concat();
        assert_in_order(&frames, VideoCodec::Vp8);
        let payloads: Vec<_> = frames.iter().map(|frame| &frame.payload).collect();
        let decoded = ffmpeg.decode(VideoCodec::Vp8, &payloads);
        assert_eq!((decoded.errors.as_str(), decoded.pictures.len()), ("", 31));
        ada.unpublish(stream.track_sid()).await.expect("unpublished");
        let rest = async { while stream.next().await.is_some() {} };
        tokio::time::timeout(LONG, rest).await.expect("the stream ends");
    }
    other.request_key_frame();
    let mut key = key_frame(&mut other, (480, 360)).await;
    while tokio::time::timeout(Duration::ZERO, other.next()).await.is_ok_and(|frame| {
        frame.is_some_and(|frame| {
            assert!(frame.width.is_none_or(|width| width == 480), "{frame:?}");
            key = frame;
            true
        })
    }) {}
    assert_eq!(key.codec, VideoCodec::Vp8);
}

#[tokio::test]
async fn a_layer_of_a_client_is_chosen_and_frames_have_their_capture_times() {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let room = join(&server, &Network::default(), "simulcast").await;
    let mut events = room.events();
    let ada = client(&server, "simulcast", "ada").await;
    let video = ClientVideo::new(VideoCodec::Vp8).size(960, 540).fps(15).simulcast(true);
    let (camera, microphone) = ada.publish_flashes(video).await.expect("two tracks");
    for _ in 0..2 {
        let is_one = |event: &RoomEvent| matches!(event, RoomEvent::TrackSubscribed { .. });
        event(&mut events, "a subscription", is_one).await;
    }
    let mut pictures = room.encoded_video(&camera).expect("it is published").capacity(600);
    let mut sound = room.encoded_audio(&microphone).expect("it is published").capacity(3_000);
    for (choice, size) in [
        (VideoChoice::default(), (960, 540)),
        (VideoChoice::quality(VideoQuality::Low), (320, 180)),
        (VideoChoice::default(), (960, 540)),
    ] {
        room.set_video_choice(&camera, choice).await.expect("chosen");
        let first = key_frame(&mut pictures, size).await;
        assert!(first.key_frame && first.codec == VideoCodec::Vp8);
    }

    // The first report of the client comes after some seconds. Both tracks have one clock, that of the
    // system.
    let captured = async {
        let picture = async {
            loop {
                let frame = pictures.next().await.expect("the track continues");
                if let Some(captured) = frame.captured {
                    return (captured, frame.received);
                }
            }
        };
        let packet = async {
            loop {
                let frame = sound.next().await.expect("the track continues");
                if let Some(captured) = frame.captured {
                    return (captured, frame.received);
                }
            }
        };
        tokio::join!(picture, packet)
    };
    let times = tokio::time::timeout(LONG, captured).await.expect("captured times");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    // How far the clock of the system is ahead of that of the room.
    let ahead = |(captured, received): (Duration, Time)| {
        captured.as_secs_f64() - (received - Time::ZERO).as_secs_f64()
    };
    let (picture, packet) = (ahead(times.0), ahead(times.1));
    assert!((picture - packet).abs() < 0.15, "{times:?}");
    for (captured, _) in [times.0, times.1] {
        assert!(captured.abs_diff(now) < Duration::from_secs(20), "{times:?}, {now:?}");
    }
}
