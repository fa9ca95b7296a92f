//! The example `transcriber` on a real server, with a real engine: speech by espeak-ng, played by an official
//! client, is recognized by pocketsphinx, and the text is a transcription at the client.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail, and shows what it saw"
)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hound::{WavReader, WavWriter};

use agent_testkit::{
    ClientEvent, ClientKind, ClientParticipant, ClientSound, DispatchRequest, JobEndStatus, OfficialClient,
    OfficialTextStream, RealServer, official_host_of, program, python_with, real_server,
};
use agent_worker::room::AGENT_STATE_ATTRIBUTE;

const AGENT: &str = "captions";
const TOPIC: &str = "lk.transcription";
const TRACK: &str = "lk.transcribed_track_id";
const SOON: Duration = Duration::from_secs(60);

/// A long text to speak.
const WORDS: &str = "one two three four five one two three four five one two";

/// Its wheel has the model.
const POCKETSPHINX: &str = "pocketsphinx==5.1.1\n";

/// The example in a process. Dropping it sends SIGKILL.
struct Transcriber(Child);

impl Drop for Transcriber {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The tools that speak and recognize.
struct Speech {
    espeak: PathBuf,
    python: PathBuf,
    folder: tempfile::TempDir,
}

impl Speech {
    async fn find() -> Option<Self> {
        let espeak = program("espeak-ng", "Debian: apt-get install espeak-ng")?;
        let python = python_with("pocketsphinx-pinned", POCKETSPHINX).await?;
        Some(Self { espeak, python, folder: tempfile::tempdir().expect("a folder") })
    }

    /// A WAV file in which espeak-ng speaks these words, slowly, after two seconds of silence: what is played
    /// before the agent is subscribed is not received.
    fn say(&self, words: &str) -> PathBuf {
        let file = self.folder.path().join(words).with_extension("wav");
        let mut espeak = Command::new(&self.espeak);
        let status = espeak.args(["-v", "en-us", "-s", "120", "-w"]).arg(&file).arg(words).status();
        assert!(status.expect("espeak-ng runs").success());
        let mut spoken = WavReader::open(&file).expect("a file");
        let (spec, samples) = (spoken.spec(), spoken.samples::<i16>().collect::<Result<Vec<_>, _>>());
        let mut wav = WavWriter::create(&file, spec).expect("the same file");
        let silence = vec![0; 2 * spec.sample_rate as usize];
        for sample in [silence, samples.expect("samples")].concat() {
            wav.write_sample(sample).expect("written");
        }
        wav.finalize().expect("written");
        file
    }

    fn command(&self) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recognize.py");
        format!("'{}' '{}'", self.python.display(), script.display())
    }

    /// Starts the example, with a name of its own; returns when it is registered.
    async fn start(&self, server: &RealServer) -> Transcriber {
        let process = Command::new(env!("CARGO_BIN_EXE_transcriber"))
            .args(["--command", &self.command()])
            .env("LIVEKIT_URL", server.http_url())
            .env("LIVEKIT_API_KEY", server.api_key())
            .env("LIVEKIT_API_SECRET", server.api_secret().expose())
            .env("LIVEKIT_AGENT_NAME", AGENT)
            .env_remove("LIVEKIT_AGENT_NAME_OVERRIDE")
            .env("LIVEKIT_AGENT_HTTP_PORT", "off")
            .stdout(Stdio::null())
            .spawn()
            .expect("a process");
        let transcriber = Transcriber(process);
        let is_registered = |line: &str| line.contains(r#""msg":"worker registered""#);
        server.log().wait_for_line(is_registered, SOON).await.expect("registered");
        transcriber
    }
}

/// A client that plays speech, or reads the transcription.
struct Guest(OfficialClient);

impl Guest {
    async fn join(server: &RealServer, room: &str, identity: &str) -> Self {
        let token = server.token().identity(identity).join_room(room).sign().expect("a token");
        let client = OfficialClient::join_with(ClientKind::Python, &server.url(), &token).await;
        let client = client.expect("joined");
        client.register_text_streams(TOPIC).await.expect("registered");
        Self(client)
    }

    /// Waits until an agent is there and listens.
    async fn agent_listens(&mut self) {
        let listens = |agent: &ClientParticipant| agent.attributes.contains_key(AGENT_STATE_ATTRIBUTE);
        let state = self.0.wait_for_state(|state| state.others.iter().any(listens), SOON).await;
        state.expect("an agent");
    }

    /// Publishes a track that plays this file once; returns its sid.
    async fn play(&self, file: impl Into<PathBuf>) -> String {
        self.0.publish_sound(ClientSound::wav(file)).await.expect("a track")
    }

    async fn is_played(&mut self, track: &str) {
        let ended = |event: &ClientEvent| matches!(event, ClientEvent::SoundEnded { sid } if sid == track);
        self.0.wait_for(ended, SOON).await.expect("it ends");
    }

