//! `Duration::MAX` for each time of the builder means "never", or is refused by `build`.

use std::time::Duration;

use agent_testkit::{JobSpec, MockServer};
use agent_worker::checkpoint::{AutoSaved, MemoryStore};
use agent_worker::net::NetOptions;
use agent_worker::{
    Backoff, EndWhen, JobContext, JobError, JobId, JobResult, Outcome, RetryPolicy, WorkerBuilder,
};

use super::stage;

const MAX: Duration = Duration::MAX;
const MINUTE: Duration = Duration::from_secs(60);

/// Uses everything that has a time limit. What it does depends on its room.
async fn agent(ctx: JobContext) -> JobResult {
    let progress: AutoSaved<u64> = ctx.checkpoint().resume().await?;
    progress.set(1);
    progress.save().await?;
    ctx.progress();
    ctx.on_cleanup(async |ctx| drop(ctx.room().publish_data("status", "bye").await));
    match &*ctx.job().room.name {
        "short" => return Ok(()),
        "retried" if ctx.attempt() == 1 => return Err(JobError::retryable("not yet", MAX)),
        _ => {}
    }
    ctx.cancelled().await;
    progress.set(2);
    Ok(())
}

/// Runs jobs with this setting: one to its end, one that is cancelled, one that is to be retried, and one
/// that is drained, over two connections. `false`: the setting is refused.
async fn works_with(setting: Setting) -> bool {
    let server = MockServer::builder().room_timeouts(stage::LONG, stage::LONG).start_in_process();
    let worker = stage::worker(&server, agent).agent_name("tester").seed(7).checkpoints(MemoryStore::new());
    let Ok(worker) = setting(worker, server.net_options()).build() else { return false };
    let handle = worker.handle();
    let running = tokio::spawn(worker.run_until(std::future::pending::<()>()));
    let spec = |room: &str| JobSpec::room(room).agent_name("tester").metadata(r#"{"timeout":4294967295}"#);
    let short = server.dispatch(spec("short")).await.unwrap();
    assert_eq!(short.outcome().await.unwrap(), Outcome::Success);

    let cancelled = server.dispatch(spec("cancelled")).await.unwrap();
    cancelled.room().wait_for_agent().await;
    cancelled.room().join("ada");
    tokio::time::sleep(MINUTE).await;
    cancelled.room().remove("ada");
    tokio::time::sleep(MINUTE).await;
    handle.cancel_job(&JobId::new(&cancelled.job_id().await), "enough").await;
    assert_eq!(cancelled.outcome().await.unwrap(), Outcome::Success);

    server.dispatch(spec("retried")).await.unwrap().room().wait_for_agent().await;
    server.dispatch(spec("drained")).await.unwrap().room().wait_for_agent().await;
    tokio::time::sleep(MINUTE).await;
    server.cut_workers();
    tokio::time::sleep(MINUTE).await;
    let report = handle.drain(MINUTE).await;
    assert_eq!((report.failed, report.stuck), (report.failed.min(1), 0), "at most the one to be retried");
    assert!(running.await.expect("no panic").is_ok());
    true
}

type Setting = fn(WorkerBuilder, NetOptions) -> WorkerBuilder;

#[tokio::test(start_paused = true)]
async fn the_longest_times_mean_never_or_are_refused() {
    let settings: &[(&str, bool, Setting)] = &[
        ("answer_timeout", false, |worker, _| worker.answer_timeout(MAX)),
        ("checkpoint_interval", false, |worker, _| worker.checkpoint_interval(MAX)),
        ("checkpoint_interval", false, |worker, _| worker.checkpoint_interval(MAX).checkpoint_expiry(MAX)),
        ("lease", false, |worker, _| worker.lease(MAX)),
        ("start_timeout", true, |worker, _| worker.on_start(async || Ok(())).start_timeout(MAX)),
        ("job_timeout", true, |worker, _| worker.job_timeout(MAX)),
        ("max_job_timeout", true, |worker, _| worker.max_job_timeout(MAX)),
        ("retry", true, |worker, _| {
            let policy = RetryPolicy::attempts(3).backoff(MAX, MAX).retry_after_limit(MAX).budget(MAX);
            worker.retry(policy)
        }),
        ("retry without a budget", true, |worker, _| {
            worker.retry(RetryPolicy::attempts(3).backoff(MAX, MAX).retry_after_limit(MAX))
        }),
        ("end_when", true, |worker, _| worker.end_when(EndWhen::Empty { after: MAX })),
        ("end_when", true, |worker, _| worker.end_when(EndWhen::TargetLeft { after: MAX })),
        ("stale_after", true, |worker, _| worker.stale_after(MAX)),
        ("blocked_after", true, |worker, _| worker.blocked_after(MAX)),
        ("grace", true, |worker, _| worker.grace(MAX)),
        ("settling", true, |worker, _| worker.settling(MAX)),
        ("cleanup_timeout", true, |worker, _| worker.cleanup_timeout(MAX)),
        ("cleanup_callback_timeout", true, |worker, _| worker.cleanup_callback_timeout(MAX)),
        ("drain_timeout", true, |worker, _| worker.drain_timeout(MAX)),
        ("join_timeout", true, |worker, _| worker.join_timeout(MAX)),
        ("room_reconnect_timeout", true, |worker, _| worker.room_reconnect_timeout(MAX)),
        ("checkpoint_expiry", true, |worker, _| worker.checkpoint_expiry(MAX)),
        ("connect_timeout", true, |worker, net| worker.net(net.connect_timeout(MAX))),
        ("reconnect_backoff", true, |worker, _| worker.reconnect_backoff(Backoff::new(MAX, MAX, MAX))),
    ];
    let mut wrong = Vec::new();
    for (name, works, setting) in settings {
        let outcome = tokio::spawn(works_with(*setting)).await;
        if outcome.as_ref().ok() != Some(works) {
            wrong.push((*name, outcome));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A drain without an end waits for the last job.
#[tokio::test(start_paused = true)]
async fn a_drain_without_an_end_ends_with_the_last_job() {
    let server = MockServer::builder().room_timeouts(stage::LONG, stage::LONG).start_in_process();
    let worker = stage::worker(&server, agent).agent_name("tester").cleanup_timeout(MAX).grace(MAX);
    let worker = worker.checkpoints(MemoryStore::new()).drain_timeout(MAX).build().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(worker.run_until(stopped));
    let job = server.dispatch(JobSpec::room("lobby").agent_name("tester")).await.unwrap();
    job.room().wait_for_agent().await;
    drop(stop);
    tokio::time::sleep(30 * MINUTE).await;
    assert!(!running.is_finished(), "the job still runs");
    job.terminate();
    let report = running.await.expect("no panic").expect("it ends well");
    assert_eq!((report.succeeded, report.failed, report.stuck, report.unsent), (1, 0, 0, 0));
}
