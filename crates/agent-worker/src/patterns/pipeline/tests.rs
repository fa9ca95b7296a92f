use std::panic::panic_any;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::stream;
use proptest::prelude::*;
use tokio::time::{Instant, sleep, timeout};

use agent_core::JobErrorKind;

use super::*;

const ITEMS: u64 = 30;
/// Longer than anything here takes on virtual time.
const HANGS: Duration = Duration::from_secs(3600);

fn never() -> impl Future<Output = ()> + Send {
    std::future::pending()
}

fn on_virtual_time<T>(play: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(play)
}

/// The log of this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn keep(&self) -> tracing::subscriber::DefaultGuard {
        // With a single subscriber, `tracing` caches the interest in a line from the first thread that
        // reaches it: a test without a subscriber must not decide for all.
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || log.clone()).with_ansi(false);
        tracing::subscriber::set_default(subscriber.finish())
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Names of the stages in the plans.
const STAGES: [&str; 3] = ["first", "second", "third"];

/// How a stage ends an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Fails,
    Panics,
}

/// When each item arrives, how many milliseconds each stage takes for it, and which item fails there.
#[derive(Clone, Debug)]
struct Plan {
    items: u64,
    capacity: usize,
    arrives: Vec<u64>,
    takes: [Vec<u64>; 3],
    wrong: [Option<(u64, How)>; 3],
    stop: Option<u64>,
    flush: Option<u64>,
    /// The size and the wait of a stage of batches before the last one.
    batch: Option<(usize, u64)>,
    drop: Option<u64>,
}

fn plans() -> impl Strategy<Value = Plan> {
    let how = || prop_oneof![Just(How::Fails), Just(How::Panics)];
    let wrong = || prop::option::weighted(0.3, (0..ITEMS, how()));
    // Often zero, so that many things happen at the same moment.
    let times = || prop::collection::vec(prop_oneof![Just(0), 0..25_u64], usize::try_from(ITEMS).unwrap());
    (
        0..ITEMS,
        1..5_usize,
        times(),
        [times(), times(), times()],
        [wrong(), wrong(), wrong()],
        (prop::option::of(0..400_u64), prop::option::of(0..200_u64)),
        prop::option::of((1..6_usize, 0..60_u64)),
        prop::option::weighted(0.2, 0..400_u64),
    )
        .prop_map(|(items, capacity, arrives, takes, wrong, (stop, flush), batch, drop)| Plan {
            items,
            capacity,
            arrives,
            takes,
            wrong,
            stop,
            flush,
            batch,
            drop,
        })
}

fn ms(times: &[u64], n: u64) -> Duration {
    Duration::from_millis(times[usize::try_from(n).unwrap()])
}

/// The observations of a played plan.
struct Played {
    /// `None`: it was dropped.
    result: Option<Result<Progress, PipelineError>>,
    /// The results of the last stage, in order.
    seen: Vec<u64>,
    /// When each item was taken from the source.
    taken: Vec<Duration>,
    /// Maximum number of items between the source and the end.
    most_inside: u64,
    /// Items whose values were not dropped.
    left: usize,
    /// How long it took.
    took: Duration,
}

