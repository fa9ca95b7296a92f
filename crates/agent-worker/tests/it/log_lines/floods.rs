//! Lines that a server can cause at will are summarised, and names in them are shortened.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tracing::Level;

use agent_proto::livekit as wire;
use agent_worker::stats::DrainReport;
use agent_worker::{Agent, Answer, Job, JobContext, JobResult, WorkerBuilder, WorkerHandle};

use super::server::{Server, job};
use crate::support::captured_log::CapturedLog;
use crate::support::long;
use wire::server_message::Message as ToWorker;

struct Refuses;

impl Agent for Refuses {
    async fn on_request(&self, _: &Job) -> Answer {
        Answer::Decline
    }

    async fn run(self: Arc<Self>, _: JobContext) -> JobResult {
        Ok(())
    }
}

struct Panics;

impl Agent for Panics {
    async fn on_request(&self, _: &Job) -> Answer {
        panic!("planted")
    }

    async fn run(self: Arc<Self>, _: JobContext) -> JobResult {
        Ok(())
    }
}

async fn done(_: JobContext) -> JobResult {
    Ok(())
}

fn run(builder: WorkerBuilder) -> (WorkerHandle, JoinHandle<DrainReport>) {
    let worker = builder.build().unwrap();
    (worker.handle(), tokio::spawn(async { worker.run().await.unwrap() }))
}

/// The number of lines, and the number of offers that they report.
fn spoken_of(log: &CapturedLog, line: &str, sum: &str) -> (usize, u64) {
    let (lines, sums) = (log.lines_with(line), log.lines_with(sum));
    let times = |line: &String| -> u64 {
        let (_, times) = line.split_once("times=").unwrap();
        times.split(' ').next().unwrap().parse().unwrap()
    };
    (lines.len() + sums.len(), lines.len() as u64 + sums.iter().map(times).sum::<u64>())
}

#[tokio::test(start_paused = true)]
async fn declined_offers_are_summed_up_once_a_second() {
    let seconds = long::times("seconds of 10,000 offers", 3, 10);
    let log = CapturedLog::start(Level::INFO);
    let server = Server::new("AW_1", "1.13.5");
    let (handle, worker) = run(server.worker(Refuses));
    assert!(handle.registered().await);
    for second in 0..seconds {
        for n in 0..10_000 {
            server.offer(&format!("AJ_{second}_{n}"), "room");
        }
        server.answered((second + 1) * 10_000).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    handle.drain(Duration::ZERO).await;
    worker.await.unwrap();
    let (lines, offers) = spoken_of(
        &log,
        "declined job: its request handler declined it",
        "declined more jobs: its request handler declined it",
    );
    let all = seconds as u64 * 10_000;
    assert_eq!(offers, all, "{}", log.text());
    assert!(lines <= seconds + 2, "{lines} lines\n{}", log.text());
    assert_eq!(spoken_of(&log, "received job request", "received more job requests").1, all);
    assert!(log.text().lines().count() < 150, "{}", log.text());
    log.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn offers_without_a_slot_are_summed_up() {
    let log = CapturedLog::start(Level::INFO);
    let server = Server::new("AW_1", "1.13.5");
    let (handle, worker) = run(server.worker(done).max_jobs(1));
    for n in 0..10_000 {
        server.offer(&format!("AJ_{n}"), "room");
    }
    server.answered(10_000).await;
    handle.drain(Duration::ZERO).await;
    worker.await.unwrap();
    let (lines, offers) = spoken_of(&log, "declined job: no free slot", "declined more jobs: no free slot");
    assert!(lines <= 2, "{lines} lines\n{}", log.text());
    assert!(offers > 9_000, "{offers}\n{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn violations_and_panics_of_the_request_handler_are_summed_up() {
    let log = CapturedLog::start(Level::INFO);
    let server = Server::new("AW_1", "1.13.5");
    let (handle, worker) = run(server.worker(Panics));
    for n in 0..5_000 {
        server.send(ToWorker::Termination(wire::JobTermination { job_id: format!("AJ_{n}") }));
        // An unknown kind, offered and assigned.
        server.offer_job(wire::Job { r#type: 99, ..job(&format!("AJ_{n}"), "room") });
        let job = Some(wire::Job { r#type: 99, ..job(&format!("AJ_{n}"), "room") });
        server.send(ToWorker::Assignment(wire::JobAssignment { job, ..Default::default() }));
    }
    for n in 0..100 {
        server.offer(&format!("AK_{n}"), "room");
    }
    server.answered(5_100).await;
    handle.drain(Duration::ZERO).await;
    worker.await.unwrap();
    for (line, sum, times) in [
        (
            "unexpected message from the server agent=tester violation=UnknownTermination",
            "violation=UnknownTermination times",
            5_000,
        ),
        ("unexpected message from the server agent=tester violation=NoJob", "violation=NoJob times", 10_000),
        ("failed job: a kind of job", "failed more jobs: a kind of job", 5_000),
        ("declined job: a kind of job", "declined more jobs: a kind of job", 5_000),
        ("on_request panicked, the job", "on_request panicked more often", 100),
    ] {
        let (lines, seen) = spoken_of(&log, line, sum);
        assert!(lines <= 4, "{line}: {lines} lines\n{}", log.text());
        assert_eq!(seen, times, "{line}\n{}", log.text());
    }
    assert!(log.text().lines().count() < 60, "{}", log.text());
    log.assert_clean();
}

#[tokio::test(start_paused = true)]
async fn a_name_of_a_megabyte_is_short_at_every_level() {
    let log = CapturedLog::start(Level::TRACE);
    let server = Server::new("AW_1", "1.13.5");
    let (handle, worker) = run(server.worker(Refuses));
    let room = "x".repeat(1 << 20);
    for n in 0..50 {
        server.offer(&format!("AJ_{n}"), &room);
    }
    server.answered(50).await;
    handle.drain(Duration::ZERO).await;
    worker.await.unwrap();
    log.assert_clean();
    let at_info: usize = log
        .text()
        .lines()
        .filter(|line| line.contains(" INFO ") || line.contains(" WARN "))
        .map(str::len)
        .sum();
    assert!(at_info < 64 * 1024, "{at_info} bytes");
    assert!(log.text().len() < 2 * 1024 * 1024, "{} bytes", log.text().len());
}
