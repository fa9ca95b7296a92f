//! Workers in processes with a low limit of open files: jobs that do not fit are declined, and other failures
//! report the reason.

mod server;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use agent_worker::{JobContext, JobResult, RetryPolicy, Worker};

use crate::support::raw_server::Server;
use crate::support::test_name::test_name;
use crate::support::within;
use server::{Registered, hold_rooms};

/// No test here takes as long.
const SOON: Duration = Duration::from_secs(60);
const URL: &str = "AGENT_TEST_CHILD";
/// When this file exists, the child opens as many files as it may, and then renames it.
const HOARD: &str = "AGENT_TEST_HOARD";

async fn stays(ctx: JobContext) -> JobResult {
    ctx.cancelled().await;
    Ok(())
}

/// What the tests below start: a worker, until it is killed.
#[tokio::test]
async fn child() {
    let Ok(url) = std::env::var(URL) else { return };
    let hoard = PathBuf::from(std::env::var(HOARD).expect("a path"));
    tracing_subscriber::fmt().with_ansi(false).init();
    let worker = Worker::builder(stays)
        .url(url)
        .credentials("key", "secret")
        .agent_name("tester")
        .join_timeout(SOON)
        .retry(RetryPolicy::never())
        .build()
        .expect("the settings are complete");
    let running = tokio::spawn(worker.run());
    while !hoard.exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // As a program with a leak does.
    let mut files = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        files.push(file);
    }
    std::fs::rename(&hoard, hoard.with_extension("done")).expect("renamed");
    running.await.expect("no panic").expect("drained");
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A worker that may have this many files open.
fn start(limit: u32, url: &str, hoard: &Path) -> Process {
    let test = std::env::current_exe().expect("this test is a program");
    let script = format!(
        "ulimit -n {limit} && exec \"$0\" --exact {} --nocapture",
        test_name(module_path!(), "child")
    );
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(test).env(URL, url).env(HOARD, hoard).stdin(Stdio::null());
    Process(command.spawn().expect("a shell"))
}

#[tokio::test]
async fn offers_beyond_what_descriptors_allow_are_declined() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let _process = start(64, &server.url(), &dir.path().join("hoard"));
    let mut worker = Registered::accept(&server).await;
    let rooms = hold_rooms(server);
    for n in 0..30 {
        worker.offer(n).await;
    }
    let mut accepted = 0;
    for _ in 0..30 {
        let (job, available) = worker.answer().await;
        if available {
            worker.assign(&job).await;
            accepted += 1;
        }
    }
    // 64 minus the open files and the reserve, divided by the files of a job.
    assert!((3..=13).contains(&accepted), "{accepted} of 30");
    // Each of them gets what it needs.
    let mut all = rooms.clone();
    within(all.wait_for(|open| *open == accepted)).await.unwrap();
    let failures = worker.failures().await;
    assert!(failures.is_empty(), "{failures:?}");
    // One that comes later finds no more than they did.
    worker.offer(30).await;
    assert!(!worker.answer().await.1);
}

#[tokio::test]
async fn a_job_without_a_free_descriptor_fails_with_that_reason_and_the_next_ones_are_declined() {
    let server = Server::start().await;
    let dir = tempfile::tempdir().unwrap();
    let hoard = dir.path().join("hoard");
    let _process = start(64, &server.url(), &hoard);
    let mut worker = Registered::accept(&server).await;
    let _rooms = hold_rooms(server);
    File::create(&hoard).unwrap();
    let done = hoard.with_extension("done");
    within(async {
        while !done.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    worker.offer(1).await;
    let (job, available) = worker.answer().await;
    assert!(available, "nothing has failed yet");
    worker.assign(&job).await;
    let text = worker.failure().await;
    assert!(text.starts_with("too many open files: ") && text.contains("`ulimit -n`"), "{text}");
    worker.offer(2).await;
    assert!(!worker.answer().await.1);
}
