//! Which engine turns speech into text, as the options of a program.

use std::num::NonZeroU8;
use std::time::Duration;

use clap::Args;

use super::command::ShellCommand;
use super::engine::{BoxError, Engine};
use super::http::{Form, HttpEndpoint};

/// The options of the engine.
#[derive(Debug, Args)]
pub struct EngineOptions {
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
}

impl EngineOptions {
    /// Whether there is an engine.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.command.is_some() || self.url.is_some()
    }

    /// The engine; `api_key` is for an address. It is no option, as others on this machine could read it.
    ///
    /// # Errors
    /// If there is none, or its address cannot be used.
    pub fn engine(self, api_key: Option<String>) -> Result<Engine, BoxError> {
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