async fn play(plan: &Plan) -> Played {
    let (seen, taken, most) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()), AtomicU64::new(0));
    let (start, alive) = (Instant::now(), Arc::new(()));
    let source = stream::iter(0..plan.items).then(|n| {
        let (taken, seen, most, alive) = (&taken, &seen, &most, alive.clone());
        async move {
            sleep(ms(&plan.arrives, n)).await;
            let mut taken = taken.lock().unwrap();
            taken.push(start.elapsed());
            let inside = taken.len() - seen.lock().unwrap().len();
            most.fetch_max(u64::try_from(inside).unwrap(), Ordering::Relaxed);
            (n, alive)
        }
    });
    let stop = async {
        match plan.stop {
            Some(at) => sleep(Duration::from_millis(at)).await,
            None => never().await,
        }
    };
    let work = |stage: usize| {
        let wrong = plan.wrong[stage];
        let takes = &plan.takes[stage];
        move |(n, alive): (u64, Arc<()>)| async move {
            sleep(ms(takes, n)).await;
            match wrong {
                Some((item, How::Fails)) if item == n => Err(JobError::fatal(format!("item {n}"))),
                Some((item, How::Panics)) if item == n => panic_any(format!("item {n}")),
                _ => Ok((n, alive)),
            }
        }
    };
    let mut pipeline = Pipeline::with_capacity(plan.capacity, source, stop)
        .stage(STAGES[0], work(0))
        .stage(STAGES[1], work(1))
        .stage(STAGES[2], work(2));
    if let Some(limit) = plan.flush {
        pipeline = pipeline.flush_within(Duration::from_millis(limit));
    }
    let note = |items: Vec<(u64, Arc<()>)>| {
        seen.lock().unwrap().extend(items.into_iter().map(|(n, _)| n));
        std::future::ready(Ok(()))
    };
    let run = match plan.batch {
        Some((size, wait)) => {
            let checked = move |batch: Vec<_>| {
                assert!((1..=size).contains(&batch.len()));
                note(batch)
            };
            pipeline.batch(size, Duration::from_millis(wait)).stage("note", checked).run().boxed_local()
        }
        None => pipeline.stage("note", |item| note(vec![item])).run().boxed_local(),
    };
    let dropped = plan.drop.map_or(HANGS, Duration::from_millis);
    let result = timeout(dropped, run).await.ok();
    let took = start.elapsed();
    let left = Arc::strong_count(&alive) - 1;
    Played {
        result,
        seen: seen.into_inner().unwrap(),
        taken: taken.into_inner().unwrap(),
        most_inside: most.into_inner(),
        left,
        took,
    }
}

/// Hides the messages of planted panics.
fn without_panic_texts() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let planted =
                info.payload().downcast_ref::<String>().is_some_and(|text| text.starts_with("item "));
            if !planted {
                hook(info);
            }
        }));
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn finished_items_are_the_first_items(plan in plans()) {
        without_panic_texts();
        let Played { result, seen, taken, most_inside, left, took } = on_virtual_time(play(&plan));
        // In every case: in order, nothing duplicated, skipped or leaked, and the number of items inside is
        // bounded.
        prop_assert_eq!(&seen, &(0..seen.len() as u64).collect::<Vec<_>>());
        prop_assert_eq!(left, 0);
        // Four stages with an item each, and the queue before each; one more item whose place is reserved.
        // One batch that is collected, one that is queued, and one in progress.
        let batches = plan.batch.map_or(0, |(size, _)| 3 * size.max(plan.capacity) as u64);
        prop_assert!(most_inside <= 4 * (plan.capacity as u64 + 1) + batches, "{most_inside} were inside");
        if let (Some(stop), Some(flush)) = (plan.stop, plan.flush) {
            prop_assert!(took <= Duration::from_millis(stop + flush), "it took {took:?}");
        }
        if let Some(stop) = plan.stop {
            let stop = Duration::from_millis(stop);
            prop_assert!(taken.iter().all(|at| *at <= stop), "taken after the stop: {taken:?}");
        }
        let Some(result) = result else {
            prop_assert!(plan.drop.is_some(), "it hangs");
            return Ok(());
        };
        let progress = match &result {
            Ok(progress) => {
                prop_assert_eq!(progress.done, progress.taken, "no item is left");
                if plan.stop.is_none() {
                    prop_assert_eq!(progress.done, plan.items);
                }
                *progress
            }
            Err(failed) if failed.stage == FLUSH => {
                prop_assert_eq!(Some(took), plan.stop.zip(plan.flush).map(|(a, b)| Duration::from_millis(a + b)));
                prop_assert!(failed.progress.dropped() > 0);
                let dropped = format!("{} of {} items dropped", failed.progress.dropped(), taken.len());
                prop_assert!(failed.to_string().contains(&dropped), "{failed}");
                failed.progress
            }
            Err(failed) => {
                // The named stage has the item of the error, and no item from there on is done.
                let text = failed.error.to_string();
                let how = if text.starts_with("panicked") { How::Panics } else { How::Fails };
                let n: u64 = text.rsplit(' ').next().unwrap().parse().unwrap();
                let stage = STAGES.iter().position(|name| *name == failed.stage).unwrap();
                prop_assert_eq!(plan.wrong[stage], Some((n, how)));
                prop_assert!(failed.progress.done <= n && n < failed.progress.taken);
                // The items ahead of it completed: up to another failed item, if there is one, and if there
                // was time.
                let end = failed.progress.done;
                let out_of_time = plan.flush.is_some() && plan.stop.is_some();
                prop_assert!(
                    out_of_time || plan.wrong.iter().flatten().any(|(n, _)| *n == end),
                    "done ends at {end}"
                );
                failed.progress
            }
        };
        prop_assert_eq!(progress.done, seen.len() as u64);
        prop_assert_eq!(progress.taken, taken.len() as u64);
    }
}

