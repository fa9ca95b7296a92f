//! Each fault of the mock server, and a worker that survives it. Where a fault takes time, the time is
//! virtual.

use std::time::Duration;

use tokio::time::Instant;

use agent_testkit::{JobSpec, MockJob, MockServer, ServerEvent};
use agent_worker::{JobContext, JobResult, Outcome, WorkerHandle};

/// Longer than every wait in this file, on the clock of the test.
const SOON: Duration = Duration::from_secs(120);

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(SOON, future).await.expect("in time")
}

/// Announces once that it runs. With the metadata `stay` it runs until it is cancelled.
async fn agent(ctx: JobContext) -> JobResult {
    ctx.room().publish_data("runs", "").await?;
    if ctx.job().raw_metadata == "stay" {
        ctx.cancelled().await;
    }
    Ok(())
}

/// A registered worker.
async fn worker(server: &MockServer) -> WorkerHandle {
    let worker = server.worker(agent).agent_name("tester").build().unwrap();
    let handle = worker.handle();
    tokio::spawn(worker.run());
    assert!(within(handle.registered()).await);
    handle
}

/// A worker with a running job.
async fn busy(server: &MockServer) -> (WorkerHandle, MockJob) {
    let handle = worker(server).await;
    let job = server.dispatch(JobSpec::room("stays").metadata("stay")).await.unwrap();
    within(job.room().wait_for_data(|sent| sent.topic == "runs")).await;
    (handle, job)
}

async fn registrations(server: &MockServer, count: usize) {
    let registered = |event: &ServerEvent| matches!(event, ServerEvent::Registered { .. });
    let reported = tokio::time::timeout(SOON, server.wait_for_count(count, registered)).await;
    assert!(reported.is_ok(), "{}", server.timeline());
}

/// A job that is dispatched now runs once, and succeeds.
async fn a_job_succeeds(server: &MockServer, room: &str) {
    let job = server.dispatch(JobSpec::room(room)).await.unwrap();
    assert_eq!(within(job.outcome()).await.unwrap(), Outcome::Success, "{}", server.timeline());
    assert_eq!(job.room().sent().len(), 1, "{}", server.timeline());
}

/// The server does not know the job any more, and logs only that it is unknown.
async fn is_unknown(server: &MockServer, handle: &WorkerHandle, job: &MockJob) {
    assert_eq!(handle.status().await.unwrap().slots.running, 1, "it still runs");
    let id = job.job_id().await;
    let migrated = |event: &ServerEvent| matches!(event, ServerEvent::Migrated { job_ids, .. } if job_ids[..] == [id.clone()]);
    within(server.wait_for(migrated)).await;
    job.room().delete();
    let unknown =
        |event: &ServerEvent| matches!(event, ServerEvent::UnknownJob { job_id, .. } if *job_id == id);
    let reported = tokio::time::timeout(SOON, server.wait_for(unknown)).await;
    assert!(reported.is_ok(), "{}", server.timeline());
}

#[tokio::test]
async fn cut() {
    let server = MockServer::start().await.unwrap();
    let (handle, job) = busy(&server).await;
    server.cut_workers();
    registrations(&server, 2).await;
    is_unknown(&server, &handle, &job).await;
    a_job_succeeds(&server, "after").await;
}

#[tokio::test]
async fn closed() {
    let server = MockServer::start().await.unwrap();
    let (handle, job) = busy(&server).await;
    server.close_workers(1001, "going away");
    registrations(&server, 2).await;
    is_unknown(&server, &handle, &job).await;
    a_job_succeeds(&server, "after").await;
}

#[tokio::test(start_paused = true)]
async fn delayed() {
    let server = MockServer::builder().start_in_process();
    let handle = worker(&server).await;
    server.delay_messages(Duration::from_secs(1));
    let start = Instant::now();
    a_job_succeeds(&server, "late").await;
    // The offer and the assignment.
    assert_eq!(start.elapsed().as_secs(), 2, "{}", server.timeline());

    // The offer arrives after the server's 3 s.
    server.delay_messages(Duration::from_secs(4));
    let job = server.dispatch(JobSpec::room("too-late")).await.unwrap();
    assert!(within(job.outcome()).await.unwrap_err().to_string().contains("no worker answered in time"));

    server.delay_messages(Duration::ZERO);
    a_job_succeeds(&server, "after").await;
    assert_eq!(handle.status().await.unwrap().slots.running, 0);
}

