//! Stores that are unavailable, hang, or lose writes.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;
use tracing::Level;

use agent_testkit::{FaultyStore, JobSpec, MockServer, StoreFault, StoreOperation};
use agent_worker::checkpoint::{AutoSaved, StoreError};
use agent_worker::{JobContext, JobError, JobResult, Outcome, RetryPolicy};

use super::{Progress, error, left_in, run, run_resumed, saves, seconds};
use crate::support::captured_log::CapturedLog;

#[tokio::test]
async fn an_unavailable_store_stops_no_job_that_runs() {
    let store = FaultyStore::new();
    let handler = |ctx: JobContext, switch: FaultyStore, progress: AutoSaved<Progress>| async move {
        progress.set(Progress { done: 1 });
        switch.fail_all(StoreOperation::ALL, StoreFault::unavailable("connection refused"));
        seconds(60).await;
        assert_eq!(saves(&switch), 0);
        assert!(progress.save().await.is_err_and(|error| error.is_temporary()));
        switch.recover();
        seconds(31).await;
        assert_eq!(saves(&switch), 1, "retried");
        ctx.shutdown("enough");
        ctx.cancelled().await;
        Ok(())
    };
    run_resumed(&store, handler).await.assert_success();

    store.fail_all(StoreOperation::ALL, StoreFault::unavailable("connection refused"));
    let handler = |ctx: JobContext| async move {
        let _: AutoSaved<Progress> = ctx.checkpoint().resume().await?;
        unreachable!("it is unavailable")
    };
    let run = run(&store, handler).await;
    assert!(error(&run).starts_with("the checkpoint store failed: connection refused"), "{run:?}");
    store.recover();
    assert_eq!(left_in(&store).await, Some(Progress { done: 1 }));
}

#[tokio::test]
async fn a_store_that_hangs_does_not_keep_a_job_from_ending() {
    let store = FaultyStore::new();
    store.fail_all([StoreOperation::Save, StoreOperation::Delete], StoreFault::hangs());
    let handler = |_: JobContext, _: FaultyStore, progress: AutoSaved<Progress>| async move {
        progress.set(Progress { done: 1 });
        seconds(7).await;
        Err("done for".into())
    };
    let failed = run_resumed(&store, handler).await;
    assert_eq!((error(&failed), failed.duration.as_secs()), ("done for", 7));
    let handler = |ctx: JobContext, _: FaultyStore, progress: AutoSaved<Progress>| async move {
        progress.set(Progress { done: 1 });
        ctx.shutdown("enough");
        ctx.cancelled().await;
        Err("while it stopped".into())
    };
    let failed = run_resumed(&store, handler).await;
    assert_eq!((error(&failed), failed.duration.as_secs()), ("while it stopped", 5));
}

/// The store takes the rest of the grace, and the outcome is what the handler returned.
#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_does_not_change_the_result_of_a_cancelled_handler() {
    async fn late(ctx: JobContext) -> JobResult {
        let progress: AutoSaved<Progress> = ctx.checkpoint().resume().await?;
        progress.set(Progress { done: 1 });
        ctx.shutdown("enough");
        ctx.cancelled().await;
        seconds(7).await;
        if ctx.job().room.name == "fails" { Err("while it stopped".into()) } else { Ok(()) }
    }
    let log = CapturedLog::start(Level::INFO);
    let store = FaultyStore::new();
    store.fail_all([StoreOperation::Save, StoreOperation::Delete], StoreFault::hangs());
    let server = MockServer::builder().start_in_process();
    let worker = server.worker(late).agent_name("tester").checkpoints(store).build().expect("valid settings");
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    for (room, expected) in
        [("lobby", Outcome::Success), ("fails", Outcome::Failed { error: "while it stopped".to_owned() })]
    {
        let job = server.dispatch(JobSpec::room(room).agent_name("tester")).await.expect("a job");
        let begun = Instant::now();
        assert_eq!(job.outcome().await.expect("its end"), expected);
        assert_eq!(begun.elapsed().as_secs(), 10, "the grace");
    }
    assert_eq!(log.lines_with("job ended").len(), 2, "{}", log.text());
    assert_eq!(log.lines_with("was aborted").len(), 0, "{}", log.text());
    handle.drain(Duration::ZERO).await;
    assert!(running.await.expect("no panic").is_ok());
}

