//! Records what participants say and show, each to files of its own: WebM or MP4, or Ogg Opus of audio alone.
//!
//! Run it with `LIVEKIT_URL`, `LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET` set, as `cargo run -p examples --bin
//! recorder -- FOLDER`, then dispatch the agent `recorder` to a room, for example with the metadata
//! `{"format":"webm","max_duration_seconds":60}`. The folder is an argument of the program and not of the
//! job: a dispatch must not choose where this machine is written to.
//!
//! Files that are written can be played at any moment, also after this program was killed. As a file begins,
//! and when it is complete, those in the room receive its name as JSON on the topic `recording`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use agent_worker::Worker;
use agent_worker::cli::Cli;
use agent_worker::room::AutoSubscribe;

use examples::recorder;

/// Records what participants say and show
#[derive(Debug, Parser)]
struct Options {
    /// The folder for the files
    folder: PathBuf,

    #[command(flatten)]
    cli: Cli,
}

fn main() -> Result<ExitCode, String> {
    let Options { folder, cli } = Options::parse();
    if !folder.is_dir() {
        return Err(format!("{} is not a folder: create it first", folder.display()));
    }
    let worker = Worker::builder(recorder(&folder)).default_agent_name("recorder");
    Ok(cli.main(worker.auto_subscribe(AutoSubscribe::None)))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;
    use std::time::Duration;

    use ogg::PacketReader;
    use serde_json::Value;

    use agent_testkit::{JobSpec, MockParticipant, Run, run_job};
    use agent_worker::media::AudioFormat;
    use agent_worker::room::{AudioTrackOptions, EncodedVideoFrame, VideoCodec};

    use super::*;
    use examples::sounds;

    fn spec(metadata: &str) -> JobSpec {
        JobSpec::room("lobby").metadata(metadata).worker(|worker| worker.auto_subscribe(AutoSubscribe::None))
    }

    /// Plays something like speech, once the agent reads the track.
    async fn speak(participant: &MockParticipant, seconds: u64) {
        let track = participant.room().publish_audio(AudioTrackOptions::new("voice")).await.unwrap();
        participant.wait_for_reader(&track.sid()).await;
        track.push(&sounds::vowels(AudioFormat::MONO_48K, Duration::from_secs(seconds))).await.unwrap();
        track.wait_for_playout().await.unwrap();
        track.unpublish().await.unwrap();
    }

    fn notices(run: &Run) -> Vec<Value> {
        run.sent_by_agent().map(|sent| serde_json::from_str(&sent.text()).unwrap()).collect()
    }

    /// How long a file of Ogg Opus is, in seconds.
    fn seconds(path: &Path) -> f64 {
        let mut reader = PacketReader::new(File::open(path).unwrap());
        let mut end = 0;
        while let Some(packet) = reader.read_packet().unwrap() {
            end = packet.absgp_page();
        }
        end as f64 / 48_000.0
    }

    #[tokio::test]
    async fn each_participant_has_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec(r#"{"format":"ogg"}"#).script(|room| async move {
            room.wait_for_agent().await;
            let (ada, bob) = (room.join("ada"), room.join("../bob"));
            tokio::join!(speak(&ada, 3), speak(&bob, 5));
        });
        let run = run_job(recorder(folder.path()), spec).await;
        run.assert_success();
        let notices = notices(&run);
        for (identity, expected) in [("ada", 3.0), ("../bob", 5.0)] {
            let of_them: Vec<&Value> =
                notices.iter().filter(|notice| notice["identity"] == identity).collect();
            let [begun, ended] = of_them[..] else { panic!("{notices:?}") };
            assert_eq!((&begun["file"], &begun["duration_seconds"]), (&ended["file"], &Value::Null));
            let file = folder.path().join(begun["file"].as_str().unwrap());
            let (seconds, reported) = (seconds(&file), ended["duration_seconds"].as_f64().unwrap());
            assert!(
                (seconds - expected).abs() < 0.3 && (seconds - reported).abs() < 0.01,
                "{seconds} {reported}"
            );
        }
        assert_eq!(folder.path().read_dir().unwrap().count(), 2);
    }

    /// Shows pictures of VP8 for this time, once the agent reads the track, and unpublishes it.
    async fn show(participant: &MockParticipant, seconds: u64) {
        let camera = participant.publish_camera();
        participant.wait_for_reader(&camera).await;
        for number in 0..25 * seconds {
            // The header of a key frame of 320 × 240 pixels, or that of another frame.
            let key_frame: &[u8] = &[0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00];
            let payload = if number == 0 { key_frame } else { &[0x11, 0, 0] };
            let timestamp = Duration::from_millis(40 * number);
            let frame = EncodedVideoFrame::new(VideoCodec::Vp8, payload.to_vec(), timestamp);
            participant.send_frame(&camera, frame);
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        participant.unpublish(&camera);
    }

    #[tokio::test]
    async fn sound_and_pictures_are_in_one_file_unless_only_sound_is_asked_for() {
        for (metadata, tracks) in [
            (r#"{"format":"webm"}"#, &["A_OPUS", "V_VP8"][..]),
            (r#"{"format":"webm","audio_only":true}"#, &["A_OPUS"]),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let spec = spec(metadata).script(|room| async move {
                room.wait_for_agent().await;
                let ada = room.join("ada");
                // Without a reader it shows nothing.
                let showing = tokio::time::timeout(Duration::from_secs(10), show(&ada, 3));
                let _ = tokio::join!(speak(&ada, 3), showing);
            });
            let run = run_job(recorder(folder.path()), spec).await;
            run.assert_success();
            let [begun, ended] = &notices(&run)[..] else { panic!("{:?}", notices(&run)) };
            assert_eq!(begun["file"], ended["file"]);
            let file = std::fs::read(folder.path().join(ended["file"].as_str().unwrap())).unwrap();
            for codec in ["A_OPUS", "V_VP8"] {
                let is_there = file.windows(codec.len()).any(|at| at == codec.as_bytes());
                assert_eq!(is_there, tracks.contains(&codec), "{metadata}: {codec}");
            }
        }
    }

    #[tokio::test]
    async fn a_recording_ends_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec(r#"{"format":"ogg","max_duration_seconds":4}"#).script(|room| async move {
            room.wait_for_agent().await;
            speak(&room.join("ada"), 30).await;
        });
        let run = run_job(recorder(folder.path()), spec).await;
        run.assert_success();
        let [_, ended] = &notices(&run)[..] else { panic!("{:?}", notices(&run)) };
        let seconds = seconds(&folder.path().join(ended["file"].as_str().unwrap()));
        assert!((3.0..=4.1).contains(&seconds), "{seconds}");
    }

    #[tokio::test]
    async fn a_recording_that_fails_leaves_the_others_alone() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().to_owned();
        let spec = spec(r#"{"format":"ogg"}"#).job_id("AJ_1").script(|room| async move {
            room.wait_for_agent().await;
            let (ada, bob) = (room.join("ada"), room.join("bob"));
            // A file that is there is not written over.
            let sid = ada.room().local_participant().sid.clone();
            std::fs::write(inside.join(format!("AJ_1.1-{sid}-ada-001.ogg")), "there").unwrap();
            tokio::join!(speak(&ada, 3), speak(&bob, 8));
        });
        let run = run_job(recorder(folder.path()), spec).await;
        assert!(run.outcome.to_string().contains("-ada-001.ogg: "), "{}", run.outcome);
        let of_bob = |notice: &Value| notice["identity"] == "bob" && !notice["duration_seconds"].is_null();
        let ended = notices(&run).into_iter().find(of_bob).unwrap();
        let seconds = seconds(&folder.path().join(ended["file"].as_str().unwrap()));
        assert!((seconds - 8.0).abs() < 0.3, "{seconds}");
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_fails_the_job() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let spec = spec(r#"{"format":"ogg"}"#).script(|room| async move {
            room.wait_for_agent().await;
            let ada = room.join("ada");
            let track = ada.room().publish_audio(AudioTrackOptions::new("voice")).await.unwrap();
            let sound = sounds::vowels(AudioFormat::MONO_48K, Duration::from_secs(3));
            // The job may end while it plays.
            let _ = track.push(&sound).await;
            let _ = track.wait_for_playout().await;
        });
        let run = run_job(recorder(&missing), spec).await;
        let outcome = format!("{:?}", run.outcome);
        assert!(outcome.contains("missing") && outcome.contains("Failed"), "{outcome}");
    }
}
