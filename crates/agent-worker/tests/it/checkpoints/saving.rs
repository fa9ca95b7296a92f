//! When a job's checkpoint is saved and deleted, and with which value a job begins.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_testkit::{FaultyStore, JobSpec, run_job};
use agent_worker::checkpoint::{AutoSaved, CheckpointError, KeyBy, MemoryStore};
use agent_worker::{JobContext, JobError};

use super::{Progress, error, left_in, resumed, run, run_resumed, saves, seconds, spec};

#[tokio::test]
async fn a_value_that_saves_itself_does_so_every_thirty_seconds_when_it_has_changed() {
    let store = FaultyStore::new();
    let handler = |_: JobContext, count: FaultyStore, progress: AutoSaved<Progress>| async move {
        assert_eq!(progress.get(), Progress::default());
        progress.set(Progress { done: 1 });
        seconds(29).await;
        assert_eq!(saves(&count), 0);
        seconds(2).await;
        assert_eq!(saves(&count), 1);
        // Nothing changes, nothing is saved.
        seconds(300).await;
        assert_eq!(saves(&count), 1);
        progress.update(|progress| progress.done += 1);
        seconds(31).await;
        assert_eq!(saves(&count), 2);
        assert_eq!(progress.read(|progress| progress.done), 2);
        progress.set(Progress { done: 3 });
        progress.save().await?;
        assert_eq!(saves(&count), 3);
        seconds(31).await;
        assert_eq!(saves(&count), 3, "saved already");
        Ok(())
    };
    run_resumed(&store, handler).await.assert_success();
    assert!(store.inner().is_empty(), "deleted on success");
}

#[tokio::test]
async fn an_unsaved_value_is_saved_when_the_job_is_cancelled_and_when_it_has_ended() {
    let store = FaultyStore::new();
    let handler = |ctx: JobContext, count: FaultyStore, progress: AutoSaved<Progress>| async move {
        progress.set(Progress { done: 7 });
        ctx.shutdown("enough");
        ctx.cancelled().await;
        seconds(1).await;
        assert_eq!(saves(&count), 1, "saved at once");
        progress.set(Progress { done: 8 });
        Ok(())
    };
    run_resumed(&store, handler).await.assert_success();
    assert_eq!(saves(&store), 2);
    assert_eq!(
        left_in(&store).await,
        Some(Progress { done: 8 }),
        "success, but not done: the next one resumes"
    );
}

#[tokio::test]
async fn how_a_job_ends_decides_about_its_checkpoint() {
    let kept = Some(Progress { done: 5 });
    for (name, left) in [
        ("ok", None),
        ("fatal", None),
        ("invalid", None),
        ("unknown", None),
        ("retryable", kept.clone()),
        ("panic", kept.clone()),
        ("deadline", kept.clone()),
        ("aborted", kept.clone()),
        ("cancelled", kept.clone()),
    ] {
        let store = MemoryStore::new();
        let handler = move |ctx: JobContext, _: MemoryStore, progress: AutoSaved<Progress>| async move {
            progress.set(Progress { done: 5 });
            match name {
                "ok" => Ok(()),
                "fatal" => Err(JobError::fatal("quota_exceeded")),
                "invalid" => Err(JobError::invalid("language", "xx", "not a language")),
                "unknown" => Err("who knows".into()),
                "retryable" => Err(JobError::retryable("away", Duration::ZERO)),
                "panic" => panic!("on purpose"),
                "deadline" => {
                    ctx.cancelled().await;
                    Ok(())
                }
                "aborted" => std::future::pending().await,
                _ => {
                    ctx.shutdown("enough");
                    ctx.cancelled().await;
                    Err(JobError::fatal("while it stopped"))
                }
            }
        };
        let spec = spec(store.clone());
        let spec = match name {
            "deadline" | "aborted" => JobSpec::room("lobby").lasts(Duration::from_secs(3600)).worker({
                let store = store.clone();
                |builder| builder.checkpoints(store).job_timeout(Duration::from_secs(60))
            }),
            _ => spec,
        };
        run_job(resumed(&store, handler), spec).await;
        assert_eq!(left_in(&store).await, left, "{name}");
    }
}

#[tokio::test]
async fn the_next_attempt_resumes_with_the_last_value_of_the_one_before() {
    let store = MemoryStore::new();
    let handler = |ctx: JobContext, _: MemoryStore, progress: AutoSaved<Progress>| async move {
        assert_eq!(progress.get().done, u64::from(ctx.attempt() - 1));
        progress.update(|progress| progress.done += 1);
        if ctx.attempt() < 3 {
            // What the first attempt leaves behind saves nothing over what the next one does.
            tokio::spawn(async move {
                seconds(20).await;
                progress.set(Progress { done: 99 });
                let _ = progress.save().await;
            });
            return Err(JobError::retryable("again", Duration::from_secs(1)));
        }
        seconds(60).await;
        assert_eq!(ctx.checkpoint::<Progress>().load().await?, Some(Progress { done: 3 }));
        Ok(())
    };
    run_resumed(&store, handler).await.assert_success();
    assert!(store.is_empty());
}