    /// The texts of a track, or of any, until most of these words were recognized. On a busy machine the
    /// sound has holes, so that it may be several segments.
    async fn transcription(
        &mut self,
        speaker: &str,
        track: Option<&str>,
        words: &str,
    ) -> Vec<OfficialTextStream> {
        let is_track = |text: &OfficialTextStream| track.is_none_or(|sid| text.attributes[TRACK] == sid);
        let of_track = |event: &ClientEvent| matches!(event, ClientEvent::TextStream(text) if is_track(text));
        let (mut texts, mut recognized) = (Vec::new(), String::new());
        while !has_words(&recognized, words) {
            let text = match self.0.wait_for(&of_track, SOON).await {
                Ok(ClientEvent::TextStream(text)) => text,
                other => panic!("{recognized:?} instead of {words:?}: {other:?}"),
            };
            assert_eq!(text.identity, speaker);
            if is_final(&text) {
                recognized = format!("{recognized} {}", text.text);
            }
            texts.push(text);
        }
        texts
    }
}

fn is_final(text: &OfficialTextStream) -> bool {
    text.attributes["lk.transcription_final"] == "true"
}

/// Whether two of three words were recognized, in their order.
fn has_words(text: &str, words: &str) -> bool {
    let (text, words): (Vec<_>, Vec<_>) = (text.split(' ').collect(), words.split(' ').collect());
    // The length of the longest common subsequence, for each number of words of the text.
    let mut common = vec![0; text.len() + 1];
    for word in &words {
        let before = common.clone();
        for (at, recognized) in text.iter().enumerate() {
            common[at + 1] = if recognized == word { before[at] + 1 } else { before[at + 1].max(common[at]) };
        }
    }
    common[text.len()] * 3 >= words.len() * 2
}

/// Whether an interim text came before the final one of a segment. All have the segment's id.
fn has_interim(texts: &[OfficialTextStream]) -> bool {
    let segment = |text: &OfficialTextStream| text.attributes["lk.segment_id"].clone();
    for pair in texts.windows(2) {
        assert_eq!(segment(&pair[0]) == segment(&pair[1]), !is_final(&pair[0]), "{pair:?}");
    }
    texts.iter().any(|text| !is_final(text))
}

#[tokio::test]
async fn speech_becomes_a_transcription_of_its_speaker() {
    let Some(server) = real_server().await else { return };
    if official_host_of(ClientKind::Python).await.is_none() {
        return;
    }
    let Some(speech) = Speech::find().await else { return };
    let _transcriber = speech.start(&server).await;

    let metadata = r#"{"action":"transcribe","language":"en-US","model":"digits","participants":["ada","bob"],"realtime_output":true}"#;
    let (mut ada, bob) =
        tokio::join!(Guest::join(&server, "live", "ada"), Guest::join(&server, "live", "bob"));
    let request = DispatchRequest::new(AGENT, "live").metadata(metadata);
    server.api().create_dispatch(request).await.expect("dispatched");
    ada.agent_listens().await;
    // Not named: the agent does not listen to it.
    let eve = Guest::join(&server, "live", "eve").await;
    eve.play(speech.say("nine nine nine")).await;

    let (file, mut attempts) = (speech.say(WORDS), 0);
    loop {
        let track = bob.play(&file).await;
        let texts = ada.transcription("bob", Some(&track), WORDS).await;
        bob.0.unpublish(&track).await.expect("unpublished");
        if has_interim(&texts) {
            break;
        }
        // On a busy machine the engine may not be ready with an interim text before the speech ends.
        attempts += 1;
        assert!(attempts < 5, "only final texts: {texts:?}");
    }

    let track = ada.play(speech.say("three four five")).await;
    ada.transcription("ada", Some(&track), "three four five").await;
}

#[tokio::test]
async fn without_realtime_output_the_text_comes_when_the_speaker_stops_publishing() {
    let Some(server) = real_server().await else { return };
    if official_host_of(ClientKind::Python).await.is_none() {
        return;
    }
    let Some(speech) = Speech::find().await else { return };
    let _transcriber = speech.start(&server).await;
    let (mut ada, mut bob) =
        tokio::join!(Guest::join(&server, "later", "ada"), Guest::join(&server, "later", "bob"));
    let request = DispatchRequest::new(AGENT, "later").metadata(r#"{"language":"en","model":"digits"}"#);
    server.api().create_dispatch(request).await.expect("dispatched");
    ada.agent_listens().await;
    let first = bob.play(speech.say("one two three")).await;
    bob.is_played(&first).await;
    let second = bob.play(speech.say("three four five")).await;
    bob.is_played(&second).await;
    // The texts of the track that ends first come first.
    bob.0.unpublish(&second).await.expect("unpublished");
    let texts = ada.transcription("bob", None, "three four five").await;
    assert!(texts.iter().all(|text| is_final(text) && text.attributes[TRACK] == second), "{texts:?}");
    // Those of the other one come when its speaker leaves.
    bob.0.leave().await.expect("left");
    ada.transcription("bob", Some(&first), "one two three").await;

    // The job ends as nobody is there any more.
    let job = server.log().assignments().pop().expect("a job").job_id;
    ada.0.leave().await.expect("left");
    let end = server.log().outcome(&job, SOON).await.expect("its end");
    assert_eq!(end.status, JobEndStatus::Success, "{end:?}");
}
