//! Where failed jobs go, and how they are counted.

use std::time::Duration;

use tokio::sync::mpsc;

use agent_testkit::JobSpec;
use agent_worker::{FailedJob, JobContext, JobError, JobErrorKind, JobResult, RetryPolicy};

use super::stage::Stage;

/// Fails as its metadata asks for.
async fn agent(ctx: JobContext) -> JobResult {
    match ctx.job().raw_metadata.as_str() {
        "quota" => Err(JobError::fatal("quota_exceeded").with_source("5 of 5 used")),
        "invalid" => Err(JobError::invalid("language", "xx", "no such language")),
        "retryable" => Err(JobError::retryable("no route", Duration::from_secs(2))),
        "panic" => panic!("index out of bounds"),
        "any" => Err("anything".into()),
        _ => Ok(()),
    }
}

#[tokio::test(start_paused = true)]
async fn each_failed_job_is_reported_once_and_counted_by_kind_and_reason() {
    let (sender, mut receiver) = mpsc::unbounded_channel::<FailedJob>();
    let mut stage = Stage::new(agent, |builder| {
        let policy = RetryPolicy::attempts(2).backoff(Duration::ZERO, Duration::ZERO);
        builder.retry(policy).on_failure(move |failed| {
            let sender = sender.clone();
            async move {
                sender.send(failed).unwrap();
                panic!("nor does a sink that panics")
            }
        })
    });
    for metadata in ["quota", "quota", "invalid", "retryable", "panic", "any", "fine"] {
        stage.dispatch_with(JobSpec::room(metadata).metadata(metadata)).await;
        stage.ended().await;
    }
    let stats = stage.worker.stats();
    assert_eq!((stats.succeeded, stats.failed(), stats.retries), (1, 6, 1));
    let counted: Vec<String> = stats
        .failures
        .iter()
        .map(|(label, count)| format!("{} {}: {count}", label.kind, label.reason))
        .collect();
    assert_eq!(
        counted,
        [
            "fatal quota_exceeded: 2",
            "fatal unknown_error: 1",
            "invalid invalid_input: 1",
            "panicked panicked: 1",
            "retryable retryable: 1"
        ]
    );
    assert_eq!(stats.failed_for("quota_exceeded"), 2);
    stage.drain(Duration::ZERO).await;

    let mut failed = Vec::new();
    while let Some(job) = receiver.recv().await {
        failed.push(job);
    }
    let shown: Vec<String> = failed
        .iter()
        .map(|f| {
            format!("{} {} {} {}: {}", f.job.raw_metadata, f.kind_label(), f.reason(), f.attempts, f.error)
        })
        .collect();
    assert_eq!(
        shown,
        [
            "quota fatal quota_exceeded 1: quota_exceeded: 5 of 5 used",
            "quota fatal quota_exceeded 1: quota_exceeded: 5 of 5 used",
            "invalid invalid invalid_input 1: invalid_input: language = xx: no such language",
            "retryable retryable retryable 2: no route (after 2 attempts)",
            "panic panicked panicked 1: panicked: index out of bounds",
            "any fatal unknown_error 1: anything",
        ]
    );
    let twice = &failed[3];
    assert!(matches!(twice.kind, JobErrorKind::Retryable { .. }));
    assert!(twice.duration >= Duration::from_secs(2) && twice.last_attempt < Duration::from_secs(1));
}
