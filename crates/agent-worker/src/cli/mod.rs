//! A command line for programs that run a worker: `start`, `dev`, `connect`, `simulate`, `doctor`, `status`
//! and `schema`.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use agent_worker::{JobContext, JobResult, Worker, cli};
//!
//! async fn greet(ctx: JobContext) -> JobResult {
//!     ctx.room().publish_data("chat", "Hello!").await?;
//!     Ok(())
//! }
//!
//! fn main() -> ExitCode {
//!     cli::main(Worker::builder(greet).agent_name("greeter"))
//! }
//! ```
//!
//! | command | what it does |
//! |---|---|
//! | `start`, or none | runs the worker, and logs lines of JSON: for production |
//! | `dev` | runs the worker, and logs readable text with more details; without any settings it uses the server that `livekit-server --dev` starts |
//! | `connect --room R` | runs the agent in a room, which is created if there is none, until its job ends |
//! | `simulate` | runs one job in a room of its own, until its handler returns (`--cancel-after` cancels it), and deletes the room |
//! | `doctor` | examines settings, machine, server, a job and its media, and reports for each what to do |
//! | `status` | asks the running worker on this machine over HTTP, and prints its state, slots, outcomes and jobs (`--json`: all of it) |
//! | `schema` | prints the JSON Schema of the job's metadata |
//!
//! A setting of the command line overrides that of the program, which overrides the environment; only
//! `LIVEKIT_AGENT_NAME_OVERRIDE` overrides everything. `--help` lists the options of each command.
//!
//! The exit code is 0 after a drain, whatever the signal, and after a job that succeeded; 1 after a failure,
//! of `status` if no live worker answers, and of `doctor` if a check failed;
//! 2 for wrong options or settings; 130 if a second signal aborted jobs.
//!
//! In all commands but `start`, a signal ends jobs at once unless `--drain-timeout` is set: they are
//! cancelled, and have their grace.
//!
//! `start` and `dev` serve [health, status and jobs](crate::http) over HTTP, with a page for people at
//! `/status`: on port 8081 of all addresses, in `dev` on a free port of 127.0.0.1, which the log names;
//! `--http-port` and `--http-host`, or `LIVEKIT_AGENT_HTTP_PORT` and `LIVEKIT_AGENT_HTTP_HOST`, choose
//! another one, and port `off` none. If another program has the port, the exit code is 1.
//!
//! The log is written to the standard error. Its level is `--log-level`, `RUST_LOG`, `LIVEKIT_LOG_LEVEL` or
//! `LOG_LEVEL`, whichever is set first, and otherwise `info`, `debug` of everything but libraries in `dev`,
//! or `warn` in `doctor`. If the program has installed a `tracing` subscriber before, that one is used.
//!
//! With the feature `otel`, `start`, `dev`, `connect` and `simulate` export [traces](crate::guide::traces) if
//! the environment names a collector; the end of the program waits at most five seconds for the last ones.

mod args;
pub mod doctor;
mod error;
mod http;
mod job;
mod json;
mod log;
mod settings;
mod status;
#[cfg(unix)]
mod systemd;
mod traces;

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime;
use tokio::task::JoinSet;

use agent_core::FAILED_EXIT_CODE;
use agent_proto::error_text;
use agent_proto::text::line;

use crate::cli::args::{Args, Command, CommonOptions, Mode};
use crate::cli::error::CliError;
use crate::cli::http::{HttpAddress, admin_token};
use crate::cli::traces::ProgramTraces;
use crate::telemetry::Exporter;
use crate::worker::builder::WorkerBuilder;

/// How long tasks that the worker does not know, such as those of `spawn_blocking`, may delay the end of the
/// process.
const LEFTOVERS: Duration = Duration::from_secs(1);

/// Runs the command line of this process with this worker, on a runtime of its own, and returns the exit
/// code.
///
/// Missing settings are taken from the environment, as [`from_env`](WorkerBuilder::from_env) does.
///
/// ```no_run
/// # async fn agent(_: agent_worker::JobContext) -> agent_worker::JobResult { Ok(()) }
/// fn main() -> std::process::ExitCode {
///     agent_worker::cli::main(agent_worker::Worker::builder(agent))
/// }
/// ```
#[doc(alias = "run_app")]
pub fn main(worker: WorkerBuilder) -> ExitCode {
    match Args::parse(std::env::args_os()) {
        Ok(args) => on_own_runtime(args.chosen(), worker),
        Err(code) => code,
    }
}

/// As [`main`], for a program with its own runtime, or with arguments from elsewhere; the first one is the
/// program's name.
///
/// ```no_run
/// # async fn agent(_: agent_worker::JobContext) -> agent_worker::JobResult { Ok(()) }
/// use agent_worker::{Worker, cli};
///
/// #[tokio::main]
/// async fn main() -> std::process::ExitCode {
///     // … prepare what the agent needs …
///     cli::run(Worker::builder(agent), std::env::args_os()).await
/// }
/// ```
pub async fn run(worker: WorkerBuilder, args: impl IntoIterator<Item = OsString>) -> ExitCode {
    match Args::parse(args) {
        Ok(args) => execute(args.chosen(), worker).await,
        Err(code) => code,
    }
}

