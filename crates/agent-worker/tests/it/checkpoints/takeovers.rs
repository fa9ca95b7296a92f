//! Checkpoints that another worker takes over, and cases that are no takeover.

use std::time::Duration;

use agent_testkit::{FaultyStore, JobSpec, StoreFault, StoreOperation, run_job};
use agent_worker::checkpoint::{
    AutoSaved, CheckpointError, CheckpointKey, CheckpointStore, KeyBy, MemoryStore,
};
use agent_worker::{JobContext, JobError};

use super::{Progress, error, left_in, resumed, run, run_resumed};

#[tokio::test]
async fn a_checkpoint_that_was_taken_over_is_not_saved_any_more() {
    let store = MemoryStore::new();
    let other = store.clone();
    let handler = move |ctx: JobContext| {
        let other = other.clone();
        async move {
            let by_hand = ctx.checkpoint::<Progress>();
            by_hand.save(&Progress { done: 1 }).await?;
            let progress: AutoSaved<Progress> = ctx.checkpoint().resume().await?;
            assert_eq!(progress.get(), Progress { done: 1 });
            progress.set(Progress { done: 2 });
            progress.save().await?;
            by_hand.save(&Progress { done: 3 }).await?; // of one attempt, they share the claim

            // Another worker is given the job.
            let key = CheckpointKey::of(ctx.job(), &KeyBy::Target)?;
            let claim = other.claim(key.clone(), Duration::from_secs(60)).await?;
            assert!(claim.record.is_some());
            progress.set(Progress { done: 4 });
            assert!(matches!(progress.save().await, Err(CheckpointError::Superseded)));
            assert!(matches!(by_hand.delete().await, Err(CheckpointError::Superseded)));
            by_hand.save(&Progress { done: 5 }).await?;
            unreachable!("it is superseded")
        }
    };
    let run = run(&store, handler).await;
    assert_eq!(
        error(&run),
        "checkpoint_superseded: another worker has taken this checkpoint over: nothing more is saved here"
    );
    // Fatal, but not its own to delete.
    assert_eq!(left_in(&store).await, Some(Progress { done: 3 }));
}

#[tokio::test]
async fn a_job_whose_checkpoint_was_taken_over_ends_at_the_next_save() {
    let store = MemoryStore::new();
    let handler = |ctx: JobContext, other: MemoryStore, progress: AutoSaved<Progress>| async move {
        progress.set(Progress { done: 1 });
        progress.save().await?;
        let key = CheckpointKey::of(ctx.job(), &KeyBy::Target)?;
        other.claim(key, Duration::from_secs(3600)).await?;
        progress.set(Progress { done: 2 });
        std::future::pending().await
    };
    let run = run_resumed(&store, handler).await;
    assert!(error(&run).starts_with("checkpoint_superseded: "), "{run:?}");
    assert_eq!(run.duration.as_secs(), 30);
    assert_eq!(left_in(&store).await, Some(Progress { done: 1 }));
}

/// Claims the checkpoint and saves, as another worker does that takes a job over.
async fn another_saves(store: &MemoryStore, job: &agent_worker::Job, done: u64) {
    let key = CheckpointKey::of(job, &KeyBy::Target).expect("a key");
    let keep = Duration::from_secs(3600);
    let claim = store.claim(key.clone(), keep).await.expect("claimed");
    let writer = claim.writer.next();
    let record = agent_core::encode_checkpoint(&Progress { done }, 1, writer.epoch, 0).expect("a record");
    store.write(key, writer, Some(record), keep).await.expect("written");
}

#[tokio::test]
async fn a_value_from_before_another_worker_saved_is_not_saved_over_it() {
    let store = MemoryStore::new();
    let handler = |ctx: JobContext, other: MemoryStore, progress: AutoSaved<Progress>| async move {
        progress.set(Progress { done: 5 });
        progress.save().await?;
        // To look again is no harm.
        assert_eq!(ctx.checkpoint::<Progress>().load().await?, Some(Progress { done: 5 }));
        progress.set(Progress { done: 6 });
        progress.save().await?;
        another_saves(&other, ctx.job(), 900).await;
        // It takes the key back, and what is there with it.
        assert_eq!(ctx.checkpoint::<Progress>().load().await?, Some(Progress { done: 900 }));
        progress.set(Progress { done: 7 });
        std::future::pending().await
    };
    let run = run_resumed(&store, handler).await;
    assert!(error(&run).starts_with("checkpoint_superseded: "), "{run:?}");
    assert_eq!(left_in(&store).await, Some(Progress { done: 900 }));
}

#[tokio::test]
async fn a_failed_load_gives_no_right_to_overwrite_another_worker() {
    let store = FaultyStore::new();
    let handler = |ctx: JobContext, switch: FaultyStore, progress: AutoSaved<Progress>| async move {
        progress.set(Progress { done: 5 });
        progress.save().await?;
        let make_unavailable =
            || switch.fail_all(StoreOperation::ALL, StoreFault::unavailable("unavailable on purpose"));
        make_unavailable();
        assert!(ctx.checkpoint::<Progress>().load().await.is_err());
        switch.recover();
        progress.set(Progress { done: 6 });
        progress.save().await?;
        another_saves(switch.inner(), ctx.job(), 900).await;
        make_unavailable();
        assert!(ctx.checkpoint::<Progress>().load().await.is_err());
        switch.recover();
        assert!(matches!(progress.save().await, Err(CheckpointError::Superseded)));
        let by_hand = ctx.checkpoint().save(&Progress { done: 7 }).await;
        assert!(matches!(by_hand, Err(CheckpointError::Superseded)));
        Err(JobError::retryable("again", Duration::ZERO))
    };
    let kept = store.clone();
    let once = JobSpec::room("lobby")
        .worker(|builder| builder.checkpoints(kept).retry(agent_worker::RetryPolicy::never()));
    run_job(resumed(&store, handler), once).await;
    assert_eq!(left_in(&store).await, Some(Progress { done: 900 }));
}

#[tokio::test]
async fn a_job_is_not_superseded_by_its_own_claim_without_an_answer() {
    let store = FaultyStore::new();
    let handler = |ctx: JobContext, switch: FaultyStore, progress: AutoSaved<Progress>| async move {
        progress.set(Progress { done: 5 });
        progress.save().await?;
        switch.fail_next(StoreOperation::Claim, StoreFault::answer_lost());
        assert!(ctx.checkpoint::<Progress>().load().await.is_err());
        progress.set(Progress { done: 6 });
        progress.save().await?;
        assert_eq!(ctx.checkpoint::<Progress>().load().await?, Some(Progress { done: 6 }));
        // Also when it ends right after.
        switch.fail_next(StoreOperation::Claim, StoreFault::answer_lost());
        assert!(ctx.checkpoint::<Progress>().load().await.is_err());
        Ok(())
    };
    run_resumed(&store, handler).await.assert_success();
    assert!(store.inner().is_empty());
}
