//! The arguments of the command line.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches};

use agent_proto::Secret;

/// Runs a LiveKit agent.
///
/// Options override the settings of the program, which override the environment.
#[derive(Debug, clap::Parser)]
#[command(
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "Without a command it acts as `start`."
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    start: StartOptions,
}

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Runs the worker, for production: the log is lines of JSON
    Start(StartOptions),
    /// Runs the worker while you develop: a readable log with more details
    ///
    /// If neither the server nor its key and secret are set, it uses ws://localhost:7880 with the key and
    /// secret of `livekit-server --dev`.
    Dev(DevOptions),
    /// Runs the agent in one room, until its job ends
    ///
    /// The room is created if there is none. The agent gets a name of its own, so that it is not offered
    /// other jobs. Its checkpoints are under that name, so that none is resumed.
    Connect(ConnectOptions),
    /// Runs one job in a room of its own, shows how it ended, and deletes the room
    ///
    /// The room stays empty if nobody else joins it. A handler that waits for participants, or for the end
    /// of its job, ends by Ctrl-C or --cancel-after, or when the server closes the empty room after 5
    /// minutes. As with `connect`, no checkpoint is resumed.
    Simulate(SimulateOptions),
    /// Examines what the worker needs, step by step: settings, this machine, the server, a job and its media
    ///
    /// Each line says that it works, or what to do. The agent itself is not run: the job is one of its own,
    /// in a room of its own.
    Doctor(DoctorOptions),
    /// Shows a running worker: its state, slots, outcomes and jobs
    ///
    /// It asks the worker's HTTP server on this machine. The exit code is 1 if no live worker answers.
    Status(StatusOptions),
    /// Prints the JSON Schema of the metadata that the agent accepts
    Schema(SchemaOptions),
}

