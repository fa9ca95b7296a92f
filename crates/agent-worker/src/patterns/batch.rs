//! Items in batches: by number, by time, and what is left when it is time to stop.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{fmt, mem};

use futures_util::stream::Fuse;
use futures_util::{Stream, StreamExt, stream};
use tokio::time::{Instant, Sleep, sleep_until};

use agent_core::JobError;

use super::size::in_range;
use crate::telemetry::table;

/// Takes items off a stream in batches, in their order.
///
/// A batch is full when it has `size` items, or is handed out when its first item has waited for `wait`. When
/// the stream ends, or the stop comes, what is there is one last batch. No item is lost or handed out twice;
/// one that is dropped with a batch that has begun logs how many items that costs.
///
/// It is a stream of batches itself. As the source of a [`Pipeline`](super::Pipeline) it needs its own stop
/// ([`until`](Self::until)), as after its stop a pipeline takes nothing more off its source: better is
/// [`Pipeline::batch`](super::Pipeline::batch).
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
    batch: Begun<S::Item>,
    /// When the batch is handed out, however many are in it.
    due: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

/// A batch that has begun. It does not go silently.
struct Begun<T> {
    items: Vec<T>,
    quiet: bool,
}

/// What became of one look at a source.
enum Looked {
    /// One more item is in the batch.
    Taken,
    /// The batch is to be handed out.
    Due,
}

/// A batch could not be processed. Like [`JobError`] it is no [`Error`](std::error::Error), so that `?` in a
/// handler keeps its kind.
#[non_exhaustive]
pub struct BatchError<T> {
    /// Why. With `?`, this is what ends the job.
    pub error: JobError,
    /// What was not processed: the failed batch. Everything before it was.
    pub batch: Arc<Vec<T>>,
}

impl<S: Stream> Batches<S> {
    /// Batches of up to `size` items, which wait for at most `wait`. The size is at least 1: 0 counts as 1,
    /// and the log warns.
    #[must_use]
    pub fn new(source: S, size: usize, wait: Duration) -> Self {
        let size = in_range("the size of a batch", size, 1..=usize::MAX);
        let batch = Begun { items: Vec::new(), quiet: false };
        Self { source: Box::pin(source.fuse()), size, wait, batch, due: None, ended: false }
    }

    /// For an owner that counts its items itself.
    pub(super) fn quiet(mut self) -> Self {
        self.batch.quiet = true;
        self
    }

    /// The next batch, never empty; `None` after the last. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Vec<S::Item>> {
        self.next_or(std::future::pending::<()>()).await
    }

    /// The next batch, or what is there once `stop` is done; then `None`. What is still in the stream stays
    /// there: see [`into_source`](Self::into_source). Dropping the future loses nothing.
    pub async fn next_or(&mut self, stop: impl Future) -> Option<Vec<S::Item>> {
        let mut stop = pin!(stop);
        std::future::poll_fn(|cx| {
            while !self.is_due() {
                // The stop first: a stream that never waits must not hide it.
                if stop.as_mut().poll(cx).is_ready() {
                    self.ended = true;
                    break;
                }
                if let Looked::Due = ready!(self.look(cx)) {
                    break;
                }
            }
            Poll::Ready(self.hand_out())
        })
        .await
    }

    /// A stream of batches that ends when `stop` is done, after what is there then as the last one: for
    /// whatever takes streams.
    ///
    /// ```
    /// use agent_worker::patterns::{Batches, Pipeline};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # use futures_util::StreamExt;
    /// # let numbers = futures_util::stream::iter(0..3).chain(futures_util::stream::pending());
    /// # let stop = tokio::time::sleep(Duration::from_millis(10)); // in a handler: ctx.cancelled()
    /// let batches = Batches::new(numbers, 2, Duration::from_secs(60)).until(stop);
    /// let processed = Pipeline::new(batches, std::future::pending::<()>()) // the batches end by themselves
    ///     .stage("store", async |batch| Ok(println!("{batch:?}")))
    ///     .run()
    ///     .await
    ///     .unwrap();
    /// assert_eq!(processed.done, 2); // two batches: [0, 1] and [2]
    /// # }
    /// ```
    pub fn until<F: Future>(self, stop: F) -> impl Stream<Item = Vec<S::Item>> + use<S, F> {
        let stop = Box::pin(stop);
        stream::unfold((self, Some(stop)), |(mut batches, mut stop)| async move {
            let batch = match &mut stop {
                Some(stopping) => batches.next_or(stopping).await,
                None => None,
            };
            if batches.ended {
                // A future that is done must not be asked again.
                stop = None;
            }
            Some((batch?, (batches, stop)))
        })
    }

    /// Has batch after batch processed until the stream ends or `stop` is done, the last one included; tells
    /// how many items that were. Dropping the future drops the batch in work with it: end it by `stop`.
    ///
    /// # Errors
    /// The first [`BatchError`], with the batch that failed. The rest is still in `self`: go on with it, or
    /// give it back.
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
    pub fn into_source(mut self) -> (Vec<S::Item>, impl Stream<Item = S::Item>) {
        (mem::take(&mut self.batch.items), self.source)
    }

    fn is_due(&self) -> bool {
        self.ended || self.batch.items.len() >= self.size
    }

    /// Takes an item, unless it is time to hand out what is there: that first, so that a batch is not late.
    fn look(&mut self, cx: &mut Context<'_>) -> Poll<Looked> {
        if let Some(due) = &mut self.due
            && due.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Looked::Due);
        }
        let Some(item) = ready!(self.source.as_mut().poll_next(cx)) else {
            self.ended = true;
            return Poll::Ready(Looked::Due);
        };
        if self.due.is_none() {
            // One that is beyond all clocks is never due.
            self.due = Instant::now().checked_add(self.wait).map(|due| Box::pin(sleep_until(due)));
        }
        self.batch.items.push(item);
        Poll::Ready(Looked::Taken)
    }

    fn hand_out(&mut self) -> Option<Vec<S::Item>> {
        self.due = None;
        let batch = mem::take(&mut self.batch.items);
        let flush = match (batch.len() < self.size, self.ended) {
            (false, _) => "full",
            (true, true) => "ended",
            (true, false) => "waited",
        };
        (!batch.is_empty()).then(|| {
            let items = u32::try_from(batch.len()).unwrap_or(u32::MAX);
            table::BATCH_ITEMS.histogram_with([flush.into()]).record(items);
            batch
        })
    }
}

/// The source is boxed, and items are only moved.
impl<S: Stream> Unpin for Batches<S> {}

impl<S: Stream> Stream for Batches<S> {
    type Item = Vec<S::Item>;

    /// As [`next`](Self::next).
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let batches = self.get_mut();
        while !batches.is_due() {
            if let Looked::Due = ready!(batches.look(cx)) {
                break;
            }
        }
        Poll::Ready(batches.hand_out())
    }
}

impl<T> Drop for Begun<T> {
    fn drop(&mut self) {
        let items = self.items.len();
        if items > 0 && !self.quiet {
            tracing::warn!(
                items,
                "a batch was dropped before it was handed out: end `Batches` by its stop (`next_or`, `process`, `until`), and use \
                 `Pipeline::batch` in a pipeline"
            );
        }
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

/// Ends the job with the error behind it, and the number of items.
impl<T> From<BatchError<T>> for JobError {
    fn from(BatchError { error, batch }: BatchError<T>) -> Self {
        error.context(format_args!("a batch of {} failed", batch.len()))
    }
}

#[cfg(test)]
mod tests;
