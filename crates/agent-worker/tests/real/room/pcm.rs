//! PCM through a real livekit-server, both ways: what an official client plays reaches the agent, and comes
//! back.

use std::time::Duration;

use agent_testkit::real_server;
use agent_worker::Room;
use agent_worker::media::{AudioFormat, AudioStream, AudioTrack, Level};
use agent_worker::room::AudioTrackOptions;

use super::audio_out::{TONE_DBFS, client, event, hears, is_tone, join, listen, second};
use crate::support::long;
use crate::support::network::Network;

/// Repeats the tone of a client, and what it reads of it.
struct Echo {
    audio: AudioStream,
    track: AudioTrack,
    /// Of the last whole seconds.
    levels: Vec<Level>,
}

impl Echo {
    async fn begin(room: &Room, sid: &str, format: AudioFormat) -> Self {
        let audio = room.audio(sid, format).expect("the track can be read");
        let options = AudioTrackOptions::new("echo").stereo(format.channels() == 2);
        let track = room.publish_audio(options).await.expect("published");
        Self { audio, track, levels: Vec::new() }
    }

    /// Runs until it is dropped.
    async fn run(&mut self) {
        let mut second = Vec::new();
        while let Some(received) = self.audio.next().await {
            second.extend_from_slice(received.audio.samples());
            if second.len() >= self.audio.format().samples_in(Duration::from_secs(1)) {
                self.levels.push(Level::of(&second));
                second.clear();
            }
            self.track.push(&received.audio).await.expect("it is published");
        }
    }
}

async fn a_tone_comes_back(format: AudioFormat, name: &str) {
    let Some(server) = real_server().await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let room = join(&server, &Network::default(), name).await;
    let mut events = room.events();
    let mut ada = client(&server, name, "ada").await;
    let sid = ada.publish_audio("microphone", Some(440)).await.expect("a track");
    event(
        &mut events,
        "the subscription",
        |event| matches!(event, agent_worker::RoomEvent::TrackSubscribed { track, .. } if track.sid == sid),
    )
    .await;
    let mut echo = Echo::begin(&room, &sid, format).await;
    let echo_sid = echo.track.sid();
    let seconds = long::times("seconds of a tone", 10, 60);
    let heard = async {
        listen(&mut ada, &echo_sid).await;
        // The first seconds have its beginning.
        hears(&mut ada, &echo_sid, 440.0).await;
        for _ in 0..seconds {
            let sound = second(&mut ada, &echo_sid).await;
            assert!(is_tone(&sound, 440.0), "{sound:?}");
        }
    };
    tokio::select! {
        () = heard => {}
        () = echo.run() => panic!("the track ended"),
    }
    let stats = echo.audio.stats();
    assert_eq!(stats.invalid, 0, "{stats:?}");
    let [_, levels @ ..] = &echo.levels[..] else { panic!("{:?}", echo.levels) };
    assert!(levels.len() + 2 >= seconds, "{} of {seconds} seconds", levels.len());
    for level in levels {
        assert!((f64::from(level.rms) - TONE_DBFS).abs() < 1.0, "{level:?}");
    }
}

#[tokio::test]
async fn a_tone_comes_back_at_48_khz_stereo() {
    a_tone_comes_back(AudioFormat::STEREO_48K, "stereo").await;
}

#[tokio::test]
async fn a_tone_comes_back_at_16_khz_mono() {
    a_tone_comes_back(AudioFormat::MONO_16K, "mono").await;
}
