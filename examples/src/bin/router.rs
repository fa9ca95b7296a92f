//! One worker for several tasks: the `action` in a job's metadata selects one, and each has its own type of
//! metadata.
//!
//! `cargo run -p examples --bin router -- --schema` prints the schema of the metadata, as documentation for
//! dispatchers. Run it with `LIVEKIT_URL`, `LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET` set, then: `lk dispatch
//! create --agent-name studio --room lobby --metadata
//! '{"action":"record","format":"webm","max_duration_seconds":60}'`.
//!
//! The two agents receive no media: they publish in their room what they would record, and whom they would
//! transcribe.

#![allow(clippy::print_stdout, reason = "an example prints to its terminal")]

use std::time::Duration;

use garde::Validate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use agent_worker::metadata::MetadataFormat;
use agent_worker::room::{Participant, TrackKind};
use agent_worker::{JobContext, JobResult, RoomEvent, Router, Worker, typed};

/// Records tracks of the room.
#[derive(Debug, Default, Deserialize, JsonSchema, Validate)]
#[serde(default)]
struct RecordingJobMetadata {
    /// The container.
    #[garde(skip)]
    format: Format,
    /// The video quality.
    #[garde(skip)]
    quality: Quality,
    /// Excludes video.
    #[garde(skip)]
    audio_only: bool,
    /// The ids of the tracks, `TR_…`; all tracks if none is named.
    #[garde(length(max = 32), inner(prefix("TR_")))]
    tracks: Vec<String>,
    /// When to stop, in seconds; at the end of the room if missing.
    #[garde(range(min = 1, max = 86_400))]
    max_duration_seconds: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Mp4,
    Webm,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Quality {
    High,
    #[default]
    Medium,
    Low,
}

/// Transcribes participants.
#[derive(Debug, Deserialize, JsonSchema, Validate)]
struct TranscriptionJobMetadata {
    /// The spoken language, such as `en` or `pt-BR`.
    #[garde(length(min = 2, max = 35))]
    language: String,
    /// The model to use.
    #[serde(default = "default_model")]
    #[garde(length(min = 1))]
    model: String,
    /// The identities to transcribe; all participants if empty.
    #[serde(default)]
    #[garde(length(max = 100))]
    participants: Vec<String>,
    /// Outputs words as they are recognised, not only whole sentences.
    #[serde(default)]
    #[garde(skip)]
    realtime_output: bool,
}

fn default_model() -> String {
    "general".to_owned()
}

async fn record(ctx: JobContext, metadata: RecordingJobMetadata) -> JobResult {
    let RecordingJobMetadata { format, quality, audio_only, tracks, max_duration_seconds } = metadata;
    let mut events = ctx.room().events();
    let recording = async {
        while let Some(event) = events.next().await {
            if let RoomEvent::TrackPublished { track, .. } = event
                && (tracks.is_empty() || tracks.contains(&track.sid))
                && !(audio_only && track.kind == TrackKind::Video)
            {
                let text = format!("would record {} as {format:?}, {quality:?}", track.sid);
                ctx.room().publish_data("recording", text).await?;
            }
        }
        JobResult::Ok(())
    };
    let limit = max_duration_seconds.map_or(Duration::MAX, Duration::from_secs);
    tokio::select! {
        result = recording => result?,
        () = tokio::time::sleep(limit) => ctx.room().publish_data("recording", "done").await?,
        reason = ctx.cancelled() => return Err(reason.into()),
    }
    Ok(())
}

async fn transcribe(ctx: JobContext, metadata: TranscriptionJobMetadata) -> JobResult {
    let TranscriptionJobMetadata { language, model, participants, realtime_output } = metadata;
    let wanted = |who: &Participant| participants.is_empty() || participants.contains(&who.identity);
    let mut events = ctx.room().events();
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(RoomEvent::ParticipantJoined(who)) if wanted(&who) => {
                    let how = if realtime_output { "word by word" } else { "by sentences" };
                    let text = format!("would transcribe {} in {language} with {model}, {how}", who.identity);
                    ctx.room().publish_data("transcription", text).await?;
                }
                Some(_) => {}
                None => return Ok(()),
            },
            reason = ctx.cancelled() => return Err(reason.into()),
        }
    }
}

