//! How long a worker takes from its start to its registration, and what it needs while it is idle: ours as a
//! static program, and the official workers, one after the other on one mock server.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use tokio::process::{Child, Command};

use agent_testkit::{MockServer, OfficialWorker, OfficialWorkerKind, OfficialWorkerOptions, ServerEvent};

use crate::processes::{Of, load_average};
use crate::table::median;

/// The first start of an official worker may compile its files.
const SOON: Duration = Duration::from_secs(120);

/// How the start is measured.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Our worker, a program with the command line of `agent_worker::cli`.
    #[arg(long, default_value = "target/x86_64-unknown-linux-musl/release/greeter")]
    program: PathBuf,
    /// Rounds; each starts every worker once. The table shows medians.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each worker is idle before its memory is read, in seconds.
    #[arg(long, default_value_t = 10)]
    idle: u64,
    /// Everything once, as short as it gets: shows that it works.
    #[arg(long)]
    quick: bool,
}

/// A worker that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ours,
    Official(OfficialWorkerKind),
}

/// One start of a worker.
struct Start {
    registered: Duration,
    memory: u64,
    processes: usize,
}

/// What runs, and ends when it is dropped.
enum Running {
    Ours(Child),
    Official(OfficialWorker),
}

impl Kind {
    const ALL: [Self; 4] = [
        Self::Ours,
        Self::Official(OfficialWorkerKind::PythonThread),
        Self::Official(OfficialWorkerKind::PythonProcess),
        Self::Official(OfficialWorkerKind::Node),
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Official(OfficialWorkerKind::PythonThread) => "Python, threads",
            Self::Official(OfficialWorkerKind::PythonProcess) => "Python, processes",
            Self::Official(_) => "Node.js",
        }
    }

    async fn start(self, program: &Path, server: &MockServer, agent: &str) -> Result<Running> {
        let (url, key, secret) = (server.url(), server.api_key(), server.api_secret());
        Ok(match self {
            Self::Ours => Running::Ours(
                Command::new(program)
                    .env("LIVEKIT_URL", url)
                    .env("LIVEKIT_API_KEY", key)
                    .env("LIVEKIT_API_SECRET", secret.expose())
                    .env("LIVEKIT_AGENT_NAME_OVERRIDE", agent)
                    .env("LIVEKIT_AGENT_HTTP_PORT", "0")
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .process_group(0)
                    .kill_on_drop(true)
                    .spawn()
                    .with_context(|| format!("{} cannot be started", program.display()))?,
            ),
            Self::Official(kind) => {
                let options = OfficialWorkerOptions::new(url, key, secret.clone(), agent);
                Running::Official(OfficialWorker::spawn(kind, &options).await?)
            }
        })
    }
}

impl Running {
    fn group(&self) -> Result<Of> {
        let pid = match self {
            Self::Ours(child) => child.id(),
            Self::Official(worker) => worker.pid(),
        };
        Ok(Of::Group(pid.context("the worker has ended")?))
    }
}

/// Runs all rounds; returns the table of figures.
pub(crate) fn run(options: &Options) -> Result<String> {
    let mut options = options.clone();
    ensure!((1..=50).contains(&options.rounds), "--rounds is {}: give 1 to 50", options.rounds);
    ensure!(options.idle <= 600, "--idle is {}: give at most 600", options.idle);
    if options.quick {
        (options.rounds, options.idle) = (1, 1);
    }
    let size =
        std::fs::metadata(&options.program).with_context(|| options.program.display().to_string())?.len();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let starts = runtime.block_on(rounds(&options))?;
    let mut text = format!(
        "{:<18} {:>16} {:>12} {:>10}   medians of {} rounds, load average {}\n",
        "worker",
        "to registered ms",
        "idle MiB",
        "processes",
        options.rounds,
        load_average(),
    );
    for (kind, starts) in Kind::ALL.iter().zip(&starts) {
        let of = |value: fn(&Start) -> f64| median(&starts.iter().map(value).collect::<Vec<_>>());
        let _ = writeln!(
            text,
            "{:<18} {:>16.0} {:>12.1} {:>10.0}",
            kind.name(),
            of(|start| start.registered.as_secs_f64() * 1000.0),
            of(|start| start.memory as f64 / f64::from(1 << 20)),
            of(|start| start.processes as f64),
        );
    }
    let _ = writeln!(text, "{}: {:.1} MiB", options.program.display(), size as f64 / f64::from(1 << 20));
    Ok(text)
}

/// The starts of each kind.
async fn rounds(options: &Options) -> Result<[Vec<Start>; Kind::ALL.len()]> {
    let server = MockServer::start().await?;
    let mut starts = <[Vec<Start>; Kind::ALL.len()]>::default();
    for round in 0..options.rounds {
        for (kind, starts) in Kind::ALL.into_iter().zip(&mut starts) {
            let agent = format!("{kind:?}-{round}").replace(['(', ')'], "-");
            starts.push(start(kind, options, &server, &agent).await.with_context(|| kind.name())?);
        }
    }
    Ok(starts)
}

async fn start(kind: Kind, options: &Options, server: &MockServer, agent: &str) -> Result<Start> {
    let begun = Instant::now();
    let running = kind.start(&options.program, server, agent).await?;
    let is_it = |event: &ServerEvent| matches!(event, ServerEvent::Registered { agent_name, .. } if agent_name == agent);
    tokio::time::timeout(SOON, server.wait_for(is_it)).await.context("it has not registered")?;
    let registered = begun.elapsed();
    tokio::time::sleep(Duration::from_secs(options.idle)).await;
    let group = running.group()?;
    let (memory, processes) = group.memory()?;
    Ok(Start { registered, memory, processes })
}
