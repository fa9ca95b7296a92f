//! Where the command line finds the settings of a worker: its options, the program, the environment, and in
//! `dev` a server on this machine.

use std::io::{self, Write};
use std::time::Duration;

use agent_proto::Secret;

use crate::cli::args::{CommonOptions, Mode, SchemaFormat, ServerOptions};
use crate::cli::error::CliError;
use crate::worker::builder::WorkerBuilder;
use crate::worker::server::ServerSettings;

/// What `livekit-server --dev` serves.
const LOCAL_URL: &str = "ws://localhost:7880";
const LOCAL_KEY: &str = "devkey";
const LOCAL_SECRET: &str = "secret";

/// Adds the options to the settings of the program, and fills in what is missing.
pub(super) fn complete(mut worker: WorkerBuilder, options: &CommonOptions, mode: Mode) -> WorkerBuilder {
    // In development, Ctrl-C does not wait for jobs.
    let limit = options.drain_timeout.or((mode != Mode::Start).then_some(Duration::ZERO));
    if let Some(limit) = limit {
        worker = worker.drain_timeout(limit);
    }
    options.server.override_in(worker.server_settings());
    worker = worker.from_env();
    if mode == Mode::Dev && use_local(worker.server_settings()) {
        tracing::info!("no server is set: using ws://localhost:7880 with the key of `livekit-server --dev`");
    }
    worker
}

impl ServerOptions {
    fn override_in(&self, server: &mut ServerSettings) {
        let Self { url, api_key, api_secret } = self.clone();
        server.url = url.or_else(|| server.url.take());
        server.api_key = api_key.or_else(|| server.api_key.take());
        server.api_secret = api_secret.or_else(|| server.api_secret.take());
    }
}

/// Chooses the server on this machine if none is set. Returns whether it did.
fn use_local(server: &mut ServerSettings) -> bool {
    let nothing = server.url.is_none() && server.api_key.is_none() && server.api_secret.is_none();
    if nothing {
        server.url = Some(LOCAL_URL.to_owned());
        server.api_key = Some(LOCAL_KEY.to_owned());
        server.api_secret = Some(Secret::from(LOCAL_SECRET.to_owned()));
    }
    nothing
}

/// Prints the schema of the agent's metadata.
pub(super) fn print_schema(worker: &WorkerBuilder, format: SchemaFormat) -> Result<(), CliError> {
    let text = schema(worker, format).map_err(CliError::Schema)?;
    writeln!(io::stdout(), "{text}").map_err(CliError::Output)
}

#[cfg(feature = "schema")]
fn schema(worker: &WorkerBuilder, format: SchemaFormat) -> Result<String, &'static str> {
    let schema = worker.metadata_schema().ok_or(
        "the schema of this agent's metadata is not known: declare its type by `.metadata_format(MetadataFormat::or_default().with_schema())`, which needs `schemars::JsonSchema` for it",
    )?;
    Ok(match format {
        SchemaFormat::Json => schema.json(),
        SchemaFormat::Markdown => schema.markdown(),
    })
}

#[cfg(not(feature = "schema"))]
const fn schema(_: &WorkerBuilder, _: SchemaFormat) -> Result<String, &'static str> {
    Err("this program was built without the feature `schema` of agent-worker")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: Option<&str>, key: Option<&str>) -> ServerSettings {
        ServerSettings {
            url: url.map(str::to_owned),
            api_key: key.map(str::to_owned),
            api_secret: None,
            ..ServerSettings::default()
        }
    }

    #[test]
    fn options_override_the_program() {
        let mut server = settings(Some("ws://program"), Some("program"));
        let options = ServerOptions { url: Some("ws://option".to_owned()), ..ServerOptions::default() };
        options.override_in(&mut server);
        assert_eq!(
            (server.url.as_deref(), server.api_key.as_deref()),
            (Some("ws://option"), Some("program"))
        );
    }

    /// A key without a server is a mistake to be reported, not a reason to use another server.
    #[test]
    fn a_local_server_is_used_only_if_nothing_is_set() {
        let mut nothing = settings(None, None);
        assert!(use_local(&mut nothing));
        assert_eq!(nothing.url.as_deref(), Some(LOCAL_URL));
        for mut set in [settings(Some("ws://h"), None), settings(None, Some("key"))] {
            assert!(!use_local(&mut set));
            assert!(set.api_secret.is_none());
        }
    }
}
