//! The command line, on a mock server with mock rooms: what it runs, and its exit codes.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_testkit::{MockServer, RoomRequest, ServerApi};
use agent_worker::http::HttpServer;
use agent_worker::{
    Accept, Agent, Answer, EndedJob, Job, JobContext, JobError, JobKind, JobResult, Worker, WorkerBuilder,
    cli,
};

const SOON: Duration = Duration::from_secs(30);

/// Runs a command line without a log, and returns its exit code.
async fn run(worker: WorkerBuilder, args: &[&str]) -> u8 {
    run_as_it_is(worker, &[args, &["--log-level", "off"]].concat()).await
}

async fn run_as_it_is(worker: WorkerBuilder, args: &[&str]) -> u8 {
    let line = ["greeter"].iter().chain(args).map(OsString::from);
    let ended = tokio::time::timeout(SOON, cli::run(worker, line)).await.expect("in time");
    (0..=u8::MAX).find(|code| same(ExitCode::from(*code), ended)).expect("a code")
}

/// Exit codes cannot be compared.
fn same(one: ExitCode, other: ExitCode) -> bool {
    format!("{one:?}") == format!("{other:?}")
}

/// An agent, and the rooms and metadata of its jobs.
fn noting(result: fn() -> JobResult) -> (impl Fn(JobContext) -> Noted + Clone, Arc<Mutex<Vec<String>>>) {
    let jobs = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&jobs);
    let agent = move |ctx: JobContext| -> Noted {
        let job = ctx.job();
        noted.lock().unwrap().push(format!("{} {}", job.room.name, job.raw_metadata));
        std::future::ready(result())
    };
    (agent, jobs)
}

fn api(server: &MockServer) -> ServerApi {
    let url = server.url().parse().unwrap();
    ServerApi::new(&url, server.api_key(), server.api_secret().clone()).unwrap()
}

type Noted = std::future::Ready<JobResult>;

