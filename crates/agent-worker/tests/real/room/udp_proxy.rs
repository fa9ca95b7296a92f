//! A network that loses and delays packets, between a real livekit-server and its clients.

use std::collections::BTreeSet;
use std::time::Duration;

use agent_testkit::{ClientSound, LinkConditions, OfficialClient, RealServer, real_server_with};
use agent_worker::room::{EncodedFrame, JoinRequest, RoomConnector, WebRtc};
use agent_worker::{Room, RoomEvent};

const SOON: Duration = Duration::from_secs(60);
const MS: Duration = Duration::from_millis(1);

async fn join(server: &RealServer, identity: &str) -> Room {
    let token = server.token().identity(identity).join_room("lossy").sign().expect("a token");
    let (webrtc, request) = (WebRtc::default(), JoinRequest::new(server.url(), token));
    tokio::time::timeout(SOON, webrtc.connect(request)).await.expect("in time").expect("the room is joined")
}

/// The next frames of the track, once it is subscribed.
async fn frames(room: &Room, sid: &str, count: usize) -> Vec<EncodedFrame> {
    let reading = async {
        let mut events = room.events();
        while !matches!(events.next().await, Some(RoomEvent::TrackSubscribed { track, .. }) if track.sid == sid)
        {
        }
        let mut stream = room.encoded_audio(sid).expect("it is published").capacity(count);
        let mut frames = Vec::new();
        while frames.len() < count {
            frames.push(stream.next().await.expect("the track continues"));
        }
        assert_eq!(stream.dropped(), 0);
        frames
    };
    tokio::time::timeout(SOON, reading).await.expect("frames come")
}

/// The part of the frames that are missing, and how much later than the earliest each came, compared to its
/// timestamp.
fn quality(frames: &[EncodedFrame]) -> (f64, Vec<Duration>) {
    let numbers: BTreeSet<u64> = frames.iter().map(|frame| frame.sequence).collect();
    let (first, last) = (numbers.first().expect("frames"), numbers.last().expect("frames"));
    let lost = 1.0 - numbers.len() as f64 / (last - first + 1) as f64;
    let start = frames[0].timestamp;
    let times = frames.iter().map(|frame| {
        let played = f64::from(frame.timestamp.wrapping_sub(start) as i32) / 48_000.0;
        (frame.received - frames[0].received).as_secs_f64() - played
    });
    let times: Vec<f64> = times.collect();
    let earliest = times.iter().copied().fold(f64::INFINITY, f64::min);
    let mut late: Vec<Duration> = times.iter().map(|time| Duration::from_secs_f64(time - earliest)).collect();
    late.sort();
    (lost, late)
}

/// The official client's packets pass undisturbed, and those of our room are lost and late.
#[tokio::test]
async fn a_tone_has_the_configured_gaps_and_jitter() {
    let Some(server) = real_server_with(RealServer::builder().udp_proxy()).await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let proxy = server.udp_proxy().expect("a proxy");
    let token = server.token().identity("ada").join_room("lossy").sign().expect("a token");
    let ada = OfficialClient::join(&server.url(), &token).await.expect("the client joins");
    let tone = ClientSound::tone(440).dtx(false).red(false);
    let sid = ada.publish_sound(tone).await.expect("a track");
    let perfect = join(&server, "perfect").await;
    let (lost, late) = quality(&frames(&perfect, &sid, 200).await);
    assert!(lost == 0.0, "{lost}");
    // Half of them: the others may wait for a busy machine.
    assert!(late[100] < 10 * MS, "{late:?}");
    perfect.leave().await;

    let bad = LinkConditions::new().loss(10.0).delay(20 * MS).jitter(30 * MS).seed(1);
    proxy.set_for_new_clients(bad);
    assert_eq!(proxy.packets().lost, 0);
    let room = join(&server, "lossy").await;
    let (lost, late) = quality(&frames(&room, &sid, 500).await);
    assert!((0.05..0.15).contains(&lost), "{lost}");
    // Equally distributed over 30 ms, and later on a busy machine.
    assert!(late[50] < 10 * MS && late[450] > 20 * MS, "{late:?}");
    assert!(proxy.packets().lost > 20, "{:?}", proxy.packets());
    // For all that are there already.
    proxy.set(LinkConditions::new());
    let stream = room.encoded_audio(&sid).expect("it is published");
    let mut stream = stream.capacity(500);
    let mut frames = Vec::new();
    // Frames of before may be under way.
    for n in 0..150 {
        let frame = tokio::time::timeout(SOON, stream.next()).await.expect("a frame comes");
        if n >= 50 {
            frames.push(frame.expect("the track continues"));
        }
    }
    assert!(quality(&frames).0 == 0.0);
    room.leave().await;
}
