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
//! in the room then. `transcriber --command … schema` describes the metadata.

use std::process::ExitCode;

use clap::Parser;

use agent_worker::Worker;
use agent_worker::cli::Cli;
use agent_worker::room::AutoSubscribe;

use examples::{BoxError, EngineOptions, transcriber};

/// Transcribes what participants say, with an engine of yours.
#[derive(Debug, Parser)]
struct Options {
    #[command(flatten)]
    engine: EngineOptions,

    #[command(flatten)]
    cli: Cli,
}

fn main() -> Result<ExitCode, BoxError> {
    let Options { engine, cli } = Options::parse();
    let engine = engine.engine(std::env::var("SPEECH_API_KEY").ok())?;
    let worker = Worker::builder(transcriber(engine)).default_agent_name("transcriber");
    Ok(cli.main(worker.auto_subscribe(AutoSubscribe::None)))
}