#[derive(Debug, Default, clap::Args)]
pub(super) struct StartOptions {
    #[command(flatten)]
    pub(super) common: CommonOptions,
    #[command(flatten)]
    pub(super) http: HttpOptions,
    /// Of the official command line; it has no effect
    #[arg(long, hide = true)]
    simulation: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct DevOptions {
    #[command(flatten)]
    pub(super) common: CommonOptions,
    #[command(flatten)]
    pub(super) http: HttpOptions,
    /// Of the official command line, where an interpreter loads changed files; it has no effect
    #[arg(long, hide = true, overrides_with = "no_reload")]
    reload: bool,
    /// See --reload
    #[arg(long, hide = true)]
    no_reload: bool,
    /// Passed by `lk agent dev`, to watch the worker; it has no effect
    #[arg(long, hide = true, value_name = "HOST:PORT")]
    cli_addr: Option<String>,
    /// Passed by `lk agent dev`, as --cli-addr
    #[arg(long, hide = true, value_name = "HOST:PORT")]
    reload_addr: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct ConnectOptions {
    /// The name of the room
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) room: String,
    /// The metadata of the job
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(super) metadata: String,
    #[command(flatten)]
    pub(super) common: CommonOptions,
}

#[derive(Debug, clap::Args)]
pub(super) struct SimulateOptions {
    /// The name of the room, which must not exist [default: a new name]
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(super) room: Option<String>,
    /// The metadata of the job
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(super) metadata: String,
    /// How long the job may run, then it has failed: 90 (seconds), 90s, 10m, 1h [default: that of the
    /// program, or without a limit]
    ///
    /// A shorter `timeout` in the metadata counts.
    #[arg(long, value_name = "TIME", value_parser = time_limit, allow_negative_numbers = true)]
    pub(super) timeout: Option<Duration>,
    /// Cancels the job after this time, as a worker that stops does: for a handler that waits for that
    #[arg(long, value_name = "TIME", value_parser = duration, allow_negative_numbers = true)]
    pub(super) cancel_after: Option<Duration>,
    #[command(flatten)]
    pub(super) common: CommonOptions,
}

#[derive(Debug, clap::Args)]
pub(super) struct DoctorOptions {
    #[command(flatten)]
    pub(super) common: CommonOptions,
    #[command(flatten)]
    pub(super) http: HttpOptions,
}

#[derive(Debug, clap::Args)]
pub(super) struct StatusOptions {
    /// The port of the worker's HTTP server [default: 8081] [env: LIVEKIT_AGENT_HTTP_PORT]
    #[arg(long, value_name = "PORT", allow_negative_numbers = true)]
    pub(super) http_port: Option<String>,
    /// Its address [default: 127.0.0.1] [env: LIVEKIT_AGENT_HTTP_HOST]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) http_host: Option<String>,
    /// Prints an object of JSON with the answers of /worker and /jobs
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct SchemaOptions {
    /// How it is written
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    pub(super) format: SchemaFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum SchemaFormat {
    /// A JSON Schema (draft 2020-12)
    Json,
    /// A table of the fields, for people
    Markdown,
}

/// What every command that runs a worker takes.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct CommonOptions {
    /// How long jobs may go on after SIGTERM or SIGINT: 90 (seconds), 90s, 10m, 1h [default: for start
    /// that of the program, or 1h; else 0]
    #[arg(long, value_name = "TIME", value_parser = duration, allow_negative_numbers = true)]
    pub(super) drain_timeout: Option<Duration>,
    #[command(flatten)]
    pub(super) server: ServerOptions,
    #[command(flatten)]
    pub(super) log: LogOptions,
}

#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Server")]
pub(super) struct ServerOptions {
    /// The server, such as wss://example.livekit.cloud [env: LIVEKIT_URL]
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// The API key [env: LIVEKIT_API_KEY]
    #[arg(long, value_name = "KEY")]
    pub(super) api_key: Option<String>,
    /// The API secret; others on this machine see it here, so prefer the environment [env:
    /// LIVEKIT_API_SECRET]
    #[arg(long, value_name = "SECRET", value_parser = secret)]
    pub(super) api_secret: Option<Secret>,
}

#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Log")]
pub(super) struct LogOptions {
    /// trace, debug, info, warn, error or off, also of modules: warn,my_agent=debug [env: RUST_LOG,
    /// LIVEKIT_LOG_LEVEL, LOG_LEVEL]
    #[arg(long, value_name = "LEVEL")]
    pub(super) log_level: Option<String>,
    /// How its lines are written [default: json; text in dev and for a single job]
    #[arg(long, value_name = "FORMAT")]
    pub(super) log_format: Option<LogFormat>,
}

#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Health and status over HTTP")]
pub(super) struct HttpOptions {
    /// The port: 0 for a free one, off for none [default: 8081, in dev a free one] [env:
    /// LIVEKIT_AGENT_HTTP_PORT]
    #[arg(long, value_name = "PORT", allow_negative_numbers = true)]
    pub(super) http_port: Option<String>,
    /// The address to listen on [default: all, in dev 127.0.0.1] [env: LIVEKIT_AGENT_HTTP_HOST]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) http_host: Option<String>,
}

/// The form of the log's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum LogFormat {
    /// An object of JSON in each line
    Json,
    /// Text for people, coloured on a terminal
    #[value(alias = "colored")]
    Text,
}

/// What a worker is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Production.
    Start,
    /// Development.
    Dev,
    /// One job.
    OneJob,
    /// An examination.
    Doctor,
}

impl Args {
    /// Parses the arguments, of which the first one is the program. What is wrong with them, or the help, is
    /// printed; then the result is the exit code.
    pub(super) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, ExitCode> {
        Self::try_parse(args).map_err(|error| {
            // As clap itself does: nobody may read it.
            let _ = error.print();
            if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS }
        })
    }

    fn try_parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let args: Vec<OsString> = args.into_iter().collect();
        let program = args.first().and_then(|path| Path::new(path).file_stem()).and_then(OsStr::to_str);
        let name = program.unwrap_or("agent").to_owned();
        let mut matches = Self::command().bin_name(name).try_get_matches_from(args)?;
        Self::from_arg_matches_mut(&mut matches)
    }

    /// What is to be done.
    pub(super) fn chosen(self) -> Command {
        self.command.unwrap_or(Command::Start(self.start))
    }
}

impl Default for Command {
    fn default() -> Self {
        Self::Start(StartOptions::default())
    }
}

fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::from(text.to_owned()))
}

/// Longer times are a mistake, and clocks cannot add them.
const MAX_TIME: u64 = 365 * 24 * 3600;

