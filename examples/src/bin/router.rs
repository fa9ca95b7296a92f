//! One worker for several tasks: the `action` in a job's metadata selects one of the agents `recorder`,
//! `transcriber` and `analyze`, and each has its own type of metadata.
//!
//! `cargo run -p examples --bin router -- --command true schema` prints the schema of the metadata, as
//! documentation for dispatchers. Run it with `LIVEKIT_URL`, `LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET` set,
//! a folder for the files and an engine for speech, as the example `transcriber` has: `… -- FOLDER --command
//! 'my-engine'`. Then: `lk dispatch create --agent-name studio --room lobby --metadata
//! '{"action":"record","format":"webm","max_duration_seconds":60}'`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use agent_worker::cli::Cli;
use agent_worker::room::AutoSubscribe;
use agent_worker::{Router, Worker};

use examples::{BoxError, Engine, EngineOptions, analyzer, recorder, transcriber};

/// Records, transcribes and analyzes rooms, as the metadata of each job select.
#[derive(Debug, Parser)]
struct Options {
    /// The folder for the files of recordings.
    #[arg(default_value = ".")]
    folder: PathBuf,

    #[command(flatten)]
    engine: EngineOptions,

    #[command(flatten)]
    cli: Cli,
}

/// The agents; without an engine nothing is transcribed.
fn studio(folder: &Path, engine: Option<Engine>) -> Router {
    let studio = Router::new().action("record", recorder(folder)).action("analyze", analyzer());
    match engine {
        Some(engine) => studio.action("transcribe", transcriber(engine)),
        None => studio,
    }
}

