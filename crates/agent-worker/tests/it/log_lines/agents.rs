//! Two agents in one process: each log line names its agent.

use std::sync::Arc;
use std::time::Duration;

use tracing::Level;

use agent_testkit::{JobSpec, MockServer};
use agent_worker::{Agent, Answer, Job, JobContext, JobResult};

use crate::support::captured_log::CapturedLog;

async fn greeter(ctx: JobContext) -> JobResult {
    ctx.spawn_named("heartbeat", std::future::pending::<()>());
    ctx.cancelled().await;
    Ok(())
}

async fn careless(_: JobContext) -> JobResult {
    panic!("no luck")
}

async fn deaf(_: JobContext) -> JobResult {
    std::future::pending().await
}

/// Removes what differs from run to run: times, ids of workers, the line number of a panic, the settings of a
/// worker.
fn stable(line: &str) -> Option<String> {
    let (_, line) = line.split_once("Z ")?;
    let line = line.trim_start();
    if line.contains("open files") {
        return None;
    }
    let line = line.split(" kind=room").next().unwrap_or(line);
    let line = line.split(" worker_id=").next().unwrap_or(line);
    let line = line.split("agents.rs:").next().unwrap_or(line);
    Some(line.replace("crates/agent-worker/", ""))
}

#[tokio::test(start_paused = true)]
async fn every_line_about_a_job_has_its_job_its_room_and_its_agent_once() {
    let log = CapturedLog::start(Level::INFO);
    let server = MockServer::builder().start_in_process();
    let mut workers = Vec::new();
    for worker in [
        server.worker(greeter).agent_name("greeter"),
        server.worker(careless).agent_name("careless").max_jobs(1),
        server.worker(deaf).agent_name("deaf"),
    ] {
        let worker = worker.build().unwrap();
        let handle = worker.handle();
        workers.push((handle.clone(), tokio::spawn(worker.run())));
        assert!(handle.registered().await);
    }
    for (n, agent) in ["greeter", "careless", "deaf"].into_iter().enumerate() {
        let spec = JobSpec::room(format!("room-{n}")).agent_name(agent).job_id(format!("AJ_{n}"));
        let job = server.dispatch(spec).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        job.terminate();
        // Longer than the grace.
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert!(job.outcome().await.is_ok(), "{agent}");
    }
    for (handle, running) in workers {
        handle.drain(Duration::ZERO).await;
        running.await.unwrap().unwrap();
    }
    for line in log.lines_with("AJ_") {
        for field in ["job_id=", "room=", " agent="] {
            assert_eq!(line.matches(field).count(), 1, "{field} in {line}");
        }
    }
    for line in log.text().lines() {
        assert_eq!(line.matches(" agent=").count(), 1, "{line}");
    }
    let lines: Vec<String> = log.text().lines().filter_map(stable).collect();
    let expected = include_str!("agents.txt");
    assert_eq!(lines.join("\n"), expected.trim_end(), "the log is:\n{}\n", lines.join("\n"));
}

/// Takes no job.
struct Choosy;

impl Agent for Choosy {
    async fn on_request(&self, job: &Job) -> Answer {
        if job.room.name == "declined" { Answer::Decline } else { Answer::Dismiss }
    }

    async fn run(self: Arc<Self>, _: JobContext) -> JobResult {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_not_taken_has_its_job_its_room_and_its_agent_in_the_log() {
    let log = CapturedLog::start(Level::INFO);
    let server = MockServer::builder().start_in_process();
    let worker = server.worker(Choosy).agent_name("choosy").build().unwrap();
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    assert!(handle.registered().await);
    for room in ["declined", "dismissed"] {
        let spec = JobSpec::room(room).agent_name("choosy").job_id(format!("AJ_{room}"));
        let _job = server.dispatch(spec).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let lines = log.lines_with(&format!("{room} job"));
        let [line] = &*lines else { panic!("{}", log.text()) };
        for field in [format!("job_id=AJ_{room}"), format!("room={room}"), " agent=choosy".to_owned()] {
            assert_eq!(line.matches(&field).count(), 1, "{field} in {line}");
        }
    }
    handle.drain(Duration::ZERO).await;
    running.await.unwrap().unwrap();
}
