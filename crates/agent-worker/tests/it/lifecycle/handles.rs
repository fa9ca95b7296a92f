//! What the handle of a worker reports.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use agent_testkit::{JobSpec, MockServer};
use agent_worker::{Agent, EndedJob, JobContext, JobId, JobResult, Outcome};

use super::stage;

/// Succeeds, and never returns from its callback.
struct NeverDone;

impl Agent for NeverDone {
    async fn run(self: Arc<Self>, _: JobContext) -> JobResult {
        Ok(())
    }

    async fn on_ended(&self, _: &EndedJob) {
        std::future::pending().await
    }
}

/// A stopping worker waits up to 10 s for callbacks.
#[tokio::test(start_paused = true)]
async fn a_handle_is_answered_at_once_while_its_worker_shuts_down() {
    let server = MockServer::builder().start_in_process();
    let worker = stage::worker(&server, NeverDone).agent_name("tester").build().unwrap();
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    let job = server.dispatch(JobSpec::room("room").agent_name("tester")).await.unwrap();
    let id = JobId::new(&job.job_id().await);
    assert_eq!(job.outcome().await.unwrap(), Outcome::Success);
    handle.stop();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!running.is_finished(), "it waits for the callback");
    let begun = Instant::now();
    let status = handle.status().await.expect("it still shuts down");
    assert!(!status.registered && status.draining, "{status:?}");
    assert!(!handle.cancel_job(&id, "too late").await);
    assert_eq!(handle.lifecycle(&id).await, None);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    handle.stop();
    assert_eq!(handle.stopped().await.failed, 0);
    assert!(running.await.unwrap().is_ok());
    assert!(handle.status().await.is_none());
}