#[tokio::test]
async fn simulate_runs_one_job_in_a_room_of_its_own() {
    let server = MockServer::start().await.unwrap();
    let (agent, jobs) = noting(|| Ok(()));
    let worker = server.worker(agent).agent_name("greeter");
    assert_eq!(run(worker, &["simulate", "--metadata", r#"{"name":"Ada"}"#]).await, 0);
    let jobs = jobs.lock().unwrap().clone();
    let [job] = &jobs[..] else { panic!("{jobs:?}") };
    assert!(job.starts_with("simulate-") && job.ends_with(r#" {"name":"Ada"}"#), "{job}");
    assert!(api(&server).list_rooms(&[]).await.unwrap().is_empty(), "the room is deleted");
}

#[tokio::test]
async fn connect_runs_one_job_in_the_room_that_is_named() {
    let server = MockServer::start().await.unwrap();
    let (agent, jobs) = noting(|| Ok(()));
    assert_eq!(run(server.worker(agent), &["connect", "--room", "lobby"]).await, 0);
    assert_eq!(*jobs.lock().unwrap(), ["lobby "]);
}

#[tokio::test]
async fn a_failed_job_is_a_failure() {
    let server = MockServer::start().await.unwrap();
    let (agent, jobs) = noting(|| Err(JobError::fatal("no model")));
    assert_eq!(run(server.worker(agent), &["simulate"]).await, 1);
    assert_eq!(jobs.lock().unwrap().len(), 1);
}

/// Another room of that name is not touched.
#[tokio::test]
async fn simulate_takes_no_room_that_exists() {
    let server = MockServer::start().await.unwrap();
    api(&server).create_room(RoomRequest::new("lobby")).await.unwrap();
    let (agent, jobs) = noting(|| Ok(()));
    assert_eq!(run(server.worker(agent), &["simulate", "--room", "lobby"]).await, 1);
    assert!(jobs.lock().unwrap().is_empty());
    assert_eq!(api(&server).list_rooms(&[]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_job_that_takes_too_long_is_a_failure() {
    static STARTED: AtomicUsize = AtomicUsize::new(0);
    async fn endless(ctx: JobContext) -> JobResult {
        STARTED.fetch_add(1, Ordering::Relaxed);
        ctx.cancelled().await;
        Ok(())
    }
    let server = MockServer::start().await.unwrap();
    assert_eq!(run(server.worker(endless), &["simulate", "--timeout", "1s"]).await, 1);
    assert_eq!(STARTED.load(Ordering::Relaxed), 1);
}

/// Workers of a deployment are offered only what is dispatched to it.
#[tokio::test]
async fn a_job_is_dispatched_to_the_deployment_of_the_program() {
    let server = MockServer::start().await.unwrap();
    let (agent, jobs) = noting(|| Ok(()));
    for args in [&["simulate"][..], &["connect", "--room", "lobby"]] {
        assert_eq!(run(server.worker(agent.clone()).deployment("blue"), args).await, 0, "{args:?}");
    }
    assert_eq!(jobs.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_time_limit_of_the_command_line_overrides_those_of_the_program() {
    async fn slow(_: JobContext) -> JobResult {
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(())
    }
    let server = MockServer::start().await.unwrap();
    let worker = || server.worker(slow).max_job_timeout(Duration::from_millis(50));
    assert_eq!(run(worker(), &["simulate"]).await, 1);
    assert_eq!(run(worker(), &["simulate", "--timeout", "20s"]).await, 0);
    assert_eq!(run(worker(), &["simulate", "--timeout", "0"]).await, 2);
}

/// Handlers that wait for the end of their job end in good order.
#[tokio::test]
async fn simulate_cancels_its_job_after_a_time() {
    async fn waits(ctx: JobContext) -> JobResult {
        ctx.cancelled().await;
        Ok(())
    }
    let server = MockServer::start().await.unwrap();
    assert_eq!(run(server.worker(waits), &["simulate", "--cancel-after", "1s"]).await, 0);
    assert_eq!(run(server.worker(noting(|| Ok(())).0), &["simulate", "--cancel-after", "1h"]).await, 0);
}

#[derive(Default, serde::Deserialize)]
struct Greeting {
    #[expect(dead_code, reason = "only its type matters")]
    name: String,
}

/// The user's own callback for the end of a job, and what the agent answers.
struct Awkward {
    answer: Answer,
    in_the_end: fn(),
}

impl Agent for Awkward {
    async fn on_request(&self, _: &Job) -> Answer {
        self.answer.clone()
    }

    async fn run(self: Arc<Self>, _: JobContext) -> JobResult {
        Ok(())
    }

    async fn on_ended(&self, _: &EndedJob) {
        (self.in_the_end)();
    }
}

#[tokio::test]
async fn a_callback_that_panics_does_not_hide_the_end() {
    let server = MockServer::start().await.unwrap();
    let agent = Awkward { answer: Answer::Accept(Accept::default()), in_the_end: || panic!("no database") };
    assert_eq!(run(server.worker(agent), &["simulate"]).await, 0);
}

#[tokio::test]
async fn a_job_that_the_agent_does_not_accept_is_a_failure() {
    let server = MockServer::start().await.unwrap();
    let dismissing = || Awkward { answer: Answer::Dismiss, in_the_end: || {} };
    assert_eq!(run(server.worker(dismissing()), &["simulate"]).await, 1);
    assert_eq!(run(server.worker(dismissing()), &["connect", "--room", "lobby"]).await, 1);
    let (agent, jobs) = noting(|| Ok(()));
    let worker = server.worker(agent).metadata::<Greeting>().dismiss_invalid(true);
    assert_eq!(run(worker, &["simulate", "--metadata", r#"{"name":7}"#]).await, 1);
    assert!(jobs.lock().unwrap().is_empty());

    server.room("hall").join("ada");
    let declining = Awkward { answer: Answer::Decline, in_the_end: || {} };
    let worker = server.worker(declining).job_kind(JobKind::Participant);
    assert_eq!(run(worker, &["connect", "--room", "hall"]).await, 1);
}

/// A worker without health would not be noticed when it fails.
#[tokio::test]
async fn a_taken_port_is_a_failure() {
    let server = MockServer::start().await.unwrap();
    let (agent, _) = noting(|| Ok(()));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    assert_eq!(run(server.worker(agent), &["start", "--http-port", &port]).await, 1);
    assert!(server.events().is_empty(), "it has not registered");
}

/// 0 while a worker is live, also one that drains, and 1 without one.
#[tokio::test]
async fn status_asks_a_running_worker() {
    let server = MockServer::start().await.unwrap();
    let (agent, _) = noting(|| Ok(()));
    let worker = server.worker(agent).agent_name("greeter").build().unwrap();
    let http = HttpServer::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = http.local_addr().port().to_string();
    let handle = worker.handle();
    let serving = tokio::spawn(http.serve([handle.clone()]));
    let running = tokio::spawn(worker.run());
    assert!(handle.registered().await);
    let unused = || Worker::builder(noting(|| Ok(())).0);
    for args in [&["status", "--http-port", &port][..], &["status", "--json", "--http-port", &port]] {
        assert_eq!(run_as_it_is(unused(), args).await, 0, "{args:?}");
    }
    handle.drain(Duration::ZERO).await;
    running.await.unwrap().unwrap();
    assert_eq!(run_as_it_is(unused(), &["status", "--http-port", &port]).await, 1, "it has stopped");
    serving.abort();
    assert!(serving.await.is_err_and(|error| error.is_cancelled()));
    assert_eq!(run_as_it_is(unused(), &["status", "--http-port", &port]).await, 1, "nobody listens");
    let other = server.url();
    let port = other.rsplit_once(':').unwrap().1.trim_end_matches('/');
    assert_eq!(run_as_it_is(unused(), &["status", "--http-port", port]).await, 1, "that is no worker");
    assert_eq!(run_as_it_is(unused(), &["status", "--http-port", "0"]).await, 2);
}

#[tokio::test]
async fn wrong_use_and_failures_have_different_exit_codes() {
    async fn agent(_: JobContext) -> JobResult {
        Ok(())
    }
    let worker = || Worker::builder(agent);
    let set = ["start", "--api-key", "key", "--api-secret", "secret"];
    assert_eq!(run(worker(), &["begin"]).await, 2);
    assert_eq!(run(worker(), &["--help"]).await, 0);
    assert_eq!(run_as_it_is(worker(), &["start", "--log-level", "loud"]).await, 2);
    assert_eq!(run(worker(), &[&set[..], &["--url", "localhost:7880"]].concat()).await, 2);
    // Its schema is not known.
    assert_eq!(run_as_it_is(worker(), &["schema"]).await, 1);
    // Nothing listens there.
    assert_eq!(run_as_it_is(worker(), &[&set[..], &["--http-port", "http"]].concat()).await, 2);
    let refused = &["--url", "ws://127.0.0.1:9"];
    let start = &[&set[..], refused, &["--http-port", "off"]].concat();
    assert_eq!(run(worker().max_connect_attempts(1), start).await, 1);
    assert_eq!(run(worker(), &[&["simulate"][..], &set[1..], refused].concat()).await, 1);
}