#[tokio::test(start_paused = true)]
async fn stalled() {
    let server = MockServer::builder().start_in_process();
    let (handle, job) = busy(&server).await;
    server.freeze(true);
    let stalled = server.dispatch(JobSpec::room("stalled")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    server.freeze(false);
    assert_eq!(within(stalled.outcome()).await.unwrap(), Outcome::Success, "nothing was lost");

    // Longer than the time after which the worker considers the connection dead.
    server.freeze(true);
    tokio::time::sleep(Duration::from_secs(60)).await;
    server.freeze(false);
    registrations(&server, 2).await;
    is_unknown(&server, &handle, &job).await;
    a_job_succeeds(&server, "after").await;
}

#[tokio::test]
async fn refused() {
    let server = MockServer::start().await.unwrap();
    refusing(&server, Duration::from_secs(2)).await;
}

#[tokio::test(start_paused = true)]
async fn refused_for_an_hour() {
    // Only the agent is in the room.
    let day = Duration::from_secs(24 * 3600);
    let server = MockServer::builder().room_timeouts(day, day).start_in_process();
    refusing(&server, Duration::from_secs(3600)).await;
}

async fn refusing(server: &MockServer, lasts: Duration) {
    let (handle, _job) = busy(server).await;
    server.refuse_connections(true);
    server.cut_workers();
    let registered = |event: &ServerEvent| matches!(event, ServerEvent::Registered { .. });
    let refused = tokio::time::timeout(lasts, server.wait_for_count(2, registered)).await;
    assert!(refused.is_err(), "{}", server.timeline());
    assert_eq!(handle.status().await.unwrap().slots.running, 1);
    server.refuse_connections(false);
    registrations(server, 2).await;
    a_job_succeeds(server, "after").await;
}

#[tokio::test]
async fn duplicated() {
    let server = MockServer::start().await.unwrap();
    worker(&server).await;
    server.double_messages(true);
    a_job_succeeds(&server, "twice").await;
    server.double_messages(false);
    a_job_succeeds(&server, "after").await;
}

#[tokio::test]
async fn garbage() {
    let server = MockServer::start().await.unwrap();
    let (handle, job) = busy(&server).await;
    server.send_garbage();
    for bytes in [&b""[..], b"\x0a", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", &[0; 100_000]] {
        server.send_bytes(bytes.to_vec());
    }
    a_job_succeeds(&server, "after").await;
    assert_eq!(handle.status().await.unwrap().slots.running, 1);
    job.terminate();
    assert_eq!(within(job.outcome()).await.unwrap(), Outcome::Success);
}

#[tokio::test(start_paused = true)]
async fn half_open() {
    let server = MockServer::builder().start_in_process();
    let (handle, job) = busy(&server).await;
    let start = Instant::now();
    server.half_open_workers();
    // The server still considers it registered.
    let lost = server.dispatch(JobSpec::room("lost")).await.unwrap();
    assert!(within(lost.outcome()).await.is_err());
    assert!(!server.events().iter().any(|event| matches!(event, ServerEvent::Disconnected { .. })));
    registrations(&server, 2).await;
    let took = start.elapsed().as_secs();
    assert!((20..=40).contains(&took), "no inbound bytes for 25 s, then a new connection: {took} s");
    is_unknown(&server, &handle, &job).await;
    a_job_succeeds(&server, "after").await;
}

#[tokio::test(start_paused = true)]
async fn muted() {
    let server = MockServer::builder().start_in_process();
    worker(&server).await;
    server.mute(true);
    let lost = server.dispatch(JobSpec::room("lost")).await.unwrap();
    assert!(within(lost.outcome()).await.unwrap_err().to_string().contains("no worker answered in time"));
    server.mute(false);
    a_job_succeeds(&server, "after").await;
}

#[tokio::test(start_paused = true)]
async fn joins_refused() {
    let server = MockServer::builder().start_in_process();
    let handle = worker(&server).await;
    server.refuse_joins(503, Some(Duration::from_secs(5)));
    let job = server.dispatch(JobSpec::room("waits")).await.unwrap();
    within(server.wait_for(|event| matches!(event, ServerEvent::JoinRefused { status: 503 }))).await;
    server.allow_joins();
    assert_eq!(within(job.outcome()).await.unwrap(), Outcome::Success, "{}", server.timeline());

    // Permanently.
    server.refuse_joins(403, None);
    let job = server.dispatch(JobSpec::room("refused")).await.unwrap();
    let Outcome::Failed { error } = within(job.outcome()).await.unwrap() else {
        panic!("the join was not refused")
    };
    assert!(error.contains("HTTP 403") && error.contains("refuses joins"), "{error}");
    // Not a status of a refusal.
    server.refuse_joins(101, None);
    let job = server.dispatch(JobSpec::room("busy")).await.unwrap();
    within(server.wait_for_count(2, |event| matches!(event, ServerEvent::JoinRefused { status: 503 }))).await;
    server.allow_joins();
    assert_eq!(within(job.outcome()).await.unwrap(), Outcome::Success, "{}", server.timeline());
    assert_eq!(handle.status().await.unwrap().slots.running, 0);
}