fn studio() -> Router {
    Router::new()
        .action("record", typed(MetadataFormat::or_default().validated().with_schema(), record))
        .action("transcribe", typed(MetadataFormat::required().validated().with_schema(), transcribe))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    if std::env::args().any(|argument| argument == "--schema") {
        println!("{}", studio().schema().markdown());
        return Ok(());
    }
    tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).init();
    Worker::builder(studio()).from_env().agent_name("studio").build()?.run_until_signal().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use agent_testkit::{JobSpec, Run, run_job};
    use agent_worker::Outcome;
    use agent_worker::room::TrackSource;

    use super::*;

    async fn run(metadata: &str) -> Run {
        let spec = JobSpec::room("lobby").metadata(metadata).script(|room| async move {
            room.wait_for_agent().await;
            let ada = room.join("ada");
            ada.publish("voice", TrackKind::Audio, TrackSource::Microphone);
            ada.publish("face", TrackKind::Video, TrackSource::Camera);
            room.join("bob");
        });
        run_job(studio(), spec).await
    }

    fn said(run: &Run) -> Vec<String> {
        run.sent_by_agent().map(|sent| sent.text()).collect()
    }

    #[tokio::test]
    async fn a_recording_has_the_requested_format_and_ends_in_time() {
        let run =
            run(r#"{"action":"record","format":"webm","audio_only":true,"max_duration_seconds":30}"#).await;
        run.assert_success();
        let [first, last] = said(&run).try_into().expect("one track, and the end");
        assert!(first.starts_with("would record TR_") && first.ends_with("as Webm, Medium"), "{first}");
        assert_eq!(last, "done");
        assert!(run.duration >= Duration::from_secs(30), "{:?}", run.duration);
    }

    #[tokio::test]
    async fn a_recording_without_settings_takes_all_until_the_room_ends() {
        let run = run(r#"{"action":"record"}"#).await;
        run.assert_success();
        assert_eq!(said(&run).len(), 2);
    }

    #[tokio::test]
    async fn a_transcription_listens_to_those_who_are_named() {
        let run =
            run(r#"{"action":"transcribe","language":"de","participants":["bob"],"realtime_output":true}"#);
        let run = run.await;
        run.assert_success();
        assert_eq!(said(&run), ["would transcribe bob in de with general, word by word"]);
    }

    #[tokio::test]
    async fn invalid_metadata_are_reported_to_the_server() {
        for (metadata, error) in [
            ("", "$.action: missing field; known: record, transcribe"),
            (r#"{"action":"dance"}"#, r#"$.action = "dance": unknown action; known: record, transcribe"#),
            (r#"{"action":"record","format":"avi"}"#, r#"$.format = "avi": expected `mp4` or `webm`"#),
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
            (r#"{"action":"transcribe"}"#, "$.language: missing field"),
            (r#"{"action":"transcribe","language":""}"#, r#"$.language = "": length is lower than 2"#),
        ] {
            let expected = Outcome::Failed { error: format!("invalid_input: {error}") };
            assert_eq!(run(metadata).await.outcome, expected);
        }
    }

    #[test]
    fn the_documentation_comes_from_the_types() {
        let all = studio().schema().markdown();
        let (recording, transcription) = all.split_once("### `action`: `\"transcribe\"`").unwrap();
        for row in [
            "### `action`: `\"record\"`",
            "| `timeout` | number or null | no | | at most 4294967295, more than 0 |",
            "| `request_id` | string or number or null | no |",
            "| `format` | `\"mp4\"` or `\"webm\"` | no | `\"mp4\"` | | The container. |",
            "| `tracks` | array of string | no | `[]` | at most 32 items | The ids of the tracks, `TR_…`; all tracks if none is named. |",
            "| `max_duration_seconds` | integer or null | no | | 1 to 86400 |",
        ] {
            assert!(recording.contains(row), "{row} is not in\n{recording}");
        }
        assert!(
            transcription.contains("| `language` | string | yes | | 2 to 35 characters |"),
            "{transcription}"
        );
    }
}