/// What an ended job still asks of its store is given up: it keeps no task, and does not delay a later stop.
#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_keeps_no_task_of_an_ended_job() {
    async fn saves_for_a_while(ctx: JobContext) -> JobResult {
        let progress: AutoSaved<Progress> = ctx.checkpoint().resume().await?;
        progress.save().await?;
        progress.set(Progress { done: 1 });
        // Longer than the interval of the automatic saves.
        seconds(40).await;
        match &*ctx.job().raw_metadata {
            "keep" => Err(JobError::retryable("not yet", Duration::ZERO)),
            _ => Ok(()),
        }
    }
    const JOBS: usize = 5;
    let log = CapturedLog::start(Level::WARN);
    let store = FaultyStore::new();
    let server = MockServer::builder().start_in_process();
    let worker = server.worker(saves_for_a_while).agent_name("tester").checkpoints(store.clone());
    let worker = worker.retry(RetryPolicy::never()).build().expect("valid settings");
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());
    // With a store that works, then with one that hangs at the end, and then already before it.
    let mut alive = Vec::new();
    for (hangs, metadata, lines) in [
        (None, "", 0),
        (Some(StoreOperation::Delete), "", 1),
        (Some(StoreOperation::Save), "", 0),
        (Some(StoreOperation::Save), "keep", 2),
    ] {
        let before = log.lines_with("did not answer").len();
        for n in 0..JOBS {
            let spec = JobSpec::room(format!("{hangs:?} {n}")).agent_name("tester").metadata(metadata);
            let job = server.dispatch(spec).await.expect("a job");
            seconds(5).await;
            if let Some(operation) = hangs {
                store.fail_all([operation], StoreFault::hangs());
            }
            let outcome = job.outcome_within(Duration::from_secs(60)).await.expect("its end");
            assert_eq!(outcome.is_success(), metadata.is_empty(), "{outcome:?}");
            seconds(1).await;
            store.recover();
        }
        // The rooms are closed by then.
        seconds(120).await;
        alive.push(Handle::current().metrics().num_alive_tasks());
        assert_eq!(log.lines_with("did not answer").len() - before, lines * JOBS, "{}", log.text());
    }
    assert_eq!(alive, [alive[0]; 4], "tasks are left over");
    let begun = Instant::now();
    handle.drain(Duration::ZERO).await;
    assert!(running.await.expect("no panic").is_ok());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

/// The network delays two saves: their results are never reported, and they reach the store much later than
/// all others.
#[tokio::test]
async fn a_save_that_comes_late_to_the_store_replaces_nothing_newer() {
    let store = FaultyStore::new();
    store.fail_next(StoreOperation::Save, StoreFault::late());
    store.fail_next(StoreOperation::Save, StoreFault::late());
    let handler = |_: JobContext, network: FaultyStore, progress: AutoSaved<Progress>| async move {
        for done in [1, 2] {
            progress.set(Progress { done });
            assert!(progress.save().await.is_err_and(|error| error.is_temporary()));
        }
        progress.set(Progress { done: 3 });
        progress.save().await?;
        let late = network.deliver_late().await.expect("it was sent");
        assert!(matches!(late, Err(StoreError::Superseded)), "{late:?}");
        Ok(())
    };
    run_resumed(&store, handler).await.assert_success();
    let late = store.deliver_late().await.expect("it was sent");
    assert!(matches!(late, Err(StoreError::Superseded)), "{late:?}");
    assert!(store.inner().is_empty(), "the job is done, and its checkpoint stays deleted");
}

#[tokio::test]
async fn a_record_of_a_save_without_an_answer_is_deleted_with_the_job() {
    let store = FaultyStore::new();
    store.fail_all([StoreOperation::Save], StoreFault::answer_lost());
    let handler = |_: JobContext, _: FaultyStore, progress: AutoSaved<Progress>| async move {
        progress.set(Progress { done: 1 });
        assert!(progress.save().await.is_err_and(|error| error.is_temporary()));
        Ok(())
    };
    run_resumed(&store, handler).await.assert_success();
    assert!(store.inner().is_empty(), "the job is done");
}
