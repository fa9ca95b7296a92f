//! `run_until`: running until a future of the program completes.

use std::time::Duration;

use tokio::time::Instant;

use agent_testkit::{JobSpec, MockServer};
use agent_worker::net::StopError;
use agent_worker::{JobContext, JobResult, Outcome, Worker, WorkerBuilder, WorkerError};

use super::stage::{self, LONG};

async fn polite(ctx: JobContext) -> JobResult {
    ctx.cancelled().await;
    Ok(())
}

fn worker(server: &MockServer, name: &str, change: impl FnOnce(WorkerBuilder) -> WorkerBuilder) -> Worker {
    change(stage::worker(server, polite).agent_name(name)).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn run_until_drains_when_the_future_is_done() {
    const DRAIN: Duration = Duration::from_secs(60);
    let server = MockServer::builder().room_timeouts(LONG, LONG).start_in_process();
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let workers =
        ["first", "second"].map(|name| worker(&server, name, |builder| builder.drain_timeout(DRAIN)));
    let handles = [workers[0].handle(), workers[1].handle()];
    let running = tokio::spawn(Worker::run_all_until(workers, stopped));
    let job = server.dispatch(JobSpec::room("room").agent_name("second")).await.unwrap();
    job.room().wait_for_agent().await;
    assert!(!running.is_finished());
    let begun = Instant::now();
    stop.send(()).unwrap();
    while !handles[1].status().await.unwrap().draining {
        tokio::task::yield_now().await;
    }
    handles[0].stopped().await;
    assert!(!running.is_finished(), "the other one has a job, and its time for it");
    let report = running.await.unwrap().unwrap();
    assert_eq!((report.succeeded, report.failed, report.stuck), (1, 0, 0));
    assert_eq!(job.outcome().await.unwrap(), Outcome::Success);
    assert!(
        begun.elapsed() >= DRAIN && begun.elapsed() < DRAIN + Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn run_until_returns_when_the_worker_ends_by_itself() {
    let server = MockServer::builder().start_in_process();
    let first = worker(&server, "first", |builder| builder);
    let handle = first.handle();
    let running = tokio::spawn(first.run_until(std::future::pending::<()>()));
    assert!(handle.registered().await);
    handle.drain(Duration::ZERO).await;
    assert_eq!(running.await.unwrap().unwrap(), handle.stopped().await);

    server.refuse_connections(true);
    let given_up = worker(&server, "second", |builder| builder.max_connect_attempts(1));
    let ended = given_up.run_until(std::future::pending::<()>()).await;
    assert!(matches!(ended, Err(WorkerError::Stopped(StopError::GaveUp { .. }))), "{ended:?}");
}

/// One that is done already: the worker is drained before it has taken anything.
#[tokio::test(start_paused = true)]
async fn the_future_may_be_done_at_once() {
    let server = MockServer::builder().start_in_process();
    let report = worker(&server, "agent", |builder| builder).run_until(std::future::ready("any value")).await;
    assert_eq!(report.unwrap().succeeded, 0);
}
