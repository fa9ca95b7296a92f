//! The examples `speaker` and `analyze` on a real server, with official clients that hear and play.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may fail, and shows what it saw")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hound::{SampleFormat, WavSpec, WavWriter};
use ogg::{PacketWriteEndInfo, PacketWriter};
use serde::Deserialize;

use agent_testkit::{
    ClientEvent, ClientSound, DispatchRequest, JobEndStatus, OfficialClient, RealServer, Tone, official_host,
    real_server,
};
use agent_worker::media::{AudioCodec, AudioFormat, EncoderOptions, RopusCodec};

use examples::sounds;

const ROOM: &str = "lobby";
const SOON: Duration = Duration::from_secs(30);

/// An example in a process. Dropping it sends SIGKILL.
struct Example(Child);

impl Example {
    /// Starts it, and waits until the server knows its worker.
    async fn start(server: &RealServer, program: &str, arguments: &[&Path]) -> Self {
        let process = Command::new(program)
            .args(arguments)
            .env("LIVEKIT_URL", server.http_url())
            .env("LIVEKIT_API_KEY", server.api_key())
            .env("LIVEKIT_API_SECRET", server.api_secret().expose())
            .env_remove("LIVEKIT_AGENT_NAME")
            .env_remove("LIVEKIT_AGENT_NAME_OVERRIDE")
            .env("LIVEKIT_AGENT_HTTP_PORT", "off")
            .stdout(Stdio::null())
            .spawn()
            .expect("a process");
        let example = Self(process);
        let registered = |line: &str| line.contains(r#""msg":"worker registered""#);
        server.log().wait_for_line(registered, SOON).await.expect("registered");
        example
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn join(server: &RealServer, identity: &str) -> OfficialClient {
    let token = server.token().identity(identity).join_room(ROOM).sign().expect("a token");
    OfficialClient::join(&server.url(), &token).await.expect("joined")
}

fn wav(path: &Path, spec: WavSpec, samples: &[i16]) {
    let mut writer = WavWriter::create(path, spec).expect("a file");
    for sample in samples {
        let sample = i32::from(*sample) << (spec.bits_per_sample - 16);
        writer.write_sample(sample).expect("written");
    }
    writer.finalize().expect("written");
}

/// A file of Ogg Opus, with each packet on a page of its own.
fn ogg_opus(path: &Path, samples: &[i16]) {
    let mut encoder =
        RopusCodec.encoder(AudioFormat::MONO_48K, &EncoderOptions::new()).expect("a format of Opus");
    let mut packets = vec![
        b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0".to_vec(),
        b"OpusTags\x04\0\0\0test\0\0\0\0".to_vec(),
    ];
    for frame in samples.chunks_exact(960) {
        let mut packet = Vec::new();
        encoder.encode(frame, &mut packet).expect("encoded");
        packets.push(packet);
    }
    let mut writer = PacketWriter::new(std::fs::File::create(path).expect("a file"));
    let last = packets.len() - 1;
    for (number, packet) in packets.into_iter().enumerate() {
        let end = if number == last { PacketWriteEndInfo::EndStream } else { PacketWriteEndInfo::EndPage };
        writer.write_packet(packet, 7, end, 960 * (number as u64).saturating_sub(1)).expect("written");
    }
}

/// Plays a file of five seconds to an official client, which hears the tone, and then the end of the track.
async fn is_heard(file: &Path, tone: Tone) {
    let Some(server) = real_server().await else { return };
    if official_host().await.is_none() {
        return;
    }
    let _speaker = Example::start(&server, env!("CARGO_BIN_EXE_speaker"), &[file]).await;
    let mut ada = join(&server, "ada").await;
    server.api().create_dispatch(DispatchRequest::new("speaker", ROOM)).await.expect("dispatched");
    let subscribed = |event: &ClientEvent| matches!(event, ClientEvent::TrackSubscribed { .. });
    let ClientEvent::TrackSubscribed { track, .. } = ada.wait_for(subscribed, SOON).await.expect("a track")
    else {
        panic!("another event");
    };
    ada.listen(&track.sid).await.expect("it listens");
    let (mut heard, mut seconds) = (Vec::new(), 0);
    loop {
        match ada.next_event(SOON).await.expect("an event") {
            ClientEvent::Heard(sound) => {
                seconds += usize::from(sound.is(tone));
                heard.push(sound);
            }
            ClientEvent::TrackUnpublished { track: ended, .. } if ended.sid == track.sid => break,
            _ => {}
        }
    }
    // Of five seconds, those of the beginning and the end are not whole.
    assert!(seconds >= 3, "{seconds} seconds of {tone:?}: {heard:#?}");
    let job = server.log().assignments().pop().expect("a job").job_id;
    let end = server.log().outcome(&job, SOON).await.expect("its end");
    assert_eq!(end.status, JobEndStatus::Success, "{end:?}");
}

#[tokio::test]
async fn a_file_of_wav_is_heard() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, tone) = (folder.path().join("tone.wav"), Tone::new(440.0).level(-12.0));
    let spec =
        WavSpec { channels: 2, sample_rate: 44_100, bits_per_sample: 24, sample_format: SampleFormat::Int };
    wav(&file, spec, &tone.samples(44_100, 2, Duration::from_secs(5)));
    is_heard(&file, tone).await;
}

#[tokio::test]
async fn a_file_of_ogg_opus_is_heard() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, tone) = (folder.path().join("tone.opus"), Tone::new(660.0).level(-15.0));
    ogg_opus(&file, &tone.samples(48_000, 1, Duration::from_secs(5)));
    is_heard(&file, tone).await;
}

