//! A program with a worker, as a process of its own: it reads the environment, and installs what a process
//! has once.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tracing::Instrument;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::prelude::*;

use agent_testkit::{JobSpec, MockServer};
use agent_worker::otel::Traces;
use agent_worker::room::ParticipantFilter;
use agent_worker::{JobContext, JobError, JobResult, RetryPolicy, WorkerBuilder, cli};

/// Which program it is.
const PROGRAM: &str = "AGENT_TEST_TRACES";
const MARK: &str = "@report ";
/// What a handler's error has, and `redact_errors` removes.
pub(crate) const CUSTOMER: &str = "the-customer-4711";

/// What a program reports.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// Some jobs have ended; the program goes on when it gets a line.
    JobsEnded { secret: String },
    /// The worker and the exporter have ended, too.
    Ended { jobs: Duration, flush: Duration },
}

/// A running program.
pub(crate) struct Program {
    process: std::process::Child,
    reports: mpsc::Receiver<Report>,
    log: mpsc::Receiver<String>,
}

impl Program {
    /// Starts a program with these variables of OpenTelemetry.
    pub(crate) fn start(which: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this test is a program"));
        command.args(["--exact", "program::program", "--nocapture", "--test-threads=1"]);
        for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "SSL_CERT_FILE", "RUST_LOG"] {
            command.env_remove(name);
        }
        command.env(PROGRAM, which).envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("a process");
        let (out, mut err) = (process.stdout.take().unwrap(), process.stderr.take().unwrap());
        let (report, reports) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Some((_, text)) = line.split_once(MARK) {
                    let _ = report.send(serde_json::from_str(text).expect("a report"));
                }
            }
        });
        let (write, log) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            err.read_to_string(&mut text).expect("text");
            let _ = write.send(text);
        });
        Self { process, reports, log }
    }

    pub(crate) async fn report(&mut self) -> Report {
        let reports = &self.reports;
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            match reports.try_recv() {
                Ok(report) => return report,
                Err(mpsc::TryRecvError::Empty) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => panic!("no report: {error}"),
            }
        }
    }

    pub(crate) fn go_on(&mut self) {
        self.process.stdin.as_mut().unwrap().write_all(b"go on\n").expect("it listens");
    }

    /// Waits for its end; returns its exit code and its log.
    pub(crate) async fn ended(mut self) -> (Option<i32>, String) {
        let log = tokio::task::spawn_blocking(move || {
            let log = self.log.recv_timeout(Duration::from_secs(60)).expect("it ends");
            (self.process.wait().expect("it is ours").code(), log)
        });
        log.await.unwrap()
    }
}

