//! The example `recorder` on a real server: an official client plays a tone, and the files are judged by what
//! ffmpeg decodes of them, complete and after the recorder was killed.
#![allow(clippy::expect_used, clippy::panic, reason = "a test may fail, and shows what it saw")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;

use agent_testkit::{
    ClientEvent, ClientSound, DispatchRequest, JobEndStatus, MeasuredSound, OfficialClient, RealServer, Tone,
    official_host, program, real_server,
};

const ROOM: &str = "lobby";
const SOON: Duration = Duration::from_secs(60);
const TONE: f64 = 440.0;
const SAMPLE_RATE: usize = 48_000;

/// The example in a process. Dropping it sends SIGKILL.
struct Recorder(Child);

impl Recorder {
    /// Starts it, and waits until the server knows its worker.
    async fn start(server: &RealServer, folder: &Path) -> Self {
        let process = Command::new(env!("CARGO_BIN_EXE_recorder"))
            .arg(folder)
            .env("LIVEKIT_URL", server.http_url())
            .env("LIVEKIT_API_KEY", server.api_key())
            .env("LIVEKIT_API_SECRET", server.api_secret().expose())
            .env_remove("LIVEKIT_AGENT_NAME")
            .env_remove("LIVEKIT_AGENT_NAME_OVERRIDE")
            .stdout(Stdio::null())
            .spawn()
            .expect("a process");
        let recorder = Self(process);
        let registered = |line: &str| line.contains(r#""msg":"worker registered""#);
        server.log().wait_for_line(registered, SOON).await.expect("registered");
        recorder
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the recorder tells those in the room.
#[derive(Debug, Deserialize)]
struct Notice {
    identity: String,
    file: String,
    duration_seconds: Option<f64>,
}

/// A server with a client that plays a tone, and the recorder in its room.
struct Scene {
    server: RealServer,
    ada: OfficialClient,
    recorder: Option<Recorder>,
    folder: tempfile::TempDir,
    ffmpeg: PathBuf,
}

impl Scene {
    /// `None`: the test is skipped.
    async fn begin(metadata: &str) -> Option<Self> {
        let ffmpeg = program("ffmpeg", "Debian: apt-get install ffmpeg")?;
        let server = real_server().await?;
        official_host().await?;
        let folder = tempfile::tempdir().expect("a folder");
        let recorder = Recorder::start(&server, folder.path()).await;
        let token = server.token().identity("ada").join_room(ROOM).sign().expect("a token");
        let ada = OfficialClient::join(&server.url(), &token).await.expect("joined");
        ada.publish_sound(ClientSound::tone(TONE as u32)).await.expect("published");
        let request = DispatchRequest::new("recorder", ROOM).metadata(metadata);
        server.api().create_dispatch(request).await.expect("dispatched");
        Some(Self { server, ada, recorder: Some(recorder), folder, ffmpeg })
    }

    async fn notice(&mut self) -> Notice {
        let is_notice = |event: &ClientEvent| matches!(event, ClientEvent::Data(data) if data.topic.as_deref() == Some("recording"));
        let ClientEvent::Data(data) = self.ada.wait_for(is_notice, SOON).await.expect("a notice") else {
            panic!("another event");
        };
        serde_json::from_slice(&data.payload).expect("JSON")
    }

    fn path(&self, notice: &Notice) -> PathBuf {
        self.folder.path().join(&notice.file)
    }

    /// What ffmpeg decodes of a file: mono of 48 kHz.
    fn sound(&self, file: &Path) -> Vec<i16> {
        let mut ffmpeg = Command::new(&self.ffmpeg);
        ffmpeg.args(["-nostdin", "-v", "error", "-i"]).arg(file);
        ffmpeg.args(["-ac", "1", "-ar", "48000", "-f", "s16le", "-"]);
        let output = ffmpeg.output().expect("ffmpeg runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout.as_chunks().0.iter().map(|sample| i16::from_le_bytes(*sample)).collect()
    }
}

/// Whether a whole second of what was recorded is the tone: a busy machine holds up the client, too, so that
/// others have gaps.
fn is_tone(sound: &[i16]) -> bool {
    let measured = |second| MeasuredSound::of(second, SAMPLE_RATE as u32, 1);
    sound.chunks_exact(SAMPLE_RATE).any(|second| measured(second).is(Tone::new(TONE).level(-20.0)))
}

#[tokio::test]
async fn a_recording_ends_at_its_maximum_and_is_complete() {
    let metadata = r#"{"format":"webm","audio_only":true,"max_duration_seconds":8}"#;
    let Some(mut scene) = Scene::begin(metadata).await else { return };
    let begun = scene.notice().await;
    assert_eq!((&*begun.identity, begun.duration_seconds), ("ada", None));
    let ended = scene.notice().await;
    assert_eq!(ended.file, begun.file);
    let job = scene.server.log().assignments().pop().expect("a job").job_id;
    let outcome = scene.server.log().outcome(&job, SOON).await.expect("its end");
    assert_eq!(outcome.status, JobEndStatus::Success, "{outcome:?}");
    let sound = scene.sound(&scene.path(&ended));
    let (found, said) =
        (sound.len() as f64 / SAMPLE_RATE as f64, ended.duration_seconds.expect("a duration"));
    assert!((found - said).abs() <= 0.1 && said <= 8.1, "{found} s of {said} s");
    assert!(is_tone(&sound));
}

/// What was recorded can be played while it is, and after the recorder was killed.
async fn is_killed(format: &str) {
    let metadata = format!(r#"{{"format":"{format}"}}"#);
    let Some(mut scene) = Scene::begin(&metadata).await else { return };
    let begun = scene.notice().await;
    assert!(begun.file.ends_with(&format!(".{format}")), "{begun:?}");
    let file = scene.path(&begun);
    let seconds = |sound: &[i16]| sound.len() as f64 / SAMPLE_RATE as f64;
    let is_long = async {
        // The first part comes after a second.
        while std::fs::metadata(&file).map_or(0, |file| file.len()) < 20_000 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, is_long).await.expect("it grows");
    let before = scene.sound(&file);
    scene.recorder = None;
    let after = scene.sound(&file);
    assert!(seconds(&after) >= seconds(&before) && seconds(&before) > 1.0, "{}", seconds(&before));
    assert!(is_tone(&after));
}

#[tokio::test]
async fn a_recorder_of_ogg_is_killed() {
    is_killed("ogg").await;
}

#[tokio::test]
async fn a_recorder_of_webm_is_killed() {
    is_killed("webm").await;
}

#[tokio::test]
async fn a_recorder_of_mp4_is_killed() {
    is_killed("mp4").await;
}