/// The commands as a part of a program that has options of its own, which come before them. Without a command
/// it acts as `start`.
///
/// ```no_run
/// # async fn play(_: agent_worker::JobContext, _: std::path::PathBuf) -> agent_worker::JobResult { Ok(()) }
/// use std::path::PathBuf;
/// use std::process::ExitCode;
///
/// use agent_worker::{Worker, cli};
/// use clap::Parser;
///
/// #[derive(Parser)]
/// struct Options {
///     /// The file to play
///     file: PathBuf,
///     #[command(flatten)]
///     cli: cli::Cli,
/// }
///
/// fn main() -> ExitCode {
///     let Options { file, cli } = Options::parse();
///     // `speaker hello.wav dev` develops, `speaker hello.wav` is in production.
///     cli.main(Worker::builder(async move |ctx| play(ctx, file).await))
/// }
/// ```
#[derive(Debug, clap::Args)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

impl Cli {
    /// As [`main`], with what was parsed.
    pub fn main(self, worker: WorkerBuilder) -> ExitCode {
        on_own_runtime(self.command.unwrap_or_default(), worker)
    }

    /// As [`run`], with what was parsed.
    pub async fn run(self, worker: WorkerBuilder) -> ExitCode {
        execute(self.command.unwrap_or_default(), worker).await
    }
}

fn on_own_runtime(command: Command, worker: WorkerBuilder) -> ExitCode {
    match runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(execute(command, worker));
            runtime.shutdown_timeout(LEFTOVERS);
            code
        }
        Err(error) => ended_with(FAILED_EXIT_CODE, &error),
    }
}

async fn execute(command: Command, worker: WorkerBuilder) -> ExitCode {
    match carry_out(command, worker).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => ended_with(error.exit_code(), &error),
    }
}

async fn carry_out(command: Command, worker: WorkerBuilder) -> Result<(), CliError> {
    match command {
        Command::Start(options) => {
            let run = async |worker| keep_running(worker, http::address(&options.http, Mode::Start)?).await;
            traced(worker, &options.common, Mode::Start, run).await
        }
        Command::Dev(options) => {
            let run = async |worker| keep_running(worker, http::address(&options.http, Mode::Dev)?).await;
            traced(worker, &options.common, Mode::Dev, run).await
        }
        Command::Connect(options) => {
            let common = options.common.clone();
            traced(worker, &common, Mode::OneJob, async |worker| job::connect(worker, options).await).await
        }
        Command::Simulate(options) => {
            let common = options.common.clone();
            traced(worker, &common, Mode::OneJob, async |worker| job::simulate(worker, options).await).await
        }
        Command::Doctor(options) => {
            log::install(&options.common.log, Mode::Doctor, None)?;
            let worker = settings::complete(worker, &options.common, Mode::Doctor);
            Ok(doctor::run(worker, http::address(&options.http, Mode::Start)?).await?)
        }
        Command::Status(options) => status::status(&options).await,
        Command::Schema(options) => settings::print_schema(&worker, options.format),
    }
}

/// Installs the log and, if the environment asks for it, the exporter of traces; completes the settings of
/// the worker, and runs it.
async fn traced(
    worker: WorkerBuilder,
    options: &CommonOptions,
    mode: Mode,
    run: impl AsyncFnOnce(WorkerBuilder) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let traces = ProgramTraces::start()?;
    log::install(&options.log, mode, traces.layer())?;
    traces.announce();
    let result = run(settings::complete(worker, options, mode)).await;
    traces.end().await;
    result
}

async fn keep_running(worker: WorkerBuilder, http: Option<HttpAddress>) -> Result<(), CliError> {
    let worker = worker.build()?;
    // They end with the program: they report while the worker drains, too.
    let mut reporting = JoinSet::new();
    if let Some(address) = http {
        let token = admin_token()?;
        let mut server = address.listen().await?;
        if let Some(token) = token {
            server = server.admin_token(token);
        }
        // A recorder of the program's own has its own way out.
        if let Some(exporter) = Exporter::install()? {
            reporting.spawn(exporter.clone().keep_up());
            server = server.metrics(move || exporter.render());
        }
        reporting.spawn(server.serve([worker.handle()]));
    }
    #[cfg(unix)]
    reporting.spawn(systemd::report(worker.handle()));
    worker.run_until_signal().await?;
    Ok(())
}

/// Shows why the program ends. Nothing is lost if it is not read: the exit code shows it, too.
fn ended_with(code: u8, error: &dyn Error) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {}", line(error_text::chain(error)));
    code.into()
}
