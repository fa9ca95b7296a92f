//! How long a job may run.

use std::time::Duration;

use agent_testkit::JobSpec;
use agent_worker::{JobContext, JobError, JobResult, RetryPolicy, WorkerBuilder};

use super::stage::{Stage, text};

async fn stay(ctx: JobContext) -> JobResult {
    ctx.cancelled().await;
    Err(JobError::cancelled())
}

/// How long a job with this metadata ran before it timed out.
async fn limit(change: impl FnOnce(WorkerBuilder) -> WorkerBuilder, metadata: &str) -> Duration {
    let mut stage = Stage::new(stay, change);
    stage.dispatch_with(JobSpec::room("room").metadata(metadata)).await;
    let ended = stage.ended().await;
    assert_eq!(text(&ended.outcome), "job_timeout");
    stage.drain(Duration::ZERO).await;
    Duration::from_secs(ended.duration.as_secs_f64().round() as u64)
}

#[tokio::test(start_paused = true)]
async fn the_metadata_wins_over_the_worker_up_to_its_maximum() {
    let seconds = Duration::from_secs;
    let own = |builder: WorkerBuilder| builder.job_timeout(seconds(60));
    let most = |builder: WorkerBuilder| builder.max_job_timeout(seconds(1000));
    assert_eq!(limit(own, "").await, seconds(60));
    assert_eq!(limit(own, r#"{"timeout":7}"#).await, seconds(7));
    assert_eq!(limit(most, "").await, seconds(300), "five minutes");
    assert_eq!(limit(most, r#"{"timeout":86400}"#).await, seconds(1000));
}

#[tokio::test(start_paused = true)]
async fn without_a_setting_there_is_no_time_limit() {
    let mut stage = Stage::new(stay, |builder| builder);
    let job = stage.dispatch_with(JobSpec::room("room").metadata(r#"{"timeout":7}"#)).await;
    job.room().wait_for_agent().await;
    tokio::time::sleep(Duration::from_secs(3000)).await;
    assert_eq!(stage.worker.status().await.unwrap().slots.running, 1);
    job.terminate();
    assert_eq!(text(&stage.ended().await.outcome), "SUCCESS");
    stage.drain(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn the_time_limit_spans_all_attempts() {
    let agent = |ctx: JobContext| async move {
        if ctx.attempt() < 3 {
            return Err(JobError::retryable("once more", Duration::from_secs(20)));
        }
        stay(ctx).await
    };
    let mut stage = Stage::new(agent, |builder| {
        let policy = RetryPolicy::attempts(9).backoff(Duration::ZERO, Duration::ZERO);
        builder.job_timeout(Duration::from_secs(60)).retry(policy)
    });
    let ended = stage.run().await;
    assert_eq!(text(&ended.outcome), "job_timeout (after 3 attempts)");
    assert!(ended.duration < Duration::from_secs(61), "{:?}", ended.duration);
    stage.drain(Duration::ZERO).await;
}
