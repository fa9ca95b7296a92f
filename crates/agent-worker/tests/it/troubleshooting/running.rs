//! Log lines of a worker about an unexpected behaviour of the server, and at its end.

use std::time::Duration;

use agent_testkit::{JobSpec, MockServer};
use agent_worker::{EndWhen, JobContext, JobResult};

use super::done;
use crate::support::guide_tables;
use crate::support::steady_log::Log;
use crate::support::within;

async fn deaf(_: JobContext) -> JobResult {
    std::future::pending().await
}

/// Opens a stream and does not read it.
async fn slow(ctx: JobContext) -> JobResult {
    let _unread = ctx.room().data("line");
    ctx.room().publish_data("ready", "").await?;
    ctx.cancelled().await;
    Ok(())
}

async fn stays(ctx: JobContext) -> JobResult {
    ctx.cancelled().await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn unexpected_messages() {
    let mut lines = Vec::new();
    let server = MockServer::builder().start_in_process();
    {
        let (log, _guard) = Log::keep();
        let worker = server.worker(done).agent_name("tester").build().unwrap();
        let handle = worker.handle();
        let running = tokio::spawn(worker.run());
        assert!(within(handle.registered()).await);
        server.send_garbage();
        lines.push(("the server sends an invalid message", log.line("unexpected message").await));
        handle.drain(Duration::ZERO).await;
        running.await.unwrap().unwrap();
    }
    {
        let (log, _guard) = Log::keep();
        let worker = server.worker(deaf).agent_name("tester").build().unwrap();
        let handle = worker.handle();
        let running = tokio::spawn(worker.run());
        assert!(within(handle.registered()).await);
        let job = server.dispatch(JobSpec::room("lobby")).await.unwrap();
        within(job.room().wait_for_agent()).await;
        job.terminate();
        lines.push(("a handler does not return when it is cancelled", log.line("aborting").await));
        handle.drain(Duration::ZERO).await;
        running.await.unwrap().unwrap();
    }
    {
        let (log, _guard) = Log::keep();
        let worker = server.worker(slow).agent_name("tester").build().unwrap();
        let handle = worker.handle();
        let running = tokio::spawn(worker.run());
        assert!(within(handle.registered()).await);
        let job = server.dispatch(JobSpec::room("hall")).await.unwrap();
        within(job.room().wait_for_data(|sent| sent.topic == "ready")).await;
        (0..1025).for_each(|_| job.room().send_data("line", "much"));
        lines.push((
            "data arrive faster than a handler reads them",
            log.line("room events were dropped").await,
        ));
        handle.drain(Duration::ZERO).await;
        running.await.unwrap().unwrap();
    }
    guide_tables::check("running", &lines);
}

#[tokio::test(start_paused = true)]
async fn rooms_that_close_too_soon() {
    let mut lines = Vec::new();
    for (what, departure, wait) in [
        ("`.end_when(…)` waits longer than the room stays", 20, 60),
        ("the room's `departure_timeout` is below 5 s", 1, 10),
    ] {
        let (log, _guard) = Log::keep();
        let timeouts = (Duration::from_secs(300), Duration::from_secs(departure));
        let server = MockServer::builder().room_timeouts(timeouts.0, timeouts.1).start_in_process();
        let policy = EndWhen::TargetLeft { after: Duration::from_secs(wait) };
        let worker = server.worker(stays).agent_name("tester").end_when(policy).build().unwrap();
        let handle = worker.handle();
        let running = tokio::spawn(worker.run());
        assert!(within(handle.registered()).await);
        server.dispatch(JobSpec::room("lobby").participant("ada")).await.unwrap();
        lines.push((what, log.line("departure_timeout").await));
        handle.drain(Duration::ZERO).await;
        running.await.unwrap().unwrap();
    }
    {
        let (log, _guard) = Log::keep();
        let server = MockServer::builder().start_in_process();
        let worker = server.worker(stays).agent_name("tester").build().unwrap();
        let handle = worker.handle();
        let running = tokio::spawn(worker.run());
        assert!(within(handle.registered()).await);
        let job = server.dispatch(JobSpec::room("lobby")).await.unwrap();
        within(job.room().wait_for_agent()).await;
        job.room().delete();
        lines.push((
            "the room is deleted, or closes, before the job has ended",
            log.line("closed first").await,
        ));
        handle.drain(Duration::ZERO).await;
        running.await.unwrap().unwrap();
    }
    guide_tables::check("rooms", &lines);
}
