//! The hook that runs before the worker connects.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use agent_testkit::{JobSpec, MockServer, ServerEvent};
use agent_worker::net::StopError;
use agent_worker::{JobContext, JobResult, Outcome, Worker, WorkerBuilder, WorkerError};

use super::stage;

fn worker(server: &MockServer, change: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> Worker {
    change(stage::worker(server, async |_: JobContext| JobResult::Ok(())).agent_name("tester"))
        .build()
        .unwrap()
}

/// Why this worker ends, which never connects.
async fn error_of(change: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> String {
    let server = MockServer::builder().start_in_process();
    let ended = worker(&server, change).run().await;
    assert!(matches!(ended, Err(WorkerError::Stopped(StopError::NotPrepared { .. }))), "{ended:?}");
    assert!(server.events().is_empty(), "{:?}", server.events());
    ended.unwrap_err().to_string()
}

#[tokio::test(start_paused = true)]
async fn a_worker_registers_when_its_hook_has_returned() {
    let server = MockServer::builder().start_in_process();
    let (finish, finished) = oneshot::channel::<()>();
    let finished = Arc::new(std::sync::Mutex::new(Some(finished)));
    let loaded = Arc::new(AtomicBool::new(false));
    let loads = Arc::clone(&loaded);
    let worker = worker(&server, |builder| {
        builder.on_start(move || async move {
            let finished = finished.lock().unwrap().take().expect("it runs once");
            finished.await?;
            loads.store(true, Ordering::Relaxed);
            Ok(())
        })
    });
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    tokio::time::sleep(Duration::from_secs(299)).await;
    let status = handle.status().await.unwrap();
    assert!(!status.registered && server.events().is_empty(), "{status:?}");
    finish.send(()).unwrap();
    assert!(handle.registered().await && loaded.load(Ordering::Relaxed));
    let job = server.dispatch(JobSpec::room("lobby").agent_name("tester")).await.unwrap();
    assert_eq!(job.outcome().await.unwrap(), Outcome::Success);
    // Not again for another connection.
    server.cut_workers();
    server.wait_for_count(2, |event| matches!(event, ServerEvent::Registered { .. })).await;
    let job = server.dispatch(JobSpec::room("hall").agent_name("tester")).await.unwrap();
    assert_eq!(job.outcome().await.unwrap(), Outcome::Success);
    handle.drain(Duration::ZERO).await;
    running.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_ends_the_worker() {
    let failed =
        error_of(|builder| builder.on_start(|| async { Err(std::io::Error::other("no such model").into()) }));
    assert_eq!(failed.await, "the worker could not start: the `on_start` hook failed: no such model");
    let panicked = error_of(|builder| builder.on_start(|| async { panic!("a bug") })).await;
    assert!(panicked.contains("the `on_start` hook panicked: ") && panicked.contains("a bug"), "{panicked}");
}

#[tokio::test(start_paused = true)]
async fn a_hook_has_a_time_limit() {
    let hangs = || std::future::pending();
    for (limit, shown) in [(None, "300s"), (Some(Duration::from_secs(20)), "20s")] {
        let begun = Instant::now();
        let error = error_of(|builder| {
            let builder = builder.on_start(hangs);
            limit.into_iter().fold(builder, WorkerBuilder::start_timeout)
        });
        let expected = format!(
            "the worker could not start: its preparation took longer than {shown}: set a longer `start_timeout`"
        );
        assert_eq!(error.await, expected);
        assert_eq!(begun.elapsed().as_secs(), limit.unwrap_or(Duration::from_secs(300)).as_secs());
    }
}

/// Drops the hook, too.
#[tokio::test(start_paused = true)]
async fn a_worker_can_be_drained_before_it_is_ready() {
    let server = MockServer::builder().start_in_process();
    let (hook_lives, mut lives) = tokio::sync::mpsc::channel::<()>(1);
    let worker = worker(&server, |builder| {
        builder.on_start(move || async move {
            let _lives = hook_lives;
            std::future::pending().await
        })
    });
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    assert!(!handle.status().await.unwrap().registered);
    handle.drain(Duration::from_secs(60)).await;
    running.await.unwrap().unwrap();
    assert_eq!(lives.recv().await, None);
    assert!(server.events().is_empty(), "{:?}", server.events());
}
