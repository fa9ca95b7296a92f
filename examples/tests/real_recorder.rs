//! The examples `recorder` and `router` on a real server: an official client plays and shows something, and
//! the files are judged by what ffmpeg decodes of them: complete, after the recorder was killed, and after
//! its connections were cut.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may fail, and shows what it saw"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use agent_testkit::{
    ClientEvent, ClientSound, ClientVideo, DispatchRequest, JobEndStatus, MeasuredSound, OfficialClient,
    RealServer, Tone, official_host, program, real_server,
};
use agent_worker::room::VideoCodec;

const ROOM: &str = "lobby";
const SOON: Duration = Duration::from_secs(60);
const TONE: f64 = 440.0;
const SAMPLE_RATE: usize = 48_000;

/// The example in a process. Dropping it sends SIGKILL.
struct Recorder(Child);

impl Recorder {
    /// Starts this program, for a server at this address, and waits until the server knows its worker.
    async fn start(program: &str, server: &RealServer, url: String, folder: &Path) -> Self {
        let process = Command::new(program)
            .arg(folder)
            .env("LIVEKIT_URL", url)
            .env("LIVEKIT_API_KEY", server.api_key())
            .env("LIVEKIT_API_SECRET", server.api_secret().expose())
            .env_remove("LIVEKIT_AGENT_NAME")
            .env_remove("LIVEKIT_AGENT_NAME_OVERRIDE")
            .env("LIVEKIT_AGENT_HTTP_PORT", "off")
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

/// What the recorder sends to the room.
#[derive(Debug, Deserialize)]
struct Notice {
    identity: String,
    file: String,
    duration_seconds: Option<f64>,
}

/// A server with a client that is recorded, one that receives the notices, and the recorder in their room.
struct Scene {
    server: RealServer,
    ada: Option<OfficialClient>,
    bob: OfficialClient,
    recorder: Option<Recorder>,
    folder: tempfile::TempDir,
    ffmpeg: PathBuf,
}

async fn join(server: &RealServer, identity: &str) -> OfficialClient {
    let token = server.token().identity(identity).join_room(ROOM).sign().expect("a token");
    OfficialClient::join(&server.url(), &token).await.expect("joined")
}

impl Scene {
    /// `None`: the test is skipped.
    async fn begin() -> Option<Self> {
        Self::begin_with(env!("CARGO_BIN_EXE_recorder"), |server| server.http_url()).await
    }

    /// With this program, which reaches the server at this URL.
    async fn begin_with(binary: &str, url: impl FnOnce(&RealServer) -> String) -> Option<Self> {
        let ffmpeg = program("ffmpeg", "Debian: apt-get install ffmpeg")?;
        let server = real_server().await?;
        official_host().await?;
        let folder = tempfile::tempdir().expect("a folder");
        let recorder = Recorder::start(binary, &server, url(&server), folder.path()).await;
        let (ada, bob) = (join(&server, "ada").await, join(&server, "bob").await);
        Some(Self { server, ada: Some(ada), bob, recorder: Some(recorder), folder, ffmpeg })
    }

    fn ada(&self) -> &OfficialClient {
        self.ada.as_ref().expect("she is there")
    }

    /// With a tone.
    async fn of_sound(metadata: &str) -> Option<Self> {
        let scene = Self::begin().await?;
        scene.ada().publish_sound(ClientSound::tone(TONE as u32)).await.expect("published");
        scene.dispatch(metadata).await;
        Some(scene)
    }

    /// With flashes and beeps.
    async fn of_flashes(video: ClientVideo, metadata: &str) -> Option<Self> {
        let scene = Self::begin().await?;
        scene.ada().publish_flashes(video).await.expect("published");
        scene.dispatch(metadata).await;
        Some(scene)
    }

    async fn dispatch(&self, metadata: &str) {
        self.dispatch_to("recorder", metadata).await;
    }

    async fn dispatch_to(&self, agent: &str, metadata: &str) {
        let request = DispatchRequest::new(agent, ROOM).metadata(metadata);
        self.server.api().create_dispatch(request).await.expect("dispatched");
    }

    async fn notice(&mut self) -> Notice {
        let is_notice = |event: &ClientEvent| matches!(event, ClientEvent::Data(data) if data.topic.as_deref() == Some("recording"));
        let ClientEvent::Data(data) = self.bob.wait_for(is_notice, SOON).await.expect("a notice") else {
            panic!("another event");
        };
        serde_json::from_slice(&data.payload).expect("JSON")
    }

    fn path(&self, notice: &Notice) -> PathBuf {
        self.folder.path().join(&notice.file)
    }

    /// What ffmpeg decodes of a file: mono of 48 kHz. What is missing at the beginning is silence.
    fn sound(&self, file: &Path) -> Vec<i16> {
        let filter = "aresample=48000:async=1:first_pts=0";
        let sound = self.decode(file, &["-vn", "-af", filter, "-ac", "1", "-f", "s16le"]);
        sound.as_chunks().0.iter().map(|sample| i16::from_le_bytes(*sample)).collect()
    }

    /// How bright a file is, a hundred times a second, from 0 to 255.
    fn brightness(&self, file: &Path) -> Vec<u8> {
        let filter = "fps=100:start_time=0,scale=1:1,format=gray";
        self.decode(file, &["-an", "-vf", filter, "-f", "rawvideo"])
    }

    fn decode(&self, file: &Path, arguments: &[&str]) -> Vec<u8> {
        let mut ffmpeg = Command::new(&self.ffmpeg);
        ffmpeg.args(["-nostdin", "-v", "error", "-i"]).arg(file).args(arguments).arg("-");
        let output = ffmpeg.output().expect("ffmpeg runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// What ffprobe reports for a file.
    fn probe(&self, file: &Path, entries: &str) -> String {
        let mut ffprobe = Command::new(self.ffmpeg.with_file_name("ffprobe"));
        ffprobe.args(["-v", "error", "-show_entries", entries, "-of", "csv=p=0"]).arg(file);
        let output = ffprobe.output().expect("ffprobe runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Waits until this many seconds of a file's sound are on the disk; returns the file.
    async fn grows(&self, until: f64) -> PathBuf {
        let grows = async {
            loop {
                for file in std::fs::read_dir(self.folder.path()).expect("a folder") {
                    let file = file.expect("a file").path();
                    // Its first bytes come a second after it begins.
                    let is_begun = std::fs::metadata(&file).is_ok_and(|file| file.len() > 1_000);
                    if is_begun && seconds(&self.sound(&file)) >= until {
                        return file;
                    }
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(SOON, grows).await.expect("a file grows")
    }

    /// The end of a file of more than three seconds: the first pictures have another size, before the server
    /// sends what was chosen.
    async fn long_one(&mut self) -> Notice {
        loop {
            let notice = self.notice().await;
            if notice.duration_seconds.is_some_and(|seconds| seconds > 3.0) {
                return notice;
            }
        }
    }

    /// Checks that flashes and beeps of a file begin together, and that both tracks are as long; returns how
    /// long, in seconds.
    fn is_in_sync(&self, file: &Path) -> f64 {
        let (sound, brightness) = (self.sound(file), self.brightness(file));
        let flashes = begins(brightness.iter().map(|picture| *picture > 128));
        let is_loud = |block: &[i16]| MeasuredSound::of(block, SAMPLE_RATE as u32, 1).dbfs > -20.0;
        let beeps = begins(sound.chunks_exact(SAMPLE_RATE / 100).map(is_loud));
        let mut offsets: Vec<i64> = flashes
            .iter()
            .filter_map(|flash| beeps.iter().map(|beep| flash - beep).min_by_key(|offset| offset.abs()))
            .collect();
        offsets.sort_unstable();
        assert!(offsets.len() >= 3, "{flashes:?} {beeps:?}");
        // In steps of 10 ms. One flash may be late, as the client's machine is busy.
        println!("flashes minus beeps: {offsets:?}");
        assert!(offsets[offsets.len() / 2].abs() <= 4, "{offsets:?}: {flashes:?} {beeps:?}");
        let (sound, pictures) = (seconds(&sound), brightness.len() as f64 / 100.0);
        assert!((sound - pictures).abs() <= 0.1, "{sound} s of sound, {pictures} s of pictures");
        sound
    }
}

/// Connections to a server that can be cut.
struct Cable {
    url: String,
    cuts: watch::Sender<()>,
}

impl Cable {
    fn to(server: &RealServer) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let listener = TcpListener::from_std(listener).expect("a socket");
        let (address, cuts) = (server.http_url().replace("http://", ""), watch::Sender::new(()));
        let cut = cuts.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (address, mut cut) = (address.clone(), cut.subscribe());
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(address).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { url, cuts }
    }

    fn cut(&self) {
        self.cuts.send_replace(());
    }
}

fn seconds(sound: &[i16]) -> f64 {
    sound.len() as f64 / SAMPLE_RATE as f64
}

/// Where something begins that was not there before.
fn begins(is_there: impl Iterator<Item = bool>) -> Vec<i64> {
    let mut before = true;
    let begins = is_there.zip(0..).filter(|(now, _)| !std::mem::replace(&mut before, *now) && *now);
    begins.map(|(_, at)| at).collect()
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
    let Some(mut scene) = Scene::of_sound(metadata).await else { return };
    let begun = scene.notice().await;
    assert_eq!((&*begun.identity, begun.duration_seconds), ("ada", None));
    let ended = scene.notice().await;
    assert_eq!(ended.file, begun.file);
    let job = scene.server.log().assignments().pop().expect("a job").job_id;
    let outcome = scene.server.log().outcome(&job, SOON).await.expect("its end");
    assert_eq!(outcome.status, JobEndStatus::Success, "{outcome:?}");
    let sound = scene.sound(&scene.path(&ended));
    let (found, reported) = (seconds(&sound), ended.duration_seconds.expect("a duration"));
    assert!((found - reported).abs() <= 0.1 && reported <= 8.1, "{found} s of {reported} s");
    assert!(is_tone(&sound));
}

/// What was recorded can be played while it is, and after the recorder was killed.
#[tokio::test]
async fn a_recorder_of_ogg_is_killed() {
    let Some(mut scene) = Scene::of_sound(r#"{"format":"ogg"}"#).await else { return };
    let begun = scene.notice().await;
    assert!(begun.file.ends_with(".ogg"), "{begun:?}");
    let file = scene.grows(1.5).await;
    assert_eq!(file, scene.path(&begun));
    let before = scene.sound(&file);
    scene.recorder = None;
    let after = scene.sound(&file);
    assert!(after.len() >= before.len() && is_tone(&after));
}

#[tokio::test]
async fn sound_and_pictures_of_mp4_are_in_sync_after_the_recorder_was_killed() {
    let video = ClientVideo::new(VideoCodec::H264).fps(25);
    let Some(mut scene) = Scene::of_flashes(video, r#"{"format":"mp4"}"#).await else { return };
    let file = scene.grows(4.5).await;
    scene.recorder = None;
    let found = scene.is_in_sync(&file);
    assert!(found >= 4.5, "{found} s");
    assert_eq!(scene.probe(&file, "stream=codec_name"), "opus\nh264");
}

/// The connections of the worker and of its room are cut: the recording goes on in its file.
#[tokio::test]
async fn a_recording_goes_on_after_the_recorder_lost_its_connection() {
    let mut cable = None;
    let url = |server: &RealServer| cable.insert(Cable::to(server)).url.clone();
    let Some(mut scene) = Scene::begin_with(env!("CARGO_BIN_EXE_recorder"), url).await else { return };
    let cable = cable.expect("a cable");
    let video = ClientVideo::new(VideoCodec::H264).fps(25);
    scene.ada().publish_flashes(video).await.expect("published");
    scene.dispatch(r#"{"format":"mp4","max_duration_seconds":11}"#).await;
    let file = scene.grows(2.5).await;
    let registrations = || scene.server.log().count(r#""msg":"worker registered""#);
    let before = registrations();
    cable.cut();
    let again = async {
        while registrations() == before {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOON, again).await.expect("the worker registers again");
    let notice = scene.long_one().await;
    assert_eq!(scene.path(&notice), file, "it is the same file");
    let (found, said) = (scene.is_in_sync(&file), notice.duration_seconds.expect("a duration"));
    // Of all tracks: ffprobe's `format=duration` counts twice what a track of fragments begins late.
    let packets = scene.probe(&file, "packet=pts_time,duration_time");
    let end = |packet: &str| packet.split(',').filter_map(|time| time.parse::<f64>().ok()).sum::<f64>();
    let probed = packets.lines().map(end).fold(0.0, f64::max);
    assert!((found - said).abs() <= 0.1 && (probed - said).abs() <= 0.1, "{found} s, {probed} s of {said} s");
    assert!(said > 6.0, "{said} s: it goes on after the cut");
}

/// The guide's metadata: an action with its parameters, to one worker.
#[tokio::test]
async fn the_router_records_and_analyzes_what_is_dispatched() {
    let Some(mut scene) = Scene::begin_with(env!("CARGO_BIN_EXE_router"), |server| server.http_url()).await
    else {
        return;
    };
    scene.ada().publish_sound(ClientSound::tone(TONE as u32)).await.expect("published");
    let recording = r#"{"action":"record","parameters":{"format":"webm","audio_only":true,"max_duration_seconds":8},"priority":"high","request_id":"r-1"}"#;
    scene.dispatch_to("studio", recording).await;
    scene.dispatch_to("studio", r#"{"action":"analyze"}"#).await;
    let begun = scene.notice().await;
    assert!(begun.file.ends_with(".webm"), "{begun:?}");
    // After five seconds.
    let is_report = |event: &ClientEvent| matches!(event, ClientEvent::Data(data) if data.topic.as_deref() == Some("analysis") && data.payload.starts_with(br#"[{"identity":"ada""#));
    scene.bob.wait_for(is_report, SOON).await.expect("a report of the analyzer");
    let ended = scene.notice().await;
    let file = scene.path(&ended);
    let (sound, said) = (scene.sound(&file), ended.duration_seconds.expect("a duration"));
    assert!((seconds(&sound) - said).abs() <= 0.1 && said <= 8.1, "{} s of {said} s", seconds(&sound));
    assert!(is_tone(&sound));
    assert_eq!(scene.probe(&file, "stream=codec_name"), "opus");
}

#[tokio::test]
async fn sound_and_pictures_of_webm_are_in_sync_also_after_a_rejoin() {
    let metadata = r#"{"format":"webm","quality":"low","max_duration_seconds":16}"#;
    let video = ClientVideo::new(VideoCodec::Vp8).size(960, 540).fps(15).simulcast(true);
    let Some(mut scene) = Scene::of_flashes(video.clone(), metadata).await else { return };
    scene.grows(4.5).await;
    scene.ada.take().expect("she is there").leave().await.expect("she leaves");
    let before = scene.long_one().await;
    let ada = join(&scene.server, "ada").await;
    ada.publish_flashes(video).await.expect("published");
    let after = scene.long_one().await;
    assert_ne!(after.file, before.file);
    for notice in [before, after] {
        let (file, reported) = (scene.path(&notice), notice.duration_seconds.expect("a duration"));
        let found = scene.is_in_sync(&file);
        let probed: f64 = scene.probe(&file, "format=duration").parse().expect("a number");
        assert!(
            (found - reported).abs() <= 0.1 && (probed - reported).abs() <= 0.1,
            "{found} s, {probed} s of {reported} s"
        );
        assert_eq!(scene.probe(&file, "stream=codec_name"), "opus\nvp8");
        // The smallest of three layers.
        assert_eq!(scene.probe(&file, "stream=width,height"), "320,180");
    }
}
