//! Cleanup callbacks: exactly once for each attempt, the last one first, after each kind of end.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_testkit::ServerEvent;
use agent_worker::{Agent, BoxFuture, JobContext, JobError, JobResult, Outcome, RetryPolicy};

use super::stage::{LONG, Stage, text};

/// A log of what happened, in order.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }

    fn read(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// A callback that writes a line.
    fn later(
        &self,
        what: impl Into<String>,
    ) -> impl FnOnce(JobContext) -> std::future::Ready<()> + Send + 'static {
        let (diary, what) = (self.clone(), what.into());
        move |_| {
            diary.note(what);
            std::future::ready(())
        }
    }

    /// A callback that writes after each of these waits, in milliseconds, whether the job is in its room.
    fn whether_in_room<const N: usize>(
        &self,
        waits: [u64; N],
    ) -> impl FnOnce(JobContext) -> BoxFuture<'static, ()> + Send + 'static + use<N> {
        let diary = self.clone();
        move |ctx| {
            Box::pin(async move {
                for wait in waits {
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                    diary.note(format!("in room: {}", ctx.is_in_room()));
                }
            })
        }
    }

    /// An agent whose handler gets the log.
    fn agent<R, F>(&self, run: R) -> impl Agent + use<R, F>
    where
        R: FnOnce(JobContext, Self) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = JobResult> + Send + 'static,
    {
        let diary = self.clone();
        move |ctx: JobContext| run(ctx, diary.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn callbacks_run_in_reverse_order_and_a_panic_does_not_stop_others() {
    let diary = Diary::default();
    let agent = diary.agent(|ctx, diary| async move {
        ctx.on_cleanup(diary.later("first"));
        ctx.on_cleanup(async |_| panic!("in a callback"));
        ctx.on_cleanup(diary.later("second"));
        let later = diary.later("of the last");
        ctx.on_cleanup(async move |ctx| ctx.on_cleanup(later));
        diary.note("handler");
        Ok(())
    });
    let mut stage = Stage::new(agent, |builder| builder);
    assert_eq!(stage.run().await.outcome, Outcome::Success);
    assert_eq!(diary.read(), ["handler", "of the last", "second", "first"]);
    assert_eq!(stage.worker.stats().cleanup_panics, 1);
    stage.drain(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn every_attempt_has_its_own_callbacks() {
    let diary = Diary::default();
    let agent = diary.agent(|ctx, diary| async move {
        diary.note(format!("attempt {}", ctx.attempt()));
        ctx.on_cleanup(diary.later(format!("cleanup {}", ctx.attempt())));
        match ctx.attempt() {
            1 => Err(JobError::retryable("once more", Duration::from_secs(1))),
            2 => panic!("of the second"),
            _ => Ok(()),
        }
    });
    let mut stage = Stage::new(agent, |builder| builder.retry(RetryPolicy::attempts(3)));
    let ended = stage.run().await;
    assert_eq!(text(&ended.outcome), "panicked: of the second (after 2 attempts)");
    assert_eq!(diary.read(), ["attempt 1", "cleanup 1", "attempt 2", "cleanup 2"]);
    stage.drain(Duration::ZERO).await;
}

/// The callback can still publish in the room, and the outcome is reported after it.
#[tokio::test(start_paused = true)]
async fn cleanup_runs_before_the_outcome_and_in_the_room() {
    let agent = |ctx: JobContext| async move {
        ctx.on_cleanup(async |ctx| {
            tokio::time::sleep(Duration::from_secs(2)).await;
            assert!(ctx.is_in_room());
            ctx.room().publish_data("status", "goodbye").await.unwrap();
        });
        JobResult::Err("no such voice".into())
    };
    let mut stage = Stage::new(agent, |builder| builder);
    let job = stage.dispatch("room").await;
    job.room().wait_for_agent().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let slots = stage.worker.status().await.unwrap().slots;
    assert_eq!((slots.cleaning, slots.used()), (1, 1), "the slot is held");
    let ended = stage.ended().await;
    assert_eq!(text(&ended.outcome), "no such voice");
    assert!(ended.duration >= Duration::from_secs(2), "{:?}", ended.duration);
    assert!(ended.last_attempt < Duration::from_secs(1), "{:?}", ended.last_attempt);
    assert_eq!(job.room().sent()[0].text(), "goodbye");
    assert_eq!(job.outcome().await.unwrap(), ended.outcome);
    assert_eq!(stage.worker.stats().cleanup_panics, 0);
    stage.drain(Duration::ZERO).await;
}

/// A callback that hangs is dropped when its share of the time is over, and takes nothing from the others.
#[tokio::test(start_paused = true)]
async fn a_hanging_callback_is_dropped_and_the_others_run() {
    for hangs in ["first", "second", "third"] {
        let diary = Diary::default();
        let agent = diary.agent(move |ctx, diary| async move {
            for name in ["first", "second", "third"] {
                if name == hangs {
                    let dropped = Dropped(diary.clone());
                    ctx.on_cleanup(async move |_| {
                        let _dropped = dropped;
                        std::future::pending().await
                    });
                } else {
                    ctx.on_cleanup(diary.later(name));
                }
            }
            Ok(())
        });
        let mut stage = Stage::new(agent, |builder| builder.cleanup_timeout(Duration::from_secs(9)));
        let ended = stage.run().await;
        assert_eq!(ended.outcome, Outcome::Success);
        let (share, expected) = match hangs {
            "third" => (3, ["dropped", "second", "first"]),
            "second" => (4, ["third", "dropped", "first"]),
            _ => (9, ["third", "second", "dropped"]),
        };
        assert_eq!(diary.read(), expected);
        let share = if share == 4 { Duration::from_millis(4500) } else { Duration::from_secs(share) };
        assert!(
            ended.duration >= share && ended.duration < share + Duration::from_millis(100),
            "{:?}",
            ended.duration
        );
        assert_eq!(stage.worker.stats().cleanup_overruns, 1);
        stage.drain(Duration::ZERO).await;
    }
}

/// All callbacks have begun, and together they take no longer than the limit of the cleanup.
#[tokio::test(start_paused = true)]
async fn the_cleanup_ends_in_time_if_all_callbacks_hang() {
    let diary = Diary::default();
    let agent = diary.agent(|ctx, diary| async move {
        for name in ["first", "second", "third"] {
            let begun = diary.later(name);
            ctx.on_cleanup(async move |ctx| {
                begun(ctx).await;
                std::future::pending().await
            });
        }
        Ok(())
    });
    let mut stage = Stage::new(agent, |builder| builder.cleanup_timeout(Duration::from_secs(9)));
    let ended = stage.run().await;
    assert_eq!(ended.outcome, Outcome::Success);
    assert_eq!(diary.read(), ["third", "second", "first"]);
    assert!(ended.duration <= Duration::from_millis(9100), "{:?}", ended.duration);
    assert_eq!(stage.worker.stats().cleanup_overruns, 3);
    assert_eq!(stage.worker.stats().stuck_cleanups, 0);
    stage.drain(Duration::ZERO).await;
}

/// Each callback ends at once and registers the next one: only the time limit ends that.
#[tokio::test(start_paused = true)]
async fn callbacks_that_register_more_without_end_are_stopped() {
    fn again(ctx: &JobContext) {
        ctx.on_cleanup(async |ctx| {
            tokio::time::sleep(Duration::from_millis(10)).await;
            again(&ctx);
        });
    }
    let agent = |ctx: JobContext| {
        again(&ctx);
        std::future::ready(JobResult::Ok(()))
    };
    let mut stage = Stage::new(agent, |builder| builder.cleanup_timeout(Duration::from_secs(3)));
    let ended = stage.run().await;
    assert_eq!(ended.outcome, Outcome::Success);
    assert!(ended.duration < Duration::from_millis(3200), "{:?}", ended.duration);
    assert_eq!((stage.worker.stats().cleanup_overruns, stage.worker.stats().stuck_cleanups), (1, 0));
    stage.drain(Duration::ZERO).await;
}

/// A hanging callback takes no longer than its own limit.
#[tokio::test(start_paused = true)]
async fn a_callback_may_have_a_limit_of_its_own() {
    let agent = |ctx: JobContext| async move {
        ctx.on_cleanup(|_| std::future::pending());
        ctx.on_cleanup(|_| std::future::pending());
        JobResult::Ok(())
    };
    for (limit, expected) in [(1, 2), (9, 9)] {
        let mut stage = Stage::new(agent, |builder| {
            builder
                .cleanup_timeout(Duration::from_secs(9))
                .cleanup_callback_timeout(Duration::from_secs(limit))
        });
        let ended = stage.run().await;
        let expected = Duration::from_secs(expected);
        assert!(
            ended.duration >= expected && ended.duration < expected + Duration::from_millis(100),
            "{:?}",
            ended.duration
        );
        stage.drain(Duration::ZERO).await;
    }
}

/// Dropping a hanging callback runs the user's code again.
#[tokio::test(start_paused = true)]
async fn a_callback_that_panics_in_its_drop_does_not_stop_others() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("in the drop of a callback");
        }
    }
    let diary = Diary::default();
    let agent = diary.agent(|ctx, diary| async move {
        ctx.on_cleanup(diary.later("first"));
        ctx.on_cleanup(async |_| {
            let _panics = Panics;
            std::future::pending().await
        });
        Ok(())
    });
    let mut stage = Stage::new(agent, |builder| builder);
    assert_eq!(stage.run().await.outcome, Outcome::Success);
    assert_eq!(diary.read(), ["first"]);
    stage.drain(Duration::ZERO).await;
}

struct Dropped(Diary);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.note("dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn an_aborted_handler_is_cleaned_up_after() {
    let diary = Diary::default();
    let agent = diary.agent(|ctx, diary| async move {
        ctx.on_cleanup(diary.later("cleanup"));
        let _dropped = Dropped(diary);
        std::future::pending().await
    });
    let mut stage = Stage::new(agent, |builder| builder.grace(Duration::from_secs(2)));
    let job = stage.dispatch("room").await;
    job.room().wait_for_agent().await;
    job.room().delete();
    assert_eq!(text(&stage.ended().await.outcome), "aborted: room_closed");
    assert_eq!(diary.read(), ["dropped", "cleanup"], "the handler first");
    stage.drain(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_terminated_job_has_its_room_for_three_seconds() {
    let diary = Diary::default();
    let agent = diary.agent(|ctx, diary| async move {
        ctx.on_cleanup(diary.whether_in_room([0, 4000]));
        ctx.cancelled().await;
        Ok(())
    });
    let mut stage = Stage::new(agent, |builder| builder);
    let job = stage.dispatch("room").await;
    job.room().wait_for_agent().await;
    job.terminate();
    let ended = stage.ended().await;
    assert_eq!(ended.outcome, Outcome::Success);
    assert_eq!(diary.read(), ["in room: true", "in room: false"]);
    assert_eq!(stage.worker.stats().cleanup_overruns, 0, "it has its ten seconds all the same");
    stage.drain(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_drain_cleans_up_and_is_done_in_its_time() {
    let diary = Diary::default();
    // One returns when it is cancelled, one has to be aborted, and the cleanup of one never ends.
    let agent = diary.agent(|ctx, diary| async move {
        let room = ctx.job().room.name.clone();
        ctx.on_cleanup(diary.later(format!("cleanup in {room}")));
        if room == "endless" {
            ctx.on_cleanup(|_| std::future::pending());
        }
        ctx.cancelled().await;
        if room == "aborted" {
            std::future::pending::<()>().await;
        }
        Ok(())
    });
    let mut stage = Stage::new(agent, |builder| builder.grace(Duration::from_secs(4)));
    for room in ["polite", "aborted", "endless"] {
        stage.dispatch(room).await.room().wait_for_agent().await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let begun = tokio::time::Instant::now();
    stage.worker.start_drain(Duration::from_secs(5));
    let mut ends = Vec::new();
    for _ in 0..3 {
        let ended = stage.ended().await;
        ends.push(format!("{} {}", ended.job.room.name, text(&ended.outcome)));
    }
    let report = stage.drain(LONG).await;
    assert!(begun.elapsed() <= Duration::from_secs(10), "limit + grace + 1 s, but {:?}", begun.elapsed());
    assert_eq!((report.succeeded, report.failed, report.stuck, report.unsent), (2, 1, 0, 0));
    ends.sort();
    assert_eq!(ends, ["aborted aborted: drained", "endless SUCCESS", "polite SUCCESS"]);
    let mut cleaned = diary.read();
    cleaned.sort();
    assert_eq!(cleaned, ["cleanup in aborted", "cleanup in endless", "cleanup in polite"]);
}

/// A second signal gives a cleanup a second.
#[tokio::test(start_paused = true)]
async fn a_worker_that_is_stopped_still_cleans_up() {
    let diary = Diary::default();
    let agent = diary.agent(|ctx, diary| async move {
        ctx.on_cleanup(diary.whether_in_room([900]));
        std::future::pending().await
    });
    let mut stage = Stage::new(agent, |builder| builder);
    stage.dispatch("room").await.room().wait_for_agent().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.worker.stop();
    assert_eq!(
        text(&stage.ended().await.outcome),
        "aborted: stopped at once (a second signal or `WorkerHandle::stop`)"
    );
    let report = stage.drain(LONG).await;
    assert_eq!((report.failed, report.unsent), (1, 0));
    assert_eq!(diary.read(), ["in room: true"]);
}

/// A worker that gives up connecting ends its jobs at once, and their cleanups still have their time and
/// their room.
#[tokio::test(start_paused = true)]
async fn a_worker_that_gives_up_still_cleans_up() {
    let diary = Diary::default();
    let agent = diary.agent(|ctx, diary| async move {
        ctx.on_cleanup(diary.whether_in_room([4000]));
        std::future::pending().await
    });
    let mut stage = Stage::new(agent, |builder| builder.max_connect_attempts(1));
    stage.dispatch("room").await.room().wait_for_agent().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.server.refuse_connections(true);
    stage.server.cut_workers();
    assert_eq!(text(&stage.ended().await.outcome), "aborted: the worker stopped");
    assert!(stage.stopped().await.is_err());
    assert_eq!(diary.read(), ["in room: true"]);
}

/// Nothing is left behind by a worker that is dropped: not even a callback that holds its own context, and
/// with it the room.
#[tokio::test(start_paused = true)]
async fn a_dropped_worker_releases_everything() {
    let diary = Diary::default();
    let agent = diary.agent(|ctx, diary| async move {
        let held = (ctx.clone(), Dropped(diary.clone()));
        ctx.on_cleanup(async move |_| drop(held));
        let held = (ctx.clone(), Dropped(diary.clone()));
        ctx.spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        if ctx.job().room.name == "cleaning" {
            ctx.on_cleanup(|_| std::future::pending());
            return Ok(());
        }
        let _held = (ctx, Dropped(diary.clone()));
        std::future::pending().await
    });
    let stage = Stage::new(agent, |builder| builder);
    for room in ["running", "cleaning"] {
        stage.dispatch(room).await.room().wait_for_agent().await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(diary.read().len(), 1, "the task of the one that is cleaned up after");
    let server = stage.dropped().await;
    let left = |event: &ServerEvent| match event {
        ServerEvent::Left { reason, .. } => {
            assert_eq!(reason, "CLIENT_INITIATED", "it leaves by itself");
            true
        }
        _ => false,
    };
    server.wait_for_count(2, left).await;
    assert_eq!(diary.read().len(), 5);
}
