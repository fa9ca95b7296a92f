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

use std::num::NonZeroU8;
use std::time::Duration;

use clap::Parser;

use agent_worker::Worker;
use agent_worker::metadata::MetadataSchema;
use agent_worker::room::AutoSubscribe;

mod agent;
mod command;
mod engine;
mod http;
mod metadata;
mod segmenter;
#[cfg(test)]
mod tests;
mod track;

use agent::transcriber;
use command::ShellCommand;
use engine::{BoxError, Engine};
use http::{Form, HttpEndpoint};
use metadata::TranscriptionJobMetadata;

/// Transcribes what participants say, with an engine of yours.
#[derive(Debug, Parser)]
struct Options {
    /// A command of the shell that reads a WAV file from its standard input and prints the text. The
    /// variables SPEECH_LANGUAGE and SPEECH_MODEL are set to those of the job, and may be empty.
    #[arg(long, env = "SPEECH_COMMAND", hide_env_values = true, conflicts_with = "url")]
    command: Option<String>,

    /// An http or https address to which a WAV file is posted, and which responds with the text.
    #[arg(long, env = "SPEECH_URL", hide_env_values = true)]
    url: Option<String>,

    /// Posts a form, as OpenAI's interface has, instead of the file alone.
    #[arg(long, requires = "url", conflicts_with = "command")]
    multipart: bool,

    /// How long the engine may work on a segment, in seconds.
    #[arg(long, default_value = "30", value_parser = clap::value_parser!(u64).range(1..=600))]
    time_limit: u64,

    /// How many segments the engine works on at once.
    #[arg(long, default_value = "4")]
    at_once: NonZeroU8,

    /// Describes the metadata of a job, and ends.
    #[arg(long)]
    metadata: bool,
}

impl Options {
    /// The engine; `api_key` is for an address.
    fn engine(self, api_key: Option<String>) -> Result<Engine, BoxError> {
        let (at_once, limit) = (self.at_once.get().into(), Duration::from_secs(self.time_limit));
        let set = |value: Option<String>| value.filter(|value| !value.trim().is_empty());
        match (set(self.command), set(self.url)) {
            (Some(command), _) => Ok(Engine::new(ShellCommand::new(command), at_once, limit)),
            (None, Some(url)) => {
                let form = if self.multipart { Form::Multipart } else { Form::Wav };
                Ok(Engine::new(HttpEndpoint::new(&url, form, set(api_key).as_deref())?, at_once, limit))
            }
            (None, None) => Err("no engine: give a command that prints the text of a WAV file (--command or SPEECH_COMMAND), or an \
                                 address that returns it (--url or SPEECH_URL)"
                .into()),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let options = Options::parse();
    if options.metadata {
        println!("{}", MetadataSchema::of::<TranscriptionJobMetadata>().markdown());
        return Ok(());
    }
    tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).init();
    // Not an option: others on this machine could read it.
    let engine = options.engine(std::env::var("SPEECH_API_KEY").ok())?;
    let worker = Worker::builder(transcriber(engine)).from_env();
    let worker = worker.default_agent_name("transcriber").auto_subscribe(AutoSubscribe::None);
    worker.build()?.run_until_signal().await?;
    Ok(())
}
