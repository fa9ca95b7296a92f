use futures_util::stream;
use proptest::prelude::*;
use tokio::sync::mpsc;

use super::*;

const WAIT: Duration = Duration::from_millis(90);

/// The steps of a source.
#[derive(Clone, Debug)]
enum Step {
    Item,
    Time(u64),
    Stop,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => Just(Step::Item),
        3 => (1..250_u64).prop_map(Step::Time),
        1 => Just(Step::Stop),
    ];
    prop::collection::vec(step, 0..60)
}

fn channel<T>() -> (mpsc::UnboundedSender<T>, impl Stream<Item = T>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let stream = stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
    (sender, stream)
}

/// Plays the steps on virtual time. The `fail`th batch fails once. Returns the processed batches, the
/// unprocessed items, and the number of items.
async fn play(steps: Vec<Step>, size: usize, fail: usize) -> (Vec<Vec<u32>>, Vec<u32>, u32) {
    let (sender, source) = channel();
    let stop = Arc::new(tokio::sync::Notify::new());
    let playing = {
        let stop = stop.clone();
        async move {
            let mut sent = 0;
            for step in steps {
                match step {
                    Step::Item => {
                        let _ = sender.send(sent);
                        sent += 1;
                    }
                    Step::Time(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
                    Step::Stop => stop.notify_one(),
                }
                tokio::task::yield_now().await;
            }
            sent
        }
    };
    let working = async {
        let (mut done, mut tries) = (Vec::new(), 0);
        let mut batches = Batches::new(source, size, WAIT);
        loop {
            let result = batches
                .process(stop.notified(), |batch| {
                    tries += 1;
                    let failed = tries == fail;
                    if !failed {
                        done.push(batch.to_vec());
                    }
                    std::future::ready(if failed { Err(JobError::fatal("planted")) } else { Ok(()) })
                })
                .await;
            match result {
                Ok(_) => break,
                // As in a retry.
                Err(failed) => done.push(failed.batch.to_vec()),
            }
        }
        let (left, source) = batches.into_source();
        tokio::pin!(source);
        let mut rest = left;
        while let Some(item) = source.next().await {
            rest.push(item);
        }
        (done, rest)
    };
    let (sent, (done, rest)) = tokio::join!(playing, working);
    (done, rest, sent)
}

proptest! {
    #[test]
    fn nothing_is_lost_repeated_or_reordered(steps in steps(), size in 1..8_usize, fail in 0..6_usize) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let (done, rest, sent) = runtime.block_on(play(steps, size, fail));
        prop_assert!(done.iter().all(|batch| !batch.is_empty() && batch.len() <= size), "{done:?}");
        let all: Vec<u32> = done.into_iter().flatten().chain(rest).collect();
        prop_assert_eq!(all, (0..sent).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_for_its_first_item_and_no_longer() {
    let (sender, source) = channel();
    let mut batches = Batches::new(source, 10, WAIT);
    let start = Instant::now();
    tokio::spawn(async move {
        for n in 0..3 {
            tokio::time::sleep(WAIT * 2 / 3).await;
            sender.send(n).unwrap();
        }
        std::future::pending::<()>().await;
    });
    // The second item arrives within the wait of the first, the third does not.
    assert_eq!(batches.next().await, Some(vec![0, 1]));
    assert_eq!(start.elapsed(), WAIT * 2 / 3 + WAIT);
    assert_eq!(batches.next().await, Some(vec![2]));
}

#[tokio::test(start_paused = true)]
async fn a_stop_returns_the_remaining_items() {
    let (sender, source) = channel();
    for n in 0..5 {
        sender.send(n).unwrap();
    }
    let mut batches = Batches::new(source, 3, WAIT);
    assert_eq!(batches.next().await, Some(vec![0, 1, 2]));
    let mut seen = Vec::new();
    let stop = tokio::time::sleep(WAIT / 2);
    let all = batches.process(stop, |batch| {
        seen.extend_from_slice(&batch);
        std::future::ready(Ok(()))
    });
    assert_eq!(all.await.unwrap(), 2);
    assert_eq!(seen, [3, 4]);
    assert_eq!(batches.next().await, None);
}

#[tokio::test]
async fn an_error_keeps_its_kind_and_its_items() {
    let mut batches = Batches::new(stream::iter(0..3), 2, WAIT);
    let failing = batches.process(std::future::pending::<()>(), async |_| {
        Err(JobError::retryable("busy", Duration::from_secs(3)))
    });
    let error = failing.await.unwrap_err();
    assert_eq!(*error.batch, [0, 1]);
    assert_eq!(error.to_string(), "a batch of 2 failed: busy");
    let error = JobError::from(error);
    assert_eq!(error.to_string(), "a batch of 2 failed: busy");
    assert_eq!(*error.kind(), agent_core::JobErrorKind::Retryable { after: Duration::from_secs(3) });
    assert_eq!(batches.next().await, Some(vec![2]));
}

#[tokio::test(start_paused = true)]
async fn they_are_a_stream() {
    let (sender, source) = channel();
    (0..5).for_each(|n| sender.send(n).unwrap());
    let mut batches = Batches::new(source, 2, WAIT);
    let start = Instant::now();
    assert_eq!(StreamExt::next(&mut batches).await, Some(vec![0, 1]));
    assert_eq!(StreamExt::next(&mut batches).await, Some(vec![2, 3]));
    assert_eq!((StreamExt::next(&mut batches).await, start.elapsed()), (Some(vec![4]), WAIT));
    sender.send(5).unwrap();
    drop(sender);
    assert_eq!(batches.collect::<Vec<_>>().await, [[5]]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_a_stop_ends_with_the_remaining_items() {
    let source = stream::iter(0..95).chain(stream::pending());
    let batches = Batches::new(source, 10, Duration::MAX).until(tokio::time::sleep(WAIT));
    let stored: Vec<Vec<u32>> = batches.collect().await;
    assert_eq!((stored.len(), stored[9].len()), (10, 5));
    assert_eq!(stored.concat(), (0..95).collect::<Vec<_>>());
    // A stop that has completed already.
    let none = Batches::new(stream::iter(0..95), 10, WAIT).until(std::future::ready(()));
    assert_eq!(none.count().await, 0);
}

#[test]
fn a_size_of_zero_counts_as_one() {
    let batches = Batches::new(stream::iter(0..3), 0, WAIT);
    assert_eq!(batches.size, 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_may_wait_forever() {
    let mut batches = Batches::new(stream::iter(0..3), 2, Duration::MAX);
    assert_eq!(batches.next().await, Some(vec![0, 1]));
    assert_eq!(batches.next().await, Some(vec![2]), "the source has ended");
}
