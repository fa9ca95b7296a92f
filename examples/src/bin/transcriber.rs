//! Transcribes what participants say: segments their speech by voice activity, passes each segment to an
//! engine of yours, and sends the texts as front ends show them, for the speaker and its track.
//!
//! Run it with `LIVEKIT_URL`, `LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET` set, and with an engine:
//!
//! - `cargo run -p examples --bin transcriber -- --command 'my-engine --language "$SPEECH_LANGUAGE"'`: a
//!   command of the shell that reads a WAV file (16 kHz mono) from its standard input and prints the text
//! - `… --url https://speech.example.com/recognize`: the WAV file is posted there, with the parameters
//!   `language` and `model`; the response is plain text, or JSON with the field `text`
//! - `… --url https://api.example.com/v1/audio/transcriptions --multipart`: the same as a form, as OpenAI's
//!   interface and others like it have; `SPEECH_API_KEY` is the bearer token
//!
//! Then dispatch the agent `transcriber` to a room, for example with the metadata
//! `{"action":"transcribe","language":"en","participants":["ada"],"realtime_output":true}`. With
//! `realtime_output` texts are sent while people speak: interim ones each second, and the final one after a
//! pause. Without it they are collected, and sent when the speaker's track ends, or the job: to those who are
//! in the room then. `--metadata` describes the metadata.

#![allow(clippy::print_stdout, reason = "an example talks to its terminal")]

use clap::Parser;

use agent_worker::Worker;
use agent_worker::metadata::MetadataSchema;
use agent_worker::room::AutoSubscribe;

use examples::{BoxError, EngineOptions, TranscriptionJobMetadata, transcriber};

/// Transcribes what participants say, with an engine of yours.
#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    engine: EngineOptions,

    /// Describes the metadata of a job, and ends.
    #[arg(long)]
    metadata: bool,
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let options = Options::parse();
    if options.metadata {
        println!("{}", MetadataSchema::of::<TranscriptionJobMetadata>().markdown());
        return Ok(());
    }
    tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).init();
    let engine = options.engine.engine(std::env::var("SPEECH_API_KEY").ok())?;
    let worker = Worker::builder(transcriber(engine)).from_env();
    let worker = worker.default_agent_name("transcriber").auto_subscribe(AutoSubscribe::None);
    worker.build()?.run_until_signal().await?;
    Ok(())
}
