//! Tests of a job handler, once alone and once with its worker and a server: the two tests that every agent
//! needs.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agent_testkit::{JobSpec, MockServer, run_job};
use agent_worker::{Agent, JobContext, JobError, JobResult, Outcome, Worker};

/// Handles jobs, and counts the participants that it has processed.
#[derive(Default)]
struct MyAgentHandler {
    config: Config,
    processed: AtomicUsize,
}

#[derive(Default)]
struct Config {
    greeting: String,
}

/// The content of a job's metadata.
#[derive(Default, serde::Deserialize)]
struct Instructions {
    #[serde(default)]
    action: String,
}

impl MyAgentHandler {
    fn processed_count(&self) -> usize {
        self.processed.load(Ordering::Relaxed)
    }
}

impl Agent for MyAgentHandler {
    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        let Instructions { action } = ctx.metadata()?;
        if !matches!(action.as_str(), "" | "test") {
            return Err(JobError::invalid("action", action, "expected \"test\""));
        }
        for participant in ctx.room().participants() {
            let text = format!("{}, {}!", self.config.greeting, participant.identity);
            ctx.room().publish_data("greeting", text).to([participant.identity.clone()]).await?;
            self.processed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

fn test_config() -> Config {
    Config { greeting: "Hello".to_owned() }
}

#[tokio::test]
async fn job_handler() {
    let handler = Arc::new(MyAgentHandler { config: test_config(), ..MyAgentHandler::default() });

    // Create a test job, and a mock room around it.
    let job = JobSpec::room("test-room")
        .job_id("test-job-1")
        .metadata(r#"{"action":"test"}"#)
        .participant("user1")
        .participant("user2")
        // Test with a timeout. Time is virtual: a handler that hangs fails at once.
        .worker(|worker| worker.job_timeout(Duration::from_secs(5)));

    let run = run_job(handler.clone(), job).await;
    run.assert_success();

    // Verify the expected behaviour.
    assert_eq!(handler.processed_count(), 2);
    let sent: Vec<String> = run.sent_by_agent().map(|sent| sent.text()).collect();
    assert_eq!(sent, ["Hello, user1!", "Hello, user2!"]);
}

#[tokio::test]
async fn the_job_is_the_one_that_was_dispatched() {
    let agent = |ctx: JobContext| async move {
        let job = ctx.job();
        let description = format!("{} {} {} {}", job.id, job.kind, job.room.name, job.raw_metadata);
        ctx.room().publish_data("job", description).await?;
        Ok(())
    };
    let run = run_job(agent, JobSpec::room("test-room").job_id("test-job-1").metadata("{}")).await;
    assert_eq!(run.sent[0].text(), "test-job-1 room test-room {}");
}

#[tokio::test]
async fn a_handler_that_hangs_is_stopped_by_the_timeout() {
    let hangs = |_: JobContext| async { std::future::pending::<JobResult>().await };
    let job = JobSpec::room("test-room").worker(|worker| worker.job_timeout(Duration::from_secs(5)));
    let run = run_job(hangs, job).await;
    assert_eq!(run.outcome, Outcome::Failed { error: "job_timeout".into() });
}

#[tokio::test]
async fn invalid_metadata_fails_the_job_with_the_position() {
    let handler = Arc::new(MyAgentHandler::default());
    let job = JobSpec::room("test-room").participant("user1").metadata(r#"{"action":"dance"}"#);
    let Outcome::Failed { error } = run_job(handler.clone(), job).await.outcome else {
        panic!("it succeeded")
    };
    assert!(error.contains("action"), "{error}");
    assert_eq!(handler.processed_count(), 0);
}

#[tokio::test]
async fn job_handler_integration() -> Result<(), Box<dyn Error>> {
    // Start a test LiveKit server.
    let server = MockServer::builder().credentials("test-key", "test-secret").start().await?;

    // Create a worker with the handler.
    let handler = Arc::new(MyAgentHandler::default());
    let worker = Worker::builder(handler.clone())
        .url(server.url())
        .credentials("test-key", "test-secret")
        .agent_name("test-agent")
        // Its rooms are in this process. This line is the only difference to production.
        .connector(server.connector())
        .build()?;

    // Start the worker.
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());

    // Dispatch a test job.
    let job = server.dispatch(JobSpec::room("test-room").participant("user1")).await?;

    // Wait for its completion.
    assert_eq!(job.outcome_within(Duration::from_secs(10)).await?, Outcome::Success);
    assert_eq!(handler.processed_count(), 1);

    handle.drain(Duration::from_secs(1)).await;
    running.await??;
    Ok(())
}

#[tokio::test]
async fn a_job_id_is_used_once() -> Result<(), Box<dyn Error>> {
    let server = MockServer::start().await?;
    tokio::spawn(server.worker(MyAgentHandler::default()).agent_name("test-agent").build()?.run());
    let job = || JobSpec::room("test-room").job_id("test-job-1");
    let first = server.dispatch(job()).await?;
    assert_eq!(first.job_id().await, "test-job-1");
    assert_eq!(first.outcome().await?, Outcome::Success);
    let error = server.dispatch(job()).await.unwrap_err().to_string();
    assert!(error.contains("\"test-job-1\"") && error.contains("job_id"), "{error}");
    Ok(())
}
