//! Checkpoints of jobs, on virtual time and in memory: when they are saved, who goes on with them, and when
//! they are gone.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test may fail")]

#[path = "troubleshooting/log.rs"]
mod log;
mod odd_store;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_testkit::{JobSpec, Run, run_job, run_job_in_real_time};
use agent_worker::checkpoint::{
    AutoSaved, CheckpointError, CheckpointKey, CheckpointStore, Claim, KeyBy, MemoryStore, StoreError, Writer,
};
use agent_worker::{BoxFuture, JobContext, JobError, JobResult};

use odd_store::{OddStore, unavailable};

#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
struct Progress {
    done: u64,
}

/// A store that counts, and fails when it is told to.
#[derive(Clone, Default)]
struct Watched {
    memory: MemoryStore,
    saves: Arc<AtomicUsize>,
    away: Arc<AtomicBool>,
    /// The next claim is done, and nobody hears of it.
    deaf: Arc<AtomicBool>,
}

impl Watched {
    fn check(&self) -> Result<(), StoreError> {
        if self.away.load(Ordering::Relaxed) {
            let source = Some(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into());
            return Err(StoreError::Unavailable { problem: "the test's store is away".to_owned(), source });
        }
        Ok(())
    }

    fn saves(&self) -> usize {
        self.saves.load(Ordering::Relaxed)
    }
}

impl CheckpointStore for Watched {
    fn claim(&self, key: CheckpointKey, keep: Duration) -> BoxFuture<'_, Result<Claim, StoreError>> {
        Box::pin(async move {
            self.check()?;
            let claim = self.memory.claim(key, keep).await;
            if self.deaf.swap(false, Ordering::Relaxed) {
                return Err(StoreError::Unavailable { problem: "no answer".to_owned(), source: None });
            }
            claim
        })
    }

    fn write(
        &self,
        key: CheckpointKey,
        writer: Writer,
        record: Option<Vec<u8>>,
        keep: Duration,
    ) -> BoxFuture<'_, Result<Writer, StoreError>> {
        Box::pin(async move {
            self.check()?;
            self.saves.fetch_add(usize::from(record.is_some()), Ordering::Relaxed);
            self.memory.write(key, writer, record, keep).await
        })
    }
}

fn spec(store: impl CheckpointStore) -> JobSpec {
    JobSpec::room("lobby").lasts(Duration::from_secs(3600)).worker(|builder| builder.checkpoints(store))
}

/// Runs a job with this store.
async fn run<F: Future<Output = JobResult> + Send + 'static>(
    store: &(impl CheckpointStore + Clone),
    handler: impl Fn(JobContext) -> F + Send + Sync + 'static,
) -> Run {
    run_job(handler, spec(store.clone())).await
}

/// What the next job would begin with.
async fn left_in(store: &(impl CheckpointStore + Clone)) -> Option<Progress> {
    let found = Arc::new(Mutex::new(None));
    let tell = Arc::clone(&found);
    let look = move |ctx: JobContext| {
        let tell = Arc::clone(&tell);
        async move {
            let value = ctx.checkpoint::<Progress>().load().await?;
            *tell.lock().expect("no panic") = value;
            // Told to stop: what it has looked at is kept.
            ctx.shutdown("seen");
            ctx.cancelled().await;
            Ok(())
        }
    };
    run(store, look).await.assert_success();
    found.lock().expect("no panic").take()
}

fn error(run: &Run) -> &str {
    run.outcome.error().unwrap_or("success")
}

async fn seconds(n: u64) {
    tokio::time::sleep(Duration::from_secs(n)).await;
}

#[tokio::test]
async fn a_value_that_saves_itself_does_so_every_thirty_seconds_when_it_has_changed() {
    let store = Watched::default();
    let count = store.clone();
    let handler = move |ctx: JobContext| {
        let count = count.clone();
        async move {
            let progress: AutoSaved<Progress> = ctx.checkpoint().resume().await?;
            assert_eq!(progress.get(), Progress::default());
            progress.set(Progress { done: 1 });
            seconds(29).await;
            assert_eq!(count.saves(), 0);
            seconds(2).await;
            assert_eq!(count.saves(), 1);
            // Nothing changes, nothing is saved.
            seconds(300).await;
            assert_eq!(count.saves(), 1);
            progress.update(|progress| progress.done += 1);
            seconds(31).await;
            assert_eq!(count.saves(), 2);
            assert_eq!(progress.read(|progress| progress.done), 2);
            progress.set(Progress { done: 3 });
            progress.save().await?;
            assert_eq!(count.saves(), 3);
            seconds(31).await;
            assert_eq!(count.saves(), 3, "saved already");
            Ok(())
        }
    };
    run(&store, handler).await.assert_success();
    assert!(store.memory.is_empty(), "deleted on success");
}