/// A line of what `analyze` reports.
#[derive(Debug, Deserialize)]
struct Line {
    identity: String,
    heard_seconds: f64,
    speech_seconds: f64,
    mean_dbfs: f32,
    peak_dbfs: f32,
}

#[tokio::test]
async fn levels_and_talk_time_of_official_clients() {
    let Some(server) = real_server().await else { return };
    if official_host().await.is_none() {
        return;
    }
    let _analyze = Example::start(&server, env!("CARGO_BIN_EXE_analyze"), &[]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("speech.wav");
    let speech = sounds::vowels(AudioFormat::MONO_48K, Duration::from_secs(60));
    let spec =
        WavSpec { channels: 1, sample_rate: 48_000, bits_per_sample: 16, sample_format: SampleFormat::Int };
    wav(&file, spec, speech.samples());
    let level = speech.level();

    let (mut ada, bob) = (join(&server, "ada").await, join(&server, "bob").await);
    ada.publish_sound(ClientSound::wav(&file)).await.expect("published");
    bob.publish_sound(ClientSound::silence()).await.expect("published");
    server.api().create_dispatch(DispatchRequest::new("analyze", ROOM)).await.expect("dispatched");
    let lines = loop {
        let analysis = |event: &ClientEvent| matches!(event, ClientEvent::Data(data) if data.topic.as_deref() == Some("analysis"));
        let ClientEvent::Data(data) = ada.wait_for(analysis, SOON).await.expect("a report") else {
            panic!("another event");
        };
        let lines: Vec<Line> = serde_json::from_slice(&data.payload).expect("JSON");
        // The first reports have less than what is to be compared.
        if lines.len() == 2 && lines.iter().all(|line| line.heard_seconds > 4.0) {
            break lines;
        }
    };
    let [ada, bob] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((&*ada.identity, &*bob.identity), ("ada", "bob"));
    assert!((ada.mean_dbfs - level.rms).abs() < 1.0, "{ada:?}, {level:?}");
    assert!((ada.peak_dbfs - level.peak).abs() < 2.0, "{ada:?}, {level:?}");
    assert!(ada.speech_seconds > 0.6 * ada.heard_seconds, "{ada:?}");
    assert!(bob.speech_seconds == 0.0 && bob.peak_dbfs < -60.0, "{bob:?}");
}
