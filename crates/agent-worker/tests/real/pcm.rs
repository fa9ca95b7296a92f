//! PCM through a real livekit-server, both ways: what an official client plays reaches the agent, and comes
//! back.

use std::time::Duration;

use agent_testkit::{
    ClientSound, LinkConditions, MeasuredSound, OfficialClient, RealServer, real_server, real_server_with,
};
use agent_worker::Room;
use agent_worker::media::{AudioFormat, AudioReceiverOptions, AudioStream, AudioTrack, JitterOptions};
use agent_worker::room::{AudioTrackOptions, JoinRequest, RoomConnector, WebRtc};

use crate::audio_out::{client, event, hears, join, listen, played, second};
use crate::support::long;
use crate::support::network::Network;

const MIN_DELAY: Duration = Duration::from_millis(30);

/// An agent that sends the tone of a client back, and the sound that it reads.
struct Echo {
    audio: AudioStream,
    track: AudioTrack,
    /// The whole seconds so far.
    heard: Vec<MeasuredSound>,
}

impl Echo {
    async fn begin(room: &Room, sid: &str, format: AudioFormat) -> Self {
        // How long a busy machine may delay a packet: a later one is concealed, which changes the sound.
        let jitter = JitterOptions::default().min_delay(MIN_DELAY);
        let options = AudioReceiverOptions::from(format).jitter(jitter);
        let audio = room.audio(sid, options).expect("the track can be read");
        let options = AudioTrackOptions::new("echo").stereo(format.channels() == 2);
        let track = room.publish_audio(options).await.expect("published");
        Self { audio, track, heard: Vec::new() }
    }

    /// Runs until it is dropped.
    async fn run(&mut self) {
        let mut second = Vec::new();
        while let Some(received) = self.audio.next().await {
            second.extend_from_slice(received.audio.samples());
            let format = self.audio.format();
            if second.len() >= format.samples_in(Duration::from_secs(1)) {
                self.heard.push(MeasuredSound::of(&second, format.sample_rate(), format.channels()));
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
            assert!(sound.is(played(440.0)), "{sound:?}");
        }
    };
    tokio::select! {
        () = heard => {}
        () = echo.run() => panic!("the track ended"),
    }
    let stats = echo.audio.stats();
    assert_eq!(stats.invalid, 0, "{stats:?}");
    // The first second has the beginning.
    let [_, heard @ ..] = &echo.heard[..] else { panic!("{:?}", echo.heard) };
    assert!(heard.len() + 2 >= seconds, "{} of {seconds} seconds", heard.len());
    for sound in heard {
        assert!(sound.is(played(440.0)), "{sound:?}");
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

/// Over a network that loses 2 % of the packets and delays each by 20 to 50 ms.
#[tokio::test]
async fn a_bad_network_is_concealed_within_a_bounded_delay() {
    let Some(server) = real_server_with(RealServer::builder().udp_proxy()).await else { return };
    if agent_testkit::official_host().await.is_none() {
        return;
    }
    let token = server.token().identity("ada").join_room("lossy").sign().expect("a token");
    let ada = OfficialClient::join(&server.url(), &token).await.expect("the client joins");
    let sid = ada.publish_sound(ClientSound::tone(440).dtx(false).red(false)).await.expect("a track");
    let bad = LinkConditions::new()
        .loss(2.0)
        .delay(Duration::from_millis(20))
        .jitter(Duration::from_millis(30))
        .seed(1);
    server.udp_proxy().expect("a proxy").set_for_new_clients(bad);
    let token = server.token().identity("agent").join_room("lossy").sign().expect("a token");
    let room = WebRtc::default().connect(JoinRequest::new(server.url(), token)).await.expect("joined");
    let mut events = room.events();
    event(
        &mut events,
        "the subscription",
        |event| matches!(event, agent_worker::RoomEvent::TrackSubscribed { track, .. } if track.sid == sid),
    )
    .await;
    let mut audio = room.audio(&sid, AudioFormat::MONO_48K).expect("the track can be read");
    let seconds = long::times("seconds of a tone on a bad network", 10, 60) as u32;
    let (mut heard, mut made_up, mut quietest, mut worst) =
        (Duration::ZERO, Duration::ZERO, 0.0_f32, Duration::ZERO);
    // The first second has the beginning of the tone.
    while heard < Duration::from_secs(1) * (seconds + 1) {
        let received = audio.next().await.expect("the track continues");
        heard += received.audio.duration();
        if heard > Duration::from_secs(1) {
            made_up += if received.is_concealed { received.audio.duration() } else { Duration::ZERO };
            quietest = quietest.min(received.audio.level().rms);
            worst = worst.max(audio.stats().jitter.delay);
        }
    }
    let stats = audio.stats();
    println!(
        "{made_up:?} of {seconds} s made up, delay {worst:?} at most, quietest piece {quietest} dBFS: {stats:?}"
    );
    // Some 2 % of the packets were lost, and some came later than all before them.
    assert!(
        (Duration::from_millis(1)..Duration::from_millis(80) * seconds).contains(&made_up),
        "{made_up:?}"
    );
    assert!(worst <= Duration::from_millis(200), "{worst:?}");
    assert!(quietest > -30.0, "a hole of {quietest} dBFS");
    assert_eq!((stats.invalid, audio.dropped()), (0, 0), "{stats:?}");
}