fn main() -> Result<ExitCode, BoxError> {
    let Options { folder, engine, cli } = Options::parse();
    if !folder.is_dir() {
        return Err(format!("{} is not a folder: create it first", folder.display()).into());
    }
    let engine = engine.is_set().then(|| engine.engine(std::env::var("SPEECH_API_KEY").ok())).transpose()?;
    let worker = Worker::builder(studio(&folder, engine)).default_agent_name("studio");
    Ok(cli.main(worker.auto_subscribe(AutoSubscribe::None)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;

    use agent_testkit::{JobSpec, Run, run_job_in_real_time};
    use agent_worker::Outcome;
    use agent_worker::media::{AudioFormat, AudioFrame};
    use agent_worker::room::AudioTrackOptions;

    use super::*;
    use examples::sounds;

    /// An engine that understands everything as this.
    fn engine(text: &str) -> Option<Engine> {
        let command = format!("cat > /dev/null; echo {text}");
        Options::parse_from(["studio", "--command", &command]).engine.engine(None).ok()
    }

    /// Runs a job in a room in which Ada speaks for three seconds.
    async fn run(folder: &Path, metadata: &str) -> Run {
        let spec = JobSpec::room("lobby")
            .metadata(metadata)
            .lasts(Duration::from_secs(2))
            .worker(|worker| worker.auto_subscribe(AutoSubscribe::None))
            .script(|room| async move {
                room.wait_for_agent().await;
                let ada = room.join("ada");
                let track = ada.room().publish_audio(AudioTrackOptions::new("voice")).await.unwrap();
                ada.wait_for_reader(&track.sid()).await;
                let silence = AudioFrame::silence(AudioFormat::MONO_48K, Duration::from_secs(1));
                for sound in [sounds::vowels(AudioFormat::MONO_48K, Duration::from_secs(2)), silence] {
                    track.push(&sound).await.unwrap();
                }
                track.wait_for_playout().await.unwrap();
                track.unpublish().await.unwrap();
            });
        run_job_in_real_time(studio(folder, engine("hello")), spec).await
    }

    #[tokio::test]
    async fn each_action_has_its_agent() {
        let folder = tempfile::tempdir().unwrap();
        let runs = tokio::join!(
            run(folder.path(), r#"{"action":"record","format":"webm","audio_only":true,"priority":"high"}"#),
            run(
                folder.path(),
                r#"{"action":"transcribe","language":"en","realtime_output":true,"request_id":"r-1"}"#
            ),
            run(folder.path(), r#"{"action":"analyze","timeout":60}"#),
        );
        let (recorded, transcribed, analyzed) = runs;
        recorded.assert_success();
        let notices: Vec<Value> =
            recorded.sent_by_agent().map(|sent| serde_json::from_str(&sent.text()).unwrap()).collect();
        let [begun, ended] = &notices[..] else { panic!("{notices:?}") };
        assert!(folder.path().join(begun["file"].as_str().unwrap()).metadata().unwrap().len() > 1_000);
        assert!((ended["duration_seconds"].as_f64().unwrap() - 3.0).abs() < 0.5, "{ended}");

        transcribed.assert_success();
        let texts: Vec<_> = transcribed.texts_by_agent().map(|sent| sent.text.as_str()).collect();
        assert!(!texts.is_empty() && texts.iter().all(|text| *text == "hello"), "{texts:?}");

        analyzed.assert_success();
        let reports = analyzed.sent_by_agent().filter(|sent| sent.topic == "analysis");
        let report: Value = serde_json::from_str(&reports.last().unwrap().text()).unwrap();
        assert_eq!(report[0]["identity"], "ada");
        assert!(report[0]["speech_seconds"].as_f64().unwrap() > 1.0, "{report}");
    }

    #[tokio::test]
    async fn invalid_metadata_are_reported_to_the_server() {
        let folder = tempfile::tempdir().unwrap();
        for (metadata, error) in [
            ("", "$.action: missing field; known: analyze, record, transcribe"),
            (
                r#"{"action":"dance"}"#,
                r#"$.action = "dance": unknown action; known: analyze, record, transcribe"#,
            ),
            (
                r#"{"action":"record","format":"avi"}"#,
                r#"$.format = "avi": expected one of `mp4`, `webm`, `ogg`"#,
            ),
            (
                r#"{"action":"record","quality":"best"}"#,
                r#"$.quality = "best": expected one of `high`, `medium`, `low`"#,
            ),
            (r#"{"action":"record","tracks":["TR_1",2]}"#, "$.tracks[1] = 2: expected a string"),
            (
                r#"{"action":"record","tracks":["TR_1","camera"]}"#,
                r#"$.tracks[1] = "camera": value does not begin with "TR_""#,
            ),
            (r#"{"action":"record","max_duration_seconds":0}"#, "$.max_duration_seconds = 0: lower than 1"),
            (
                r#"{"action":"transcribe","language":"-"}"#,
                r#"$.language = "-": expected a language tag of at most 35 letters, digits and hyphens, such as `en` or `pt-BR`"#,
            ),
        ] {
            let expected = Outcome::Failed { error: format!("invalid_input: {error}") };
            let spec = JobSpec::room("lobby").metadata(metadata);
            let run = agent_testkit::run_job(studio(folder.path(), engine("hello")), spec).await;
            assert_eq!(run.outcome, expected);
        }
    }

    #[test]
    fn the_documentation_comes_from_the_types() {
        let all = studio(Path::new("."), engine("hello")).schema().markdown();
        let (recording, transcription) = all.split_once("### `action`: `\"transcribe\"`").unwrap();
        for row in [
            "### `action`: `\"record\"`",
            "| `timeout` | number or null | no | | at most 4294967295, more than 0 |",
            "| `request_id` | string or number or null | no |",
            "| `format` | `\"mp4\"` or `\"webm\"` or `\"ogg\"` | no | `\"mp4\"` |",
            "| `tracks` | array of string | no | `[]` | at most 32 items | The ids of the tracks, `TR_…`; all tracks if none is named. |",
            "| `max_duration_seconds` | integer or null | no | | 1 to 86400 |",
        ] {
            assert!(recording.contains(row), "{row} is not in\n{recording}");
        }
        assert!(transcription.contains("| `language` | string | no |"), "{transcription}");
    }
}