/// The entry of the programs; nothing in the test itself.
#[test]
fn program() {
    let Ok(which) = std::env::var(PROGRAM) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let code = runtime.block_on(async {
        match which.as_str() {
            "log" => own_log().await,
            "pausing" => pausing().await,
            "simulate" => simulate().await,
            other => panic!("no program {other}"),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    std::process::exit(if format!("{code:?}") == format!("{:?}", ExitCode::SUCCESS) {
        0
    } else if format!("{code:?}") == format!("{:?}", ExitCode::from(2)) {
        2
    } else {
        1
    });
}

fn report(report: &Report) {
    println!("{MARK}{}", serde_json::to_string(report).unwrap());
}

/// Jobs by the names of their rooms.
async fn agent(ctx: JobContext) -> JobResult {
    match ctx.job().room.name.as_str() {
        "succeeds" => {
            ctx.room().wait_for_participant(ParticipantFilter::identity("ada")).await?;
            async { tokio::task::yield_now().await }
                .instrument(tracing::info_span!("answer", words = 3))
                .await;
            let task =
                async { tracing::info_span!("in a task").in_scope(|| tracing::info!("a line of a task")) };
            tokio::spawn(task.in_current_span()).await?;
            ctx.on_cleanup(async |_| tracing::info_span!("farewell").in_scope(|| ()));
            Ok(())
        }
        "retried" if ctx.attempt() == 1 => {
            Err(JobError::retryable(format!("no model for {CUSTOMER}"), Duration::from_millis(1)))
        }
        "alone" => {
            let eve = ParticipantFilter::identity("eve").within(Duration::from_millis(10));
            assert!(ctx.room().wait_for_participant(eve).await.is_err());
            Ok(())
        }
        "cancelled" => {
            ctx.shutdown("enough");
            ctx.cancelled().await;
            Ok(())
        }
        "fails" => {
            tracing::info_span!("model").in_scope(|| {
                tracing::debug_span!("a detail").in_scope(|| tracing::error!("the model is overloaded"));
            });
            tracing::error!("this is no error of the attempt");
            Err(JobError::fatal("no_voice"))
        }
        "panics" => panic!("planted"),
        "times out" => {
            ctx.cancelled().await;
            Ok(())
        }
        _ => Ok(()),
    }
}

fn worker(server: &MockServer) -> WorkerBuilder {
    server
        .worker(agent)
        .agent_name("greeter")
        .job_timeout(Duration::from_secs(60))
        .retry(RetryPolicy::default())
        .redact_errors(|text| text.replace(CUSTOMER, "…"))
}

/// A program with a log of its own, that runs one job of each kind.
async fn own_log() -> ExitCode {
    let traces = Traces::from_env().unwrap();
    tracing_subscriber::registry()
        .with(
            tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(false)
                .with_filter(LevelFilter::INFO),
        )
        .with(traces.as_ref().map(Traces::layer))
        .init();
    let server = MockServer::start().await.unwrap();
    let worker = worker(&server).build().unwrap();
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    let mut jobs = HashMap::new();
    for room in ["succeeds", "alone", "retried", "cancelled", "fails", "panics", "times out"] {
        let metadata = if room == "times out" { r#"{"timeout":1}"# } else { "" };
        let spec = JobSpec::room(room).agent_name("greeter").metadata(metadata);
        let job = server.dispatch(spec).await.unwrap();
        if room == "succeeds" {
            job.room().join("ada");
        }
        jobs.insert(room, job);
    }
    for job in jobs.values() {
        job.outcome().await.unwrap();
    }
    server.refuse_joins(403, None);
    let job = server.dispatch(JobSpec::room("refused").agent_name("greeter")).await.unwrap();
    job.outcome().await.unwrap();
    handle.drain(Duration::from_secs(5)).await;
    running.await.unwrap().unwrap();
    if let Some(traces) = traces {
        traces.shutdown().await;
    }
    report(&Report::JobsEnded { secret: server.api_secret().expose().to_owned() });
    ExitCode::SUCCESS
}

/// A program that pauses after a job, and reports how long the next one and the end took.
async fn pausing() -> ExitCode {
    let traces = Traces::from_env().unwrap().expect("there is a collector");
    tracing_subscriber::registry()
        .with(
            tracing_subscriber::fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(false)
                .with_filter(LevelFilter::INFO),
        )
        .with(traces.layer())
        .init();
    let server = MockServer::start().await.unwrap();
    let worker = worker(&server).build().unwrap();
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    let run = async |room: &str| {
        let job = server.dispatch(JobSpec::room(room).agent_name("greeter")).await.unwrap();
        assert!(job.outcome().await.unwrap().is_success());
    };
    run("first").await;
    report(&Report::JobsEnded { secret: String::new() });
    let line = tokio::task::spawn_blocking(|| std::io::stdin().lines().next());
    line.await.unwrap().expect("the test lives").unwrap();
    let begun = Instant::now();
    run("second").await;
    handle.drain(Duration::from_secs(5)).await;
    running.await.unwrap().unwrap();
    let jobs = begun.elapsed();
    let begun = Instant::now();
    traces.shutdown().await;
    report(&Report::Ended { jobs, flush: begun.elapsed() });
    ExitCode::SUCCESS
}

/// A program with the command line, that runs one job.
async fn simulate() -> ExitCode {
    let server = MockServer::start().await.unwrap();
    async fn speaks(ctx: JobContext) -> JobResult {
        tracing::info!("the agent speaks");
        ctx.on_cleanup(async |_| tracing::info!("the agent leaves"));
        let task = async { tracing::info!("the task speaks") };
        tokio::spawn(task.in_current_span()).await?;
        Ok(())
    }
    let line = ["greeter", "simulate", "--log-format", "json"].map(OsString::from);
    cli::run(server.worker(speaks).agent_name("greeter"), line).await
}
