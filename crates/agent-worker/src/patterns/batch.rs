//! Items in batches: by number, by time, and what is left when it is time to stop.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use agent_core::JobError;
use futures_util::{Stream, StreamExt, stream::Fuse};
use tokio::time::{Instant, sleep_until};

use crate::telemetry::table;

/// Takes items off a stream in batches, in their order.
///
/// A batch is full when it has `size` items, or is handed out when its first item has waited for `wait`. When the stream ends, or the
/// stop comes, what is there is one last batch. No item is lost or handed out twice.
///
/// ```
/// use agent_worker::patterns::Batches;
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let numbers = futures_util::stream::iter(0..5);
/// let mut batches = Batches::new(numbers, 2, Duration::from_secs(1));
/// let mut sizes = Vec::new();
/// while let Some(batch) = batches.next().await {
///     sizes.push(batch.len());
/// }
/// assert_eq!(sizes, [2, 2, 1]);
/// # }
/// ```
pub struct Batches<S: Stream> {
    /// Fused: it may be asked again after its end.
    source: Pin<Box<Fuse<S>>>,
    size: usize,
    wait: Duration,
    batch: Vec<S::Item>,
    /// When the batch is handed out, however many are in it.
    due: Option<Instant>,
    ended: bool,
}

/// A batch could not be processed. Like [`JobError`] it is no [`Error`](std::error::Error), so that `?` in a handler keeps its kind.
#[non_exhaustive]
pub struct BatchError<T> {
    /// Why. With `?`, this is what ends the job.
    pub error: JobError,
    /// What was not processed: the failed batch. Everything before it was.
    pub batch: Arc<Vec<T>>,
}

impl<S: Stream> Batches<S> {
    /// Batches of up to `size` items (at least 1), which wait for at most `wait`.
    #[must_use]
    pub fn new(source: S, size: usize, wait: Duration) -> Self {
        let size = size.max(1);
        Self { source: Box::pin(source.fuse()), size, wait, batch: Vec::new(), due: None, ended: false }
    }

    /// The next batch, never empty; `None` after the last. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Vec<S::Item>> {
        self.next_or(std::future::pending::<()>()).await
    }

    /// The next batch, or what is there once `stop` is done; then `None`. What is still in the stream stays there: see
    /// [`into_source`](Self::into_source). Dropping the future loses nothing.
    pub async fn next_or(&mut self, stop: impl Future) -> Option<Vec<S::Item>> {
        tokio::pin!(stop);
        while !self.ended && self.batch.len() < self.size {
            let due = self.due;
            tokio::select! {
                // The stop first: a stream that never waits must not hide it. Then time, so that a batch is not late.
                biased;
                _ = &mut stop => self.ended = true,
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => break,
                item = self.source.next() => match item {
                    Some(item) => {
                        // One that is beyond all clocks is never due.
                        self.due = self.due.or_else(|| Instant::now().checked_add(self.wait));
                        self.batch.push(item);
                    }
                    None => self.ended = true,
                },
            }
        }
        self.due = None;
        let batch = std::mem::take(&mut self.batch);
        let flush = match (batch.len() < self.size, self.ended) {
            (false, _) => "full",
            (true, true) => "ended",
            (true, false) => "waited",
        };
        (!batch.is_empty()).then(|| {
            let items = u32::try_from(batch.len()).unwrap_or(u32::MAX);
            table::BATCH_ITEMS.times([flush.into()]).record(items);
            batch
        })
    }

    /// Has batch after batch processed until the stream ends or `stop` is done, the last one included; tells how many items that were.
    /// Dropping the future drops the batch in work with it: end it by `stop`.
    ///
    /// # Errors
    /// The first [`BatchError`], with the batch that failed. The rest is still in `self`: go on with it, or give it back.
    ///
    /// ```
    /// # use agent_worker::{JobContext, JobResult, patterns::Batches};
    /// # use std::time::Duration;
    /// # async fn store(_: &[String]) -> JobResult { Ok(()) }
    /// async fn collect(ctx: JobContext) -> JobResult {
    ///     let lines = futures_util::stream::iter(["a".to_owned()]); // from the room, for one
    ///     let mut batches = Batches::new(lines, 64, Duration::from_secs(1));
    ///     batches.process(ctx.cancelled(), async |batch| store(&batch).await).await?;
    ///     Ok(())
    /// }
    /// ```
    pub async fn process<Fut>(
        &mut self,
        stop: impl Future,
        mut each: impl FnMut(Arc<Vec<S::Item>>) -> Fut,
    ) -> Result<u64, BatchError<S::Item>>
    where
        Fut: Future<Output = Result<(), JobError>>,
    {
        tokio::pin!(stop);
        let mut processed = 0;
        while let Some(batch) = self.next_or(&mut stop).await {
            let batch = Arc::new(batch);
            if let Err(error) = each(Arc::clone(&batch)).await {
                return Err(BatchError { error, batch });
            }
            processed += batch.len() as u64;
        }
        Ok(processed)
    }

    /// Gives the stream back, and what was taken off it and not handed out.
    pub fn into_source(self) -> (Vec<S::Item>, impl Stream<Item = S::Item>) {
        (self.batch, self.source)
    }
}

impl<T> fmt::Display for BatchError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a batch of {} failed: {}", self.batch.len(), self.error)
    }
}

impl<T> fmt::Debug for BatchError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchError").field("error", &self.error).field("items", &self.batch.len()).finish()
    }
}

/// Ends the job with the error behind it.
impl<T> From<BatchError<T>> for JobError {
    fn from(error: BatchError<T>) -> Self {
        error.error
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use proptest::prelude::*;
    use tokio::sync::mpsc;

    use super::*;

    const WAIT: Duration = Duration::from_millis(90);

    /// What happens to a source, one after the other.
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
        let stream =
            stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
        (sender, stream)
    }

    /// Plays the steps on virtual time. The `fail`th batch fails once. Gives what was processed, what came and was not, how many came.
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
                    // As one that tries again would do.
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
        // The second item comes within the wait of the first, the third does not.
        assert_eq!(batches.next().await, Some(vec![0, 1]));
        assert_eq!(start.elapsed(), WAIT * 2 / 3 + WAIT);
        assert_eq!(batches.next().await, Some(vec![2]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_hands_out_what_is_there() {
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
        assert_eq!(
            *JobError::from(error).kind(),
            agent_core::JobErrorKind::Retryable { after: Duration::from_secs(3) }
        );
        assert_eq!(batches.next().await, Some(vec![2]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_may_wait_for_ever() {
        let mut batches = Batches::new(stream::iter(0..3), 2, Duration::MAX);
        assert_eq!(batches.next().await, Some(vec![0, 1]));
        assert_eq!(batches.next().await, Some(vec![2]), "the source has ended");
    }
}