#[tokio::test(start_paused = true)]
async fn stages_run_concurrently_and_a_slow_one_slows_down_the_others() {
    let (pulled, start) = (AtomicU64::new(0), Instant::now());
    let source = stream::iter(0..20_u64).inspect(|_| {
        pulled.fetch_add(1, Ordering::Relaxed);
    });
    let slow = async |n| {
        sleep(Duration::from_secs(1)).await;
        // Its own item, its queue, the item of the stage before, and the queue before that.
        assert!(pulled.load(Ordering::Relaxed) <= n + 1 + 2 + 1 + 2);
        Ok(n)
    };
    let quick = async |n| {
        sleep(Duration::from_secs(1)).await;
        Ok(n)
    };
    let done =
        Pipeline::with_capacity(2, source, never()).stage("quick", quick).stage("slow", slow).run().await;
    assert_eq!(done.unwrap(), Progress { done: 20, taken: 20 });
    // Sequentially it would take 40 s.
    assert_eq!(start.elapsed(), Duration::from_secs(21));
}

#[tokio::test(start_paused = true)]
async fn an_error_does_not_wait_for_a_silent_source() {
    let source = stream::iter([1]).chain(stream::pending());
    let failing = async |_: i32| Err::<(), _>(JobError::retryable("busy", Duration::from_secs(7)));
    let failed = Pipeline::new(source, never()).stage("work", failing).run().await.unwrap_err();
    assert_eq!((failed.stage.as_str(), failed.progress.done), ("work", 0));
    let after = Duration::from_secs(7);
    assert_eq!(*JobError::from(failed).kind(), JobErrorKind::Retryable { after });
}

#[tokio::test]
async fn a_job_that_ends_with_it_names_the_stage() {
    let failing = async |_| Err::<(), _>(JobError::invalid("sum", "one", "no number"));
    let failed = Pipeline::new(stream::iter([1]), never()).stage("read", failing).run().await.unwrap_err();
    assert_eq!(failed.to_string(), "stage read failed: invalid_input: sum = one: no number");
    let error = JobError::from(failed);
    assert_eq!(error.to_string(), "stage read failed: invalid_input: sum = one: no number");
    assert!(matches!(error.kind(), JobErrorKind::Invalid { field, .. } if field == "sum"));
}

#[tokio::test(start_paused = true)]
async fn an_error_stops_a_stage_before_it_in_the_middle_of_an_item() {
    let hangs_at_the_second = async |n: i32| {
        if n == 2 {
            never().await;
        }
        Ok(n)
    };
    let failing = async |_| Err::<(), _>("planted".into());
    let run = Pipeline::new(stream::iter([1, 2, 3]), never())
        .stage("download", hangs_at_the_second)
        .stage("decode", failing)
        .run();
    let failed = timeout(HANGS, run).await.expect("the error is returned").unwrap_err();
    assert_eq!(failed.to_string(), "stage decode failed: planted");
}

