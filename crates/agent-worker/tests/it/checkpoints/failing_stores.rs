//! Stores that are unavailable, hang, or lose writes.

use agent_testkit::{FaultyStore, StoreFault, StoreOperation};
use agent_worker::JobContext;
use agent_worker::checkpoint::{AutoSaved, StoreError};

use super::{Progress, error, left_in, run, run_resumed, saves, seconds};

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
