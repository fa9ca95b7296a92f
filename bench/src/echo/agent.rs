//! The agents that repeat sound, each in processes of its own.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use agent_testkit::{DispatchRequest, OfficialWorker, OfficialWorkerKind, OfficialWorkerOptions, RealServer};

use crate::processes::Of;

/// How long a worker may take to register, and the server to assign a job.
const SOON: Duration = Duration::from_secs(60);

/// A dispatch right after a registration may be lost by the server: it is repeated after this.
const ASSIGNED_WITHIN: Duration = Duration::from_secs(10);

const DISPATCHES: usize = 3;

/// The example as it is, started by the benchmark.
const EXAMPLE: &str = "agent-bench-echo";

/// Runs a program (`$0`) with its log in the file `$1`, writes its process id, and ends it when stdin closes:
/// also if this process is killed.
const START: &str = r#"log=$1; shift; "$0" "$@" >"$log" 2>&1 & echo $!; cat >/dev/null; kill $!; wait $!"#;

/// What repeats sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The example `echo`, without options.
    Ours,
    /// The example `echo` with `--pass-through`.
    PassThrough,
    /// LiveKit's Python worker, with jobs as threads.
    Python,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ours => "echo",
            Self::PassThrough => "echo --pass-through",
            Self::Python => "the official Python worker",
        }
    }
}

/// A registered worker. Dropping it ends its processes.
pub(super) struct Agent {
    name: String,
    process: Process,
    /// Where it was sent.
    rooms: Vec<String>,
}

enum Process {
    Ours { pid: u32, _shell: Child, _until_closed: ChildStdin, _log: tempfile::TempDir },
    Python(OfficialWorker),
}

impl Agent {
    /// Starts a worker of this name, which no other one has on this server.
    pub(super) async fn start(kind: Kind, server: &RealServer, name: &str) -> Result<Self> {
        let process = match kind {
            Kind::Python => {
                let secret = server.api_secret().clone();
                let options = OfficialWorkerOptions::new(server.url(), server.api_key(), secret, name).echo();
                Process::Python(OfficialWorker::start(OfficialWorkerKind::PythonThread, &options).await?)
            }
            Kind::Ours => Self::example(server, name, &[]).await?,
            Kind::PassThrough => Self::example(server, name, &["--pass-through"]).await?,
        };
        let registered = |line: &str| {
            line.contains(r#""msg":"worker registered""#) && line.contains(&format!("\"{name}\""))
        };
        server.log().wait_for_line(registered, SOON).await?;
        Ok(Self { name: name.to_owned(), process, rooms: Vec::new() })
    }

    async fn example(server: &RealServer, name: &str, arguments: &[&str]) -> Result<Process> {
        let program = example()?;
        let folder = tempfile::tempdir()?;
        let mut shell = Command::new("sh")
            .args(["-c", START])
            .arg(program)
            .arg(folder.path().join("log"))
            .args(arguments)
            .env("LIVEKIT_URL", server.url())
            .env("LIVEKIT_API_KEY", server.api_key())
            .env("LIVEKIT_API_SECRET", server.api_secret().expose())
            .env("LIVEKIT_AGENT_NAME", name)
            .env_remove("LIVEKIT_AGENT_NAME_OVERRIDE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("sh could not be started")?;
        let until_closed = shell.stdin.take().context("sh has no input")?;
        let out = shell.stdout.take().context("sh has no output")?;
        let line = BufReader::new(out).lines().next_line().await?.context("sh has ended")?;
        let pid = line.parse().with_context(|| format!("no process id: {line:?}"))?;
        Ok(Process::Ours { pid, _shell: shell, _until_closed: until_closed, _log: folder })
    }

    /// Sends it to a room, for this participant; returns when it has the job.
    pub(super) async fn dispatch(&mut self, server: &RealServer, room: &str, whom: &str) -> Result<()> {
        let mut last = None;
        self.rooms.push(room.to_owned());
        for _ in 0..DISPATCHES {
            let request = DispatchRequest::new(&self.name, room).metadata(whom);
            server.api().create_dispatch(request).await?;
            match server.log().assigned_in(room, ASSIGNED_WITHIN).await {
                Ok(_) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        let why = last.map(|error| error.to_string()).unwrap_or_default();
        bail!("{} was not sent to {room}: {why}; its log ends with:\n{}", self.name, self.log_tail())
    }

    /// Its processes.
    pub(super) fn usage(&self) -> Result<Of> {
        Ok(match &self.process {
            Process::Ours { pid, .. } => Of::Process(*pid),
            Process::Python(worker) => Of::Group(worker.pid().context("the Python worker has ended")?),
        })
    }

    /// The process of ours.
    pub(super) fn pid(&self) -> Option<u32> {
        match &self.process {
            Process::Ours { pid, .. } => Some(*pid),
            Process::Python(_) => None,
        }
    }

    /// The end of its log.
    pub(super) fn log_tail(&self) -> String {
        match &self.process {
            Process::Python(worker) => worker.log_tail(),
            Process::Ours { _log: folder, .. } => {
                let text = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                lines.split_at(lines.len().saturating_sub(20)).1.join("\n")
            }
        }
    }

    /// Closes its rooms, so that it has no jobs, and ends it.
    pub(super) async fn end(self, server: &RealServer) -> Result<()> {
        for room in &self.rooms {
            server.api().delete_room(room).await?;
        }
        if let Process::Ours { _shell: mut shell, _until_closed: input, .. } = self.process {
            drop(input);
            tokio::time::timeout(SOON, shell.wait()).await.context("the example does not end")??;
        }
        Ok(())
    }
}

/// The example, which cargo has put beside this program.
fn example() -> Result<PathBuf> {
    let program = std::env::current_exe().context("this program's own path")?.with_file_name(EXAMPLE);
    ensure!(program.is_file(), "{} is missing: cargo build --bins makes it", program.display());
    Ok(program)
}