#[tokio::test]
async fn a_newer_or_another_checkpoint_ends_the_job_and_stays() {
    let store = MemoryStore::new();
    let newer = |ctx: JobContext| async move {
        ctx.checkpoint().version(2).save(&Progress { done: 1 }).await?;
        ctx.shutdown("enough");
        ctx.cancelled().await;
        Ok(())
    };
    run(&store, newer).await.assert_success();
    let old = |ctx: JobContext| async move {
        let _: AutoSaved<Progress> = ctx.checkpoint().resume().await?;
        unreachable!("it is newer")
    };
    let failed = run(&store, old).await;
    assert_eq!(
        error(&failed),
        "checkpoint_newer: the checkpoint was saved by version 2 of this agent, and this one is version 1: run the newer agent, or delete the checkpoint"
    );
    let other = |ctx: JobContext| async move {
        let _: Option<Vec<u8>> = ctx.checkpoint().version(2).load().await?;
        unreachable!("it is no list")
    };
    let failed = run(&store, other).await;
    assert!(
        error(&failed).starts_with("checkpoint_unreadable: the checkpoint, saved by version 2"),
        "{failed:?}"
    );
    assert_eq!(store.len(), 1, "neither has deleted it");
    let deletes = |ctx: JobContext| async move {
        ctx.checkpoint::<Progress>().delete().await?;
        assert_eq!(ctx.checkpoint::<Progress>().load().await?, None);
        Ok(())
    };
    run(&store, deletes).await.assert_success();
    assert!(store.is_empty());
}

#[tokio::test]
async fn a_worker_without_a_store_is_an_error() {
    let handler = |ctx: JobContext| async move {
        ctx.checkpoint().save(&Progress::default()).await?;
        Ok(())
    };
    let run = run_job(handler, JobSpec::room("lobby")).await;
    assert_eq!(
        error(&run),
        "checkpoint_no_store: there is no store for checkpoints: call `.checkpoints(…)` on the worker's builder"
    );
}

#[tokio::test]
async fn a_value_that_panicked_half_way_is_not_saved() {
    let store = MemoryStore::new();
    let handler = |_: JobContext, _: MemoryStore, progress: AutoSaved<Progress>| async move {
        progress.set(Progress { done: 1 });
        progress.save().await?;
        let cell = progress.clone();
        let panics = tokio::spawn(async move {
            cell.update(|progress| {
                progress.done = 99;
                panic!("half way");
            });
        });
        assert!(panics.await.is_err());
        assert!(matches!(progress.save().await, Err(CheckpointError::HalfChanged)));
        seconds(60).await;
        Err(JobError::retryable("again", Duration::ZERO))
    };
    run_resumed(&store, handler).await;
    assert_eq!(left_in(&store).await, Some(Progress { done: 1 }));
}

#[tokio::test]
async fn tasks_left_by_a_finished_job_save_nothing() {
    let store = MemoryStore::new();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let sender = Arc::new(Mutex::new(Some(sender)));
    let handler = async move |ctx: JobContext| {
        let sender = sender.lock().expect("no panic").take().expect("one attempt");
        let checkpoint = ctx.checkpoint::<Progress>();
        checkpoint.save(&Progress { done: 1 }).await?;
        drop(sender.send(checkpoint));
        Ok(())
    };
    run(&store, handler).await.assert_success();
    assert!(store.is_empty());
    let left = receiver.await.expect("it was there");
    assert!(matches!(left.save(&Progress { done: 2 }).await, Err(CheckpointError::JobOver)));
    assert!(store.is_empty());
}

#[tokio::test]
async fn other_keys() {
    let store = MemoryStore::new();
    let handler = |ctx: JobContext| async move {
        for (by, done) in [(KeyBy::Job, 1), (KeyBy::Metadata("request_id".to_owned()), 2), (KeyBy::Target, 3)]
        {
            ctx.checkpoint().key(by).save(&Progress { done }).await?;
        }
        ctx.shutdown("enough");
        ctx.cancelled().await;
        Ok(())
    };
    let with_id = || spec(store.clone()).metadata(r#"{"request_id":"r-7"}"#);
    run_job(handler, with_id()).await.assert_success();
    let look = |ctx: JobContext| async move {
        let by_request = ctx.checkpoint::<Progress>().key(KeyBy::Metadata("request_id".to_owned()));
        assert_eq!(by_request.load().await?, Some(Progress { done: 2 }));
        assert_eq!(ctx.checkpoint::<Progress>().load().await?, None, "another room");
        Ok(())
    };
    let elsewhere = JobSpec::room("another").metadata(r#"{"request_id":"r-7"}"#);
    run_job(
        look,
        elsewhere.worker({
            let store = store.clone();
            |builder| builder.checkpoints(store)
        }),
    )
    .await
    .assert_success();
    let run = run_job(look, spec(store.clone())).await;
    assert!(
        error(&run).starts_with("invalid_input: $.request_id: the job's metadata has no field"),
        "{run:?}"
    );
}