/// As [`duration`], and more than nothing.
fn time_limit(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("no job ends in no time: give at least 1s".to_owned()),
        limit => Ok(limit),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) if text.ends_with('m') => (number, 60),
        Some(number) if text.ends_with('h') => (number, 3600),
        Some(number) => (number, 1),
        None => (text, 1),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    match seconds {
        Some(seconds) if seconds <= MAX_TIME => Ok(Duration::from_secs(seconds)),
        _ => {
            Err("write whole seconds, or a number with s, m or h, of at most a year: 90, 10m, 1h".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Command, String> {
        let args = ["/bin/greeter"].iter().chain(args).map(OsString::from);
        Args::try_parse(args).map(Args::chosen).map_err(|error| error.to_string())
    }

    fn common(args: &[&str]) -> CommonOptions {
        match parsed(args).unwrap() {
            Command::Start(options) => options.common,
            other => panic!("{other:?}"),
        }
    }

    /// Not as unknown options.
    #[test]
    fn negative_numbers_are_wrong_values() {
        for args in [&["start", "--drain-timeout", "-1"], &["simulate", "--timeout", "-5"]] {
            let error = parsed(args).unwrap_err();
            assert!(error.contains(args[1]) && error.contains("write whole seconds"), "{error}");
        }
        assert!(matches!(parsed(&["status", "--http-port", "-1"]), Ok(Command::Status(_))));
        assert!(parsed(&["start", "--http-port", "-1"]).is_ok(), "the port is read later");
        // An option that follows is no value.
        assert!(parsed(&["start", "--drain-timeout", "--log-level", "info"]).is_err());
    }

    #[test]
    fn clap_finds_no_fault_in_it() {
        Args::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_starts() {
        for args in [&[][..], &["start"]] {
            assert!(matches!(parsed(args), Ok(Command::Start(_))), "{args:?}");
        }
        let options = common(&["--url", "ws://here", "--drain-timeout=10m"]);
        assert_eq!(options.server.url.as_deref(), Some("ws://here"));
        assert_eq!(options.drain_timeout, Some(Duration::from_secs(600)));
    }

    /// As supervisors of the official SDKs call their workers.
    #[test]
    fn options_of_the_official_command_line_are_accepted() {
        for args in [
            &["start", "--simulation"][..],
            &["dev", "--reload"],
            &["dev", "--no-reload", "--cli-addr", "127.0.0.1:5000"],
            &["dev", "--reload-addr", "127.0.0.1:5000"],
            &["start", "--log-level", "DEBUG", "--url", "ws://h", "--api-key", "k", "--api-secret", "s"],
        ] {
            assert!(parsed(args).is_ok(), "{args:?}: {:?}", parsed(args).err());
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (args, named) in [
            (&["begin"][..], "begin"),
            (&["connect"], "--room"),
            (&["connect", "--room", ""], "--room"),
            (&["start", "--drain-timeout", "soon"], "write whole seconds"),
            (&["start", "--drain-timeout", "99999999999999999999h"], "at most a year"),
            (&["start", "--drain-timeout", "-1"], "-1"),
            (&["dev", "--log-format", "xml"], "json, text"),
            (&["schema", "--url", "ws://h"], "--url"),
            (&["simulate", "--http-port", "0"], "--http-port"),
        ] {
            let error = parsed(args).err().unwrap_or_default();
            assert!(error.contains(named), "{args:?}: {error}");
            let usage = error.lines().find(|line| line.starts_with("Usage"));
            assert!(usage.is_none_or(|usage| usage.contains("greeter")), "{error}");
        }
    }

    #[test]
    fn times_have_units() {
        for (text, seconds) in [("0", 0), ("90", 90), ("90s", 90), ("10m", 600), ("1h", 3600)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "s", "1.5", "1d", "1 h", "8761h"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let command = parsed(&["start", "--api-secret", "s3cret"]).unwrap();
        assert!(!format!("{command:?}").contains("s3cret"));
    }

    /// Someone who asks for help finds each command and the server's variables.
    #[test]
    fn help_names_commands_and_variables() {
        let help = parsed(&["--help"]).unwrap_err();
        for word in
            ["start", "dev", "connect", "simulate", "doctor", "status", "schema", "LIVEKIT_URL", "act"]
        {
            assert!(help.contains(word), "{word}: {help}");
        }
        assert!(!help.contains("cli-addr") && !help.contains("--simulation"), "{help}");
    }
}
