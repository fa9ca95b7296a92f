//! Batches of items, limited by size and time.

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

/// Collects the items of a stream into batches, in order.
///
/// A batch is returned when it has `size` items, or when its first item has waited for `wait`. At the end of
/// the stream, or at the stop, the remaining items are the last batch. No item is lost or returned twice;
/// dropping it with an incomplete batch logs the number of lost items.
///
/// It is a stream of batches itself. As the source of a [`Pipeline`](super::Pipeline) it needs its own stop
/// ([`until`](Self::until)), as a pipeline takes no more items from its source after its stop: prefer
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
    /// Fused: it may be polled after its end.
    source: Pin<Box<Fuse<S>>>,
    size: usize,
    wait: Duration,
    batch: Pending<S::Item>,
    /// When the batch is returned even if it is not full.
    due: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

/// An incomplete batch. Logs its items if it is dropped.
struct Pending<T> {
    items: Vec<T>,
    quiet: bool,
}

/// The result of polling the source.
enum Polled {
    /// An item was added to the batch.
    Taken,
    /// The batch is complete.
    Due,
}

/// A batch could not be processed. Like [`JobError`], it does not implement [`Error`](std::error::Error), so
/// that `?` in a handler keeps its kind.
#[non_exhaustive]
pub struct BatchError<T> {
    /// The error, which `?` returns from the handler.
    pub error: JobError,
    /// The failed batch. All batches before it were processed.
    pub batch: Arc<Vec<T>>,
}

impl<S: Stream> Batches<S> {
    /// Batches of up to `size` items, whose first item waits for at most `wait`. The size is at least 1: 0
    /// counts as 1, with a warning.
    #[must_use]
    pub fn new(source: S, size: usize, wait: Duration) -> Self {
        let size = in_range("the size of a batch", size, 1..=usize::MAX);
        let batch = Pending { items: Vec::new(), quiet: false };
        Self { source: Box::pin(source.fuse()), size, wait, batch, due: None, ended: false }
    }

    /// Disables the log line on drop, for an owner that counts the items itself.
    pub(super) fn quiet(mut self) -> Self {
        self.batch.quiet = true;
        self
    }

    /// The next batch, never empty; `None` after the last. Cancel-safe.
    pub async fn next(&mut self) -> Option<Vec<S::Item>> {
        self.next_or(std::future::pending::<()>()).await
    }

    /// The next batch, or the remaining items once `stop` completes; then `None`. Items that were not taken
    /// stay in the stream: see [`into_source`](Self::into_source). Cancel-safe.
    pub async fn next_or(&mut self, stop: impl Future) -> Option<Vec<S::Item>> {
        let mut stop = pin!(stop);
        std::future::poll_fn(|cx| {
            while !self.is_due() {
                // The stop first, so that a stream that is always ready does not starve it.
                if stop.as_mut().poll(cx).is_ready() {
                    self.ended = true;
                    break;
                }
                if let Polled::Due = ready!(self.poll_source(cx)) {
                    break;
                }
            }
            Poll::Ready(self.hand_out())
        })
        .await
    }

    /// A stream of batches that ends when `stop` completes, with the remaining items as the last batch.
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
                // A completed future must not be polled again.
                stop = None;
            }
            Some((batch?, (batches, stop)))
        })
    }

    /// Processes batch after batch until the stream ends or `stop` completes, including the last one; returns
    /// the number of items. Dropping the future drops the current batch: end it by `stop`.
    ///
    /// # Errors
    /// The first [`BatchError`], with the batch that failed. The rest is still in `self`: continue with it,
    /// or return it with `into_source`.
    ///
    /// ```
    /// # use agent_worker::{JobContext, JobResult, patterns::Batches};
    /// # use std::time::Duration;
    /// # async fn store(_: &[String]) -> JobResult { Ok(()) }
    /// async fn collect(ctx: JobContext) -> JobResult {
    ///     let lines = futures_util::stream::iter(["a".to_owned()]); // from the room, for example
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

    /// Returns the stream, and the items that were taken from it but not returned.
    pub fn into_source(mut self) -> (Vec<S::Item>, impl Stream<Item = S::Item>) {
        (mem::take(&mut self.batch.items), self.source)
    }

    fn is_due(&self) -> bool {
        self.ended || self.batch.items.len() >= self.size
    }

    /// Takes an item, unless the batch is due: checked first, so that a batch is not late.
    fn poll_source(&mut self, cx: &mut Context<'_>) -> Poll<Polled> {
        if let Some(due) = &mut self.due
            && due.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Polled::Due);
        }
        let Some(item) = ready!(self.source.as_mut().poll_next(cx)) else {
            self.ended = true;
            return Poll::Ready(Polled::Due);
        };
        if self.due.is_none() {
            // A time beyond the range of the clock is never due.
            self.due = Instant::now().checked_add(self.wait).map(|due| Box::pin(sleep_until(due)));
        }
        self.batch.items.push(item);
        Poll::Ready(Polled::Taken)
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

    /// Like [`next`](Self::next).
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let batches = self.get_mut();
        while !batches.is_due() {
            if let Polled::Due = ready!(batches.poll_source(cx)) {
                break;
            }
        }
        Poll::Ready(batches.hand_out())
    }
}

impl<T> Drop for Pending<T> {
    fn drop(&mut self) {
        let items = self.items.len();
        if items > 0 && !self.quiet {
            tracing::warn!(
                items,
                "a batch was dropped before it was returned: end `Batches` by its stop (`next_or`, `process`, `until`), and use \
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

/// Ends the job with the batch's error and the number of items.
impl<T> From<BatchError<T>> for JobError {
    fn from(BatchError { error, batch }: BatchError<T>) -> Self {
        error.context(format_args!("a batch of {} failed", batch.len()))
    }
}

#[cfg(test)]
mod tests;
