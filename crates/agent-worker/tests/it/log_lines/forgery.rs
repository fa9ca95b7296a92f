//! No text of others forges a line of the log or controls the terminal that shows it.

use std::sync::Arc;
use std::time::Duration;

use tracing::Level;

use agent_proto::livekit as wire;
use agent_testkit::{JobSpec, MockServer};
use agent_worker::room::{Participant, ParticipantKind};
use agent_worker::{
    Agent, Answer, CancelReason, EndedJob, Job, JobContext, JobError, JobResult, RetryPolicy,
};

use super::server::{Server, job};
use crate::support::captured_log::CapturedLog;
use wire::server_message::Message as ToWorker;

/// A line of its own, terminal control in both forms, text that runs backwards, and another field of the
/// line.
const EVE: &str = "eve\r\n2026-01-01T00:00:00.000000Z ERROR fake: gone\u{1b}[31m\u{9b}2J\u{7f}\u{202e}\u{2028}\u{feff} job_id=AJ_0 x}: y";

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Task {
    action: String,
}

struct Victim;

impl Agent for Victim {
    async fn on_request(&self, _: &Job) -> Answer {
        Answer::accept()
    }

    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        let Task { action } = ctx.metadata()?;
        ctx.on_cleanup(async |_| panic!("{EVE}"));
        let panics = ctx.spawn_named(EVE, async { panic!("{EVE}") });
        assert!(panics.await.is_err());
        ctx.spawn_named(EVE, std::future::pending::<()>());
        let channel = ctx.jobs_channel().await?;
        channel.publish("hello").await?;
        let _lead = ctx.elect(EVE).await?.lead().await?;
        match action.as_str() {
            "fail" if ctx.attempt() == 1 => Err(JobError::retryable(EVE, Duration::from_secs(1))),
            "fail" => Err(EVE.into()),
            "panic" => panic!("{EVE}"),
            "invalid" => Err(JobError::invalid(EVE, EVE, EVE)),
            "shutdown" => {
                ctx.shutdown(EVE);
                Err(ctx.cancelled().await.into())
            }
            _ => {
                assert_eq!(ctx.cancelled().await, CancelReason::Terminated);
                Ok(())
            }
        }
    }

    async fn on_ended(&self, _: &EndedJob) {
        panic!("{EVE}")
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_job_among_hostile_names_is_clean_lines() {
    let log = CapturedLog::start(Level::TRACE);
    let server = MockServer::builder().start_in_process();
    let worker = server
        .worker(Victim)
        .agent_name("victim")
        .metadata::<Task>()
        .retry(RetryPolicy::attempts(2))
        .coordinator(agent_worker::coordination::MemoryCoordinator::new())
        .on_failure(|_| async { panic!("{EVE}") })
        .build()
        .unwrap();
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    let json = |action: &str| serde_json::json!({"action": action, "request_id": EVE, EVE: EVE}).to_string();
    let wrong = serde_json::json!({"action": {EVE: EVE}}).to_string();
    for metadata in
        [json("stay"), json("fail"), json("panic"), json("invalid"), json("shutdown"), wrong, EVE.into()]
    {
        let room = format!("{EVE} room");
        let spec = JobSpec::room(&room).metadata(metadata).attributes([(EVE, EVE)]).room_metadata(EVE);
        let job = server.dispatch(spec.agent_name("victim")).await.unwrap();
        for (identity, kind) in [(EVE, ParticipantKind::Standard), ("agent eve\n", ParticipantKind::Agent)] {
            let mut eve = Participant::new("", identity);
            eve.name = EVE.to_owned();
            eve.metadata = EVE.to_owned();
            eve.attributes = [(EVE.to_owned(), EVE.to_owned())].into();
            eve.kind = kind;
            let eve = job.room().join_as(eve);
            eve.send_data(format!("room:{room}:jobs"), "no message of a job");
            eve.send_data(EVE, EVE);
        }
        job.room().send_data(format!("room:{room}:jobs"), EVE);
        tokio::time::sleep(Duration::from_secs(5)).await;
        job.terminate();
        job.outcome().await.unwrap();
    }
    handle.drain(Duration::from_secs(60)).await;
    running.await.unwrap().unwrap();
    log.assert_clean();
    let text = log.text();
    for what in [
        "received job request",
        "job assigned",
        "the attempt failed, retrying: eve",
        "the handler panicked: eve",
        "job ended: failed: invalid_input",
        "cancelling job",
        "a cleanup callback panicked: eve",
        "the failure hook panicked: eve",
        "the task eve",
        "dropping messages between jobs from a sender that is not an agent",
        "dropped a message that cannot be decoded",
        "elected leader",
    ] {
        assert!(text.contains(what), "{what} is not in\n{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hostile_server_forges_no_line() {
    let log = CapturedLog::start(Level::TRACE);
    let server = Server::new(EVE, EVE);
    let worker = server.worker(Victim).build().unwrap();
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    assert!(handle.registered().await);
    server.offer(EVE, EVE);
    server.offer_job(wire::Job { r#type: 99, ..job(EVE, EVE) });
    server.answered(2).await;
    let job = Some(job(EVE, EVE));
    let url = Some(format!("ws://{EVE}"));
    server.send(ToWorker::Assignment(wire::JobAssignment { job, token: EVE.to_owned(), url }));
    server.send(ToWorker::Termination(wire::JobTermination { job_id: format!("{EVE}2") }));
    tokio::time::sleep(Duration::from_secs(60)).await;
    // The reason of a close has 123 bytes at most.
    server.close("eve\r\n2026-01-01T00:00:00.000000Z ERROR fake: gone\u{1b}[31m\u{9b}2J\u{202e}\u{2028}");
    tokio::time::sleep(Duration::from_secs(60)).await;
    handle.stop();
    running.await.unwrap().unwrap();
    log.assert_clean();
    for what in ["registered worker", "job ended: failed: ", "no connection to the server: ", "declined job"]
    {
        assert!(log.text().contains(what), "{what} is not in\n{}", log.text());
    }
    for line in log.lines_with("job{") {
        assert_eq!(line.matches("job_id=").count(), 1 + line.matches(r" job_id=AJ_0 x").count(), "{line}");
    }
}