#[tokio::test]
async fn what_is_not_saved_yet_is_saved_when_the_job_is_told_to_stop_and_when_it_has_stopped() {
    let store = Watched::default();
    let count = store.clone();
    let handler = move |ctx: JobContext| {
        let count = count.clone();
        async move {
            let progress: AutoSaved<Progress> = ctx.checkpoint().resume().await?;
            progress.set(Progress { done: 7 });
            ctx.shutdown("enough");
            ctx.cancelled().await;
            seconds(1).await;
            assert_eq!(count.saves(), 1, "saved at once");
            progress.set(Progress { done: 8 });
            Ok(())
        }
    };
    run(&store, handler).await.assert_success();
    assert_eq!(store.saves(), 2);
    assert_eq!(
        left_in(&store).await,
        Some(Progress { done: 8 }),
        "success, but not done: the next one goes on"
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
        let handler = move |ctx: JobContext| async move {
            let progress: AutoSaved<Progress> = ctx.checkpoint().resume().await?;
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
        run_job(handler, spec).await;
        assert_eq!(left_in(&store).await, left, "{name}");
    }
}

#[tokio::test]
async fn one_that_was_taken_over_saves_nothing_more() {
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
    let other = store.clone();
    let handler = move |ctx: JobContext| {
        let other = other.clone();
        async move {
            let progress: AutoSaved<Progress> = ctx.checkpoint().resume().await?;
            progress.set(Progress { done: 1 });
            progress.save().await?;
            let key = CheckpointKey::of(ctx.job(), &KeyBy::Target)?;
            other.claim(key, Duration::from_secs(3600)).await?;
            progress.set(Progress { done: 2 });
            std::future::pending().await
        }
    };
    let run = run(&store, handler).await;
    assert!(error(&run).starts_with("checkpoint_superseded: "), "{run:?}");
    assert_eq!(run.duration.as_secs(), 30);
    assert_eq!(left_in(&store).await, Some(Progress { done: 1 }));
}

#[tokio::test]
async fn the_next_attempt_goes_on_with_what_the_one_before_put_last() {
    let store = MemoryStore::new();
    let handler = |ctx: JobContext| async move {
        let progress: AutoSaved<Progress> = ctx.checkpoint().resume().await?;
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
    run(&store, handler).await.assert_success();
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
async fn a_store_that_is_away_stops_no_job_that_runs() {
    let store = Watched::default();
    let switch = store.clone();
    let handler = move |ctx: JobContext| {
        let switch = switch.clone();
        async move {
            let progress: AutoSaved<Progress> = ctx.checkpoint().resume().await?;
            progress.set(Progress { done: 1 });
            switch.away.store(true, Ordering::Relaxed);
            seconds(60).await;
            assert_eq!(switch.saves(), 0);
            assert!(progress.save().await.is_err_and(|error| error.is_temporary()));
            switch.away.store(false, Ordering::Relaxed);
            seconds(31).await;
            assert_eq!(switch.saves(), 1, "tried again");
            ctx.shutdown("enough");
            ctx.cancelled().await;
            Ok(())
        }
    };
    run(&store, handler).await.assert_success();

    store.away.store(true, Ordering::Relaxed);
    let handler = |ctx: JobContext| async move {
        let _: AutoSaved<Progress> = ctx.checkpoint().resume().await?;
        unreachable!("it is away")
    };
    let run = run(&store, handler).await;
    assert!(
        error(&run).starts_with("the checkpoint store failed: the test's store is away: connection refused"),
        "{run:?}"
    );
    store.away.store(false, Ordering::Relaxed);
    assert_eq!(left_in(&store).await, Some(Progress { done: 1 }));
}

#[tokio::test]
async fn a_store_that_hangs_does_not_keep_a_job_from_ending() {
    let handler = |ctx: JobContext| async move {
        let progress: AutoSaved<Progress> = ctx.checkpoint().resume().await?;
        progress.set(Progress { done: 1 });
        seconds(7).await;
        Err("done for".into())
    };
    let failed = run(&OddStore::new(|_, _| Box::pin(std::future::pending())), handler).await;
    assert_eq!((error(&failed), failed.duration.as_secs()), ("done for", 7));
    let handler = |ctx: JobContext| async move {
        let progress: AutoSaved<Progress> = ctx.checkpoint().resume().await?;
        progress.set(Progress { done: 1 });
        ctx.shutdown("enough");
        ctx.cancelled().await;
        Err("while it stopped".into())
    };
    let failed = run(&OddStore::new(|_, _| Box::pin(std::future::pending())), handler).await;
    assert_eq!((error(&failed), failed.duration.as_secs()), ("while it stopped", 5));
}

#[tokio::test]
async fn a_worker_without_a_store_says_so() {
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
    let handler = |ctx: JobContext| async move {
        let progress: AutoSaved<Progress> = ctx.checkpoint().resume().await?;
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
    run(&store, handler).await;
    assert_eq!(left_in(&store).await, Some(Progress { done: 1 }));
}

#[tokio::test]
async fn what_a_finished_job_left_running_saves_nothing() {
    let store = MemoryStore::new();
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = Mutex::new(Some(tell));
    let handler = move |ctx: JobContext| {
        let tell = tell.lock().expect("no panic").take().expect("one attempt");
        async move {
            let checkpoint = ctx.checkpoint::<Progress>();
            checkpoint.save(&Progress { done: 1 }).await?;
            drop(tell.send(checkpoint));
            Ok(())
        }
    };
    run(&store, handler).await.assert_success();
    assert!(store.is_empty());
    let left = told.await.expect("it was there");
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

#[tokio::test]
async fn a_save_that_comes_late_to_the_store_replaces_nothing_newer() {
    // The network loses the first save's way: nobody hears how it ended, and it comes to the store much later
    // than all others.
    let late = Arc::new(Mutex::new(None));
    let first = Arc::clone(&late);
    let store = OddStore::new(move |memory, request| {
        let mut late = first.lock().expect("no panic");
        if late.is_none() {
            *late = Some(request);
            return unavailable("the test's store does not answer");
        }
        let (memory, (key, writer, record, keep)) = (memory.clone(), request);
        Box::pin(async move { memory.write(key, writer, record, keep).await })
    });
    let memory = store.memory().clone();
    let arrives = move || {
        let (memory, late) = (memory.clone(), Arc::clone(&late));
        async move {
            let (key, writer, record, keep) = late.lock().expect("no panic").clone().expect("it was sent");
            let late = memory.write(key, writer, record, keep).await;
            assert!(matches!(late, Err(StoreError::Superseded)), "{late:?}");
        }
    };
    let meanwhile = arrives.clone();
    let handler = move |ctx: JobContext| {
        let arrives = meanwhile.clone();
        async move {
            let progress: AutoSaved<Progress> = ctx.checkpoint().resume().await?;
            progress.set(Progress { done: 1 });
            assert!(progress.save().await.is_err_and(|error| error.is_temporary()));
            progress.set(Progress { done: 2 });
            progress.save().await?;
            arrives().await;
            Ok(())
        }
    };
    run(&store, handler).await.assert_success();
    arrives().await;
    assert!(store.memory().is_empty(), "the job is done, and its checkpoint stays deleted");
}

#[tokio::test]
async fn what_a_save_left_whose_answer_was_lost_is_deleted_with_the_rest() {
    let store = OddStore::new(|memory, (key, writer, record, keep)| {
        let (memory, saves) = (memory.clone(), record.is_some());
        Box::pin(async move {
            let written = memory.write(key, writer, record, keep).await;
            if saves { unavailable("no answer").await } else { written }
        })
    });
    let handler = |ctx: JobContext| async move {
        let progress: AutoSaved<Progress> = ctx.checkpoint().resume().await?;
        progress.set(Progress { done: 1 });
        assert!(progress.save().await.is_err_and(|error| error.is_temporary()));
        Ok(())
    };
    run(&store, handler).await.assert_success();
    assert!(store.memory().is_empty(), "the job is done");
}

/// What another worker does that takes a job over and saves.
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
    let other = store.clone();
    let handler = move |ctx: JobContext| {
        let other = other.clone();
        async move {
            let progress: AutoSaved<Progress> = ctx.checkpoint().resume().await?;
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
        }
    };
    let run = run(&store, handler).await;
    assert!(error(&run).starts_with("checkpoint_superseded: "), "{run:?}");
    assert_eq!(left_in(&store).await, Some(Progress { done: 900 }));
}

#[tokio::test]
async fn a_look_that_failed_gives_no_right_to_save_over_another_worker() {
    let store = Watched::default();
    let switch = store.clone();
    let handler = move |ctx: JobContext| {
        let switch = switch.clone();
        async move {
            let progress: AutoSaved<Progress> = ctx.checkpoint().resume().await?;
            progress.set(Progress { done: 5 });
            progress.save().await?;
            let away = |away| switch.away.store(away, Ordering::Relaxed);
            away(true);
            assert!(ctx.checkpoint::<Progress>().load().await.is_err());
            away(false);
            progress.set(Progress { done: 6 });
            progress.save().await?;
            another_saves(&switch.memory, ctx.job(), 900).await;
            away(true);
            assert!(ctx.checkpoint::<Progress>().load().await.is_err());
            away(false);
            assert!(matches!(progress.save().await, Err(CheckpointError::Superseded)));
            let by_hand = ctx.checkpoint().save(&Progress { done: 7 }).await;
            assert!(matches!(by_hand, Err(CheckpointError::Superseded)));
            Err(JobError::retryable("again", Duration::ZERO))
        }
    };
    let kept = store.clone();
    let once = JobSpec::room("lobby")
        .worker(|builder| builder.checkpoints(kept).retry(agent_worker::RetryPolicy::never()));
    run_job(handler, once).await;
    assert_eq!(left_in(&store).await, Some(Progress { done: 900 }));
}

#[tokio::test]
async fn a_job_is_not_superseded_by_a_claim_of_its_own_whose_answer_was_lost() {
    let store = Watched::default();
    let switch = Arc::clone(&store.deaf);
    let handler = move |ctx: JobContext| {
        let switch = Arc::clone(&switch);
        async move {
            let progress: AutoSaved<Progress> = ctx.checkpoint().resume().await?;
            progress.set(Progress { done: 5 });
            progress.save().await?;
            switch.store(true, Ordering::Relaxed);
            assert!(ctx.checkpoint::<Progress>().load().await.is_err());
            progress.set(Progress { done: 6 });
            progress.save().await?;
            assert_eq!(ctx.checkpoint::<Progress>().load().await?, Some(Progress { done: 6 }));
            // Also when it ends right after.
            switch.store(true, Ordering::Relaxed);
            assert!(ctx.checkpoint::<Progress>().load().await.is_err());
            Ok(())
        }
    };
    run(&store, handler).await.assert_success();
    assert!(store.memory.is_empty());
}

/// What no save may take: it would not load again, or as something else.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
struct Score {
    done: u64,
    score: f64,
}

const NO_NUMBER: &str = "the checkpoint (a Score) cannot be saved: at `$.score`: NaN is no number in JSON, and would not load again: save a finite number, or leave it out";

#[tokio::test]
async fn a_value_that_would_not_load_again_is_refused_and_the_older_checkpoint_stays() {
    let store = Watched::default();
    let count = store.clone();
    let handler = move |ctx: JobContext| {
        let count = count.clone();
        async move {
            let checkpoint = ctx.checkpoint::<Score>();
            checkpoint.save(&Score { done: 5, score: 0.5 }).await?;
            assert_eq!(count.saves(), 1);
            let refused = checkpoint.save(&Score { done: 6, score: f64::NAN }).await;
            assert_eq!(count.saves(), 1, "the store was not asked");
            assert_eq!(refused.as_ref().map_err(ToString::to_string), Err(NO_NUMBER.to_owned()));
            assert_eq!(checkpoint.load().await?, Some(Score { done: 5, score: 0.5 }));
            Ok(refused?)
        }
    };
    let failed = run(&store, handler).await;
    assert_eq!(error(&failed), format!("checkpoint_unwritable: {NO_NUMBER}"));
    assert_eq!(left_in(&store).await, Some(Progress { done: 5 }), "a fixed agent goes on with it");
}

/// While it does not change it is neither tried nor logged again.
#[tokio::test(start_paused = true)]
async fn a_value_that_saves_itself_and_cannot_be_saved_is_logged_once_each_time_it_changes() {
    let (log, _guard) = log::Log::keep();
    let store = Watched::default();
    let (count, lines) = (store.clone(), log.clone());
    let handler = move |ctx: JobContext| {
        let (count, lines) = (count.clone(), lines.clone());
        async move {
            let told = || lines.with("a Score) cannot be saved").len();
            let progress: AutoSaved<Score> = ctx.checkpoint().resume().await?;
            progress.set(Score { done: 1, score: 1.0 });
            seconds(31).await;
            assert_eq!((count.saves(), told()), (1, 0));
            progress.set(Score { done: 2, score: f64::INFINITY });
            seconds(31).await;
            assert_eq!((count.saves(), told()), (1, 1));
            seconds(300).await;
            assert_eq!((count.saves(), told()), (1, 1), "the same value would be refused again");
            progress.set(Score { done: 3, score: f64::INFINITY });
            seconds(300).await;
            assert_eq!((count.saves(), told()), (1, 1), "for the same reason");
            progress.set(Score { done: 4, score: 4.0 });
            seconds(31).await;
            assert_eq!((count.saves(), told()), (2, 1));
            progress.set(Score { done: 5, score: f64::NAN });
            seconds(31).await;
            assert_eq!((count.saves(), told()), (2, 2));
            ctx.shutdown("enough");
            ctx.cancelled().await;
            Ok(())
        }
    };
    // On this thread, whose log is kept.
    run_job_in_real_time(handler, spec(store.clone())).await.assert_success();
    let told = log.with("a Score) cannot be saved");
    assert!(told.iter().all(|line| line.starts_with("ERROR")), "{told:?}");
    assert_eq!(log.with("is lost").len(), 1, "at the end of the job");
    assert_eq!(left_in(&store).await, Some(Progress { done: 4 }));
}
