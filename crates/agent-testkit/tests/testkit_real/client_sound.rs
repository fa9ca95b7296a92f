//! What official clients play, as a room gets it.

use std::io::Write;
use std::time::Duration;

use agent_testkit::{
    ClientError, ClientEvent, ClientSound, OfficialClient, RealServer, official_host, real_server,
};
use agent_worker::room::{EncodedFrame, JoinRequest, RoomConnector, TrackSource, WebRtc};
use agent_worker::{Room, RoomEvent};

const SOON: Duration = Duration::from_secs(20);

async fn pair(server: &RealServer) -> (Room, OfficialClient) {
    let token = |identity: &str| server.token().identity(identity).join_room("sound").sign().unwrap();
    let room = WebRtc::default().connect(JoinRequest::new(server.url(), token("agent"))).await.unwrap();
    (room, OfficialClient::join(&server.url(), &token("ada")).await.unwrap())
}

/// The frames of the next second of a track.
async fn second(room: &Room, sid: &str) -> Vec<EncodedFrame> {
    let mut events = room.events();
    let subscribed = async {
        while !matches!(events.next().await, Some(RoomEvent::TrackSubscribed { track, .. }) if track.sid == sid)
        {
        }
    };
    tokio::time::timeout(SOON, subscribed).await.expect("the track is subscribed");
    let mut stream = room.encoded_audio(sid).expect("it is published").capacity(500);
    let mut frames = vec![tokio::time::timeout(SOON, stream.next()).await.expect("a frame").unwrap()];
    let second = tokio::time::sleep(Duration::from_secs(1));
    tokio::pin!(second);
    loop {
        tokio::select! {
            frame = stream.next() => frames.push(frame.expect("the track continues")),
            () = &mut second => return frames,
        }
    }
}

#[tokio::test]
async fn tones_have_the_requested_channels_source_and_pauses() {
    let Some(server) = real_server().await else { return };
    if official_host().await.is_none() {
        return;
    }
    let (room, ada) = pair(&server).await;
    let mono = ada.publish_sound(ClientSound::tone(440)).await.unwrap();
    let frames = second(&room, &mono).await;
    assert!((45..60).contains(&frames.len()), "{} frames of 20 ms", frames.len());
    let music = ClientSound::tone(440).channels(2).sample_rate(44_100).name("music");
    let music = ada.publish_sound(music.source(TrackSource::ScreenShareAudio)).await.unwrap();
    let frames = second(&room, &music).await;
    assert!((45..60).contains(&frames.len()), "{} frames of 20 ms", frames.len());
    let ada_now = room.participant("ada").unwrap();
    let published: Vec<_> =
        ada_now.tracks.values().map(|track| (track.name.as_str(), track.source)).collect();
    assert!(published.contains(&("microphone", TrackSource::Microphone)), "{published:?}");
    assert!(published.contains(&("music", TrackSource::ScreenShareAudio)), "{published:?}");
    for (dtx, expected) in [(true, 1..25), (false, 45..60)] {
        let silence = ClientSound::silence().dtx(dtx).name(format!("quiet {dtx}"));
        let quiet = ada.publish_sound(silence).await.unwrap();
        // The encoder needs some time to see that it is silent.
        second(&room, &quiet).await;
        let frames = second(&room, &quiet).await;
        assert!(expected.contains(&frames.len()), "dtx {dtx}: {} frames", frames.len());
    }
    let refused = ada.publish_sound(ClientSound::tone(440).sample_rate(44_101)).await;
    assert!(
        matches!(&refused, Err(ClientError::Failed { reason, .. }) if reason.contains("44101")),
        "{refused:?}"
    );
    room.leave().await;
}

/// A WAV file of 16 bits, mono, of this many milliseconds of a loud square wave.
fn wav(milliseconds: u32) -> Vec<u8> {
    let count = 16 * milliseconds;
    let mut file = Vec::new();
    file.extend(b"RIFF");
    file.extend((36 + 2 * count).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    // PCM, mono, 16 kHz, bytes a second, bytes a sample, bits a sample.
    file.extend([1_u16, 1].into_iter().flat_map(u16::to_le_bytes));
    file.extend([16_000_u32, 32_000].into_iter().flat_map(u32::to_le_bytes));
    file.extend([2_u16, 16].into_iter().flat_map(u16::to_le_bytes));
    file.extend(b"data");
    file.extend((2 * count).to_le_bytes());
    file.extend((0..count).flat_map(|i| if i / 20 % 2 == 0 { 9000_i16 } else { -9000 }.to_le_bytes()));
    file
}

#[tokio::test]
async fn a_file_is_played_once_and_silence_follows() {
    let Some(server) = real_server().await else { return };
    if official_host().await.is_none() {
        return;
    }
    let (room, mut ada) = pair(&server).await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&wav(1500)).unwrap();
    let sid = ada.publish_sound(ClientSound::wav(file.path()).dtx(false)).await.unwrap();
    let frames = second(&room, &sid).await;
    let loud: usize = frames.iter().map(|frame| frame.payload.len()).sum();
    ada.wait_for(|event| matches!(event, ClientEvent::SoundEnded { sid: ended } if *ended == sid), SOON)
        .await
        .unwrap();
    let frames = second(&room, &sid).await;
    let quiet: usize = frames.iter().map(|frame| frame.payload.len()).sum();
    assert!(loud > 3 * quiet, "{loud} bytes, then {quiet}");
    let missing = ada.publish_sound(ClientSound::wav("/no/such/file.wav")).await;
    assert!(
        matches!(&missing, Err(ClientError::Failed { reason, .. }) if reason.contains("file.wav")),
        "{missing:?}"
    );
    room.leave().await;
}