#[tokio::test(start_paused = true)]
async fn an_error_does_not_wait_for_stages_that_wait_for_a_silent_source() {
    let source = stream::iter([1]).chain(stream::pending());
    let run = Pipeline::new(source, never())
        .stage("read", async |n: i32| Ok(n))
        .stage("think", async |n| Ok(n))
        .stage("fail", async |_| Err::<(), _>("planted".into()))
        .run();
    let failed = timeout(HANGS, run).await.expect("the error is returned").unwrap_err();
    assert_eq!(failed.to_string(), "stage fail failed: planted");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_contained_and_names_its_stage() {
    without_panic_texts();
    let seen = Mutex::new(Vec::new());
    let panicking = async |n: i32| if n == 2 { panic_any("item 2".to_owned()) } else { Ok(n) };
    let slow = async |n| {
        sleep(Duration::from_secs(1)).await;
        seen.lock().unwrap().push(n);
        Ok(())
    };
    let run = Pipeline::new(stream::iter(0..9), never()).stage("mix", panicking).stage("write", slow).run();
    let failed = run.await.unwrap_err();
    assert_eq!(failed.to_string(), "stage mix failed: panicked: item 2");
    assert_eq!((failed.progress.done, &*seen.lock().unwrap()), (2, &vec![0, 1]));
    assert_eq!(*JobError::from(failed).kind(), JobErrorKind::Panicked);
}

#[tokio::test]
async fn a_panic_of_the_source_is_contained_too() {
    without_panic_texts();
    let source = stream::iter(0..3).map(|n| if n == 1 { panic_any("item 1".to_owned()) } else { n });
    let failed = Pipeline::new(source, never()).stage("work", async |n| Ok(n)).run().await.unwrap_err();
    assert_eq!(failed.to_string(), "stage source failed: panicked: item 1");
    assert_eq!(failed.progress, Progress { done: 1, taken: 1 });
}

#[tokio::test]
async fn an_empty_source_and_no_stage_at_all_are_fine() {
    let none = Pipeline::new(stream::empty::<i32>(), never()).stage("work", async |n| Ok(n)).run().await;
    assert_eq!(none.unwrap(), Progress { done: 0, taken: 0 });
    let some = Pipeline::new(stream::iter(0..3), never()).run().await;
    assert_eq!(some.unwrap(), Progress { done: 3, taken: 3 });
}

/// A source that sends this many items and then none, and its stop.
fn silent_after(items: u64) -> (impl Stream<Item = u64> + Send, impl Future + Send) {
    (stream::iter(0..items).chain(stream::pending()), sleep(Duration::from_secs(60)))
}

#[tokio::test(start_paused = true)]
async fn an_incomplete_batch_completes_at_the_stop() {
    let (source, stop) = silent_after(95);
    let stored = Mutex::new(Vec::new());
    let store = async |batch: Vec<u64>| {
        stored.lock().unwrap().push(batch);
        Ok(())
    };
    let run = Pipeline::new(source, stop).batch(10, Duration::MAX).stage("store", store).run();
    assert_eq!(run.await.unwrap(), Progress { done: 95, taken: 95 });
    let stored = stored.into_inner().unwrap();
    assert_eq!((stored.len(), stored[9].len()), (10, 5));
    assert_eq!(stored.concat(), (0..95).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_for_its_time_and_no_longer() {
    let start = Instant::now();
    let (source, stop) = silent_after(3);
    let run = Pipeline::new(source, stop).batch(2, Duration::from_secs(1)).stage(
        "store",
        async |batch: Vec<u64>| {
            assert_eq!(start.elapsed().as_secs(), if batch.len() == 2 { 0 } else { 1 });
            Ok(())
        },
    );
    assert_eq!(run.run().await.unwrap().done, 3);
}

#[tokio::test(start_paused = true)]
async fn a_failure_behind_a_batch_ends_it_immediately() {
    let start = Instant::now();
    let (source, stop) = silent_after(25);
    let failing = async |_: Vec<u64>| Err::<(), _>("the database is gone".into());
    let run = Pipeline::new(source, stop).batch(10, Duration::MAX).stage("store", failing).run();
    let failed = run.await.unwrap_err();
    assert_eq!(failed.to_string(), "stage store failed: the database is gone");
    assert_eq!((failed.progress.done, start.elapsed()), (0, Duration::ZERO));
}

/// As in the guide: a pipeline that sends into a channel, and batches that are read from it.
#[tokio::test(start_paused = true)]
async fn two_over_a_channel_end_with_the_one_that_fails() {
    let start = Instant::now();
    let (source, stop) = silent_after(1000);
    let (sender, mut receiver) = mpsc::channel(1);
    let feed = async {
        let send = async |n| Ok(sender.send(n).await?);
        Ok(Pipeline::new(source, stop).stage("send", send).run().await?)
    };
    let store = async {
        let mut batches = Batches::new(stream::poll_fn(|cx| receiver.poll_recv(cx)), 10, Duration::MAX);
        Ok(batches.process(never(), async |_| Err("the database is gone".into())).await?)
    };
    let ended: Result<_, JobError> = async { tokio::try_join!(feed, store) }.await;
    assert_eq!(
        (ended.unwrap_err().to_string().as_str(), start.elapsed()),
        ("a batch of 10 failed: the database is gone", Duration::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn items_that_are_not_done_in_time_after_the_stop_are_counted() {
    let stored = AtomicU64::new(0);
    let slow = async |n: u64| {
        sleep(Duration::from_millis(40)).await;
        Ok(n)
    };
    let store = async |n: u64| {
        sleep(Duration::from_millis(40)).await;
        stored.fetch_add(1, Ordering::Relaxed);
        Ok(n)
    };
    // Whether the source is silent or over, the taken items take the same time.
    for over in [false, true] {
        stored.store(0, Ordering::Relaxed);
        let source = stream::iter(0..250).chain(if over {
            stream::empty().left_stream()
        } else {
            stream::pending().right_stream()
        });
        let stop = sleep(Duration::from_secs(3));
        let pipeline = Pipeline::with_capacity(if over { 300 } else { 100 }, source, stop);
        let run =
            pipeline.flush_within(Duration::from_secs(2)).stage("parse", slow).stage("store", store).run();
        let start = Instant::now();
        let failed = run.await.unwrap_err();
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        let Progress { done, taken } = failed.progress;
        assert_eq!((done, failed.progress.dropped()), (stored.load(Ordering::Relaxed), taken - done));
        let text = format!(
            "stage flush failed: {} of {taken} items dropped: not done within 2s of the stop: flush_timeout",
            taken - done
        );
        assert_eq!(failed.to_string(), text);
        assert_eq!(*JobError::from(failed).kind(), JobErrorKind::Fatal { reason: "flush_timeout".into() });
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_pipeline_logs_the_lost_items() {
    let log = Log::default();
    let _kept = log.keep();
    let slow = async |n| {
        sleep(Duration::from_secs(1)).await;
        Ok(n)
    };
    let run = || Pipeline::new(stream::iter(0..9), never()).stage("work", slow).run();
    assert!(timeout(Duration::from_millis(3500), run()).await.is_err());
    assert!(log.text().contains("WARN") && log.text().contains("items=6"), "{}", log.text());
    // A pipeline that has ended, or not started, logs nothing.
    drop(run());
    assert_eq!((run().await.unwrap().done, log.text().lines().count()), (9, 1));

    let failing = async |n| if n == 2 { Err(JobError::retryable("busy", Duration::ZERO)) } else { Ok(n) };
    let failed = Pipeline::new(stream::iter(0..9), never()).stage("work", failing).run().await.unwrap_err();
    assert!(log.text().contains("stage=\"work\" items=7"), "{}", log.text());
    assert_eq!((failed.progress.dropped(), log.text().lines().count()), (7, 2));

    let mut batches = Batches::new(stream::iter(0..3).chain(stream::pending()), 9, Duration::MAX);
    assert!(timeout(Duration::from_secs(1), batches.next()).await.is_err());
    drop(batches);
    assert!(log.text().contains("a batch was dropped") && log.text().contains("items=3"), "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn finishing_in_time_is_a_success() {
    let (source, stop) = silent_after(10);
    let slow = async |n| {
        sleep(Duration::from_secs(7)).await;
        Ok(n)
    };
    // 60 s, and the last taken item ends at 70 s.
    let run = Pipeline::new(source, stop).flush_within(Duration::from_secs(10)).stage("work", slow).run();
    assert_eq!(run.await.unwrap(), Progress { done: 10, taken: 10 });
}

#[tokio::test]
async fn a_panic_of_the_stop_is_contained_too() {
    without_panic_texts();
    let stop = async { panic_any("item of the stop".to_owned()) };
    let failed = Pipeline::new(stream::pending::<()>(), stop).run().await.unwrap_err();
    assert_eq!(failed.to_string(), "stage stop failed: panicked: item of the stop");
}

#[tokio::test]
async fn a_source_that_is_always_ready_does_not_starve_other_tasks() {
    const MANY: u64 = 1_000_000;
    let (stopped, stop) = tokio::sync::oneshot::channel();
    tokio::spawn(async move { stopped.send(()) });
    let run = Pipeline::new(stream::iter(0..MANY), stop).stage("work", async |n| Ok(n)).run();
    let progress = run.await.unwrap();
    assert!(progress.taken < MANY, "the stop was not seen");
}

#[tokio::test]
async fn a_capacity_out_of_bounds_is_clamped() {
    let all = Pipeline::with_capacity(usize::MAX, stream::iter(0..3), std::future::pending::<()>());
    assert_eq!(all.stage("pass", async |n: u32| Ok(n)).run().await.unwrap().done, 3);
}
