//! Pipelines: items pass through named stages that run concurrently.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, Stream, StreamExt, stream};
use tokio::sync::{SetOnce, mpsc};

use agent_core::JobError;
use agent_proto::text::line;

use super::batch::Batches;
use super::size::in_range;
use crate::job::contain::contain;
use crate::job::panics::caught;
use crate::telemetry::{process_label, table};
use crate::worker::redact;

/// Default number of queued items between two stages.
const CAPACITY: usize = 100;
const MAX_CAPACITY: usize = 1_000_000;
/// The stage name for a panic of the source.
const SOURCE: &str = "source";
/// The stage name for a panic of the stop future.
const STOP: &str = "stop";
/// The stage name for items that were not done in time after the stop.
const FLUSH: &str = "flush";

/// Stages that items pass through in order.
///
/// The stages run concurrently, each on one item. A bounded number of items is queued between two stages, so
/// a slower stage slows down those before it. The pipeline is a single future: dropping it ends every stage,
/// and logs the number of lost items. Run long computations of a stage in `tokio::task::spawn_blocking`.
///
/// After the stop it takes no new items and finishes those that it has taken, for as long as
/// [`flush_within`](Self::flush_within) allows. When a stage fails, the items ahead of the failed item still
/// complete, and those behind it are dropped: the completed items are then exactly the first
/// [`done`](Progress::done).
///
/// ```
/// use agent_worker::patterns::Pipeline;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let words = futures_util::stream::iter(["1", "2", "x", "4"]);
/// let failed = Pipeline::new(words, std::future::pending::<()>()) // in a handler: ctx.cancelled()
///     .stage("parse", async |word: &str| Ok(word.parse::<u32>()?))
///     .stage("print", async |number| Ok(println!("{number}")))
///     .run()
///     .await
///     .unwrap_err();
/// assert_eq!(failed.to_string(), "stage parse failed: invalid digit found in string");
/// assert_eq!(failed.progress.done, 2);
/// # }
/// ```
pub struct Pipeline<'a, T> {
    output: mpsc::Receiver<Portion<T>>,
    stages: FuturesUnordered<BoxFuture<'a, Result<(), Failure>>>,
    stop: BoxFuture<'a, Result<(), Failure>>,
    settings: Settings,
    taken: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Settings {
    /// Of the queue between two stages.
    capacity: usize,
    flush_within: Option<Duration>,
    /// Set at the stop.
    stopped: Arc<SetOnce<()>>,
}

/// An item between two stages.
struct Portion<T> {
    value: T,
    /// Number of source items that it contains.
    items: u64,
}

/// The progress of a [`Pipeline`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Number of items that completed every stage, always the first ones.
    pub done: u64,
    /// Number of items taken from the source; more than `done` only after an error.
    pub taken: u64,
}

impl Progress {
    /// Number of items that were taken from the source and did not complete every stage: those after the
    /// first `done`.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.taken.saturating_sub(self.done)
    }
}

/// A stage failed. Like [`JobError`], it does not implement [`Error`](std::error::Error), so that `?` in a
/// handler keeps its kind.
#[non_exhaustive]
pub struct PipelineError {
    /// The name of the stage that failed first; `source` or `stop` if one of them panicked, and `flush` if
    /// the limit of [`flush_within`](Pipeline::flush_within) was exceeded.
    pub stage: String,
    /// The error, which `?` returns from the handler.
    pub error: JobError,
    /// The progress until then.
    pub progress: Progress,
}

struct Failure {
    stage: String,
    error: JobError,
}

impl<'a, T: Send + 'a> Pipeline<'a, T> {
    /// Takes items from `source` until it ends or `stop` completes.
    #[must_use]
    pub fn new(source: impl Stream<Item = T> + Send + 'a, stop: impl Future + Send + 'a) -> Self {
        Self::with_capacity(CAPACITY, source, stop)
    }

    /// Like [`new`](Self::new), with at most `capacity` queued items between two stages, instead of 100.
    /// Values outside 1 to 1,000,000 are clamped, with a warning in the log.
    #[must_use]
    pub fn with_capacity(
        capacity: usize,
        source: impl Stream<Item = T> + Send + 'a,
        stop: impl Future + Send + 'a,
    ) -> Self {
        let capacity = in_range("the capacity of a pipeline", capacity, 1..=MAX_CAPACITY);
        let (sender, output) = mpsc::channel(capacity);
        let (taken, stopped) = (Arc::new(AtomicU64::new(0)), Arc::new(SetOnce::new()));
        let settings = Settings { capacity, flush_within: None, stopped: Arc::clone(&stopped) };
        let count = Arc::clone(&taken);
        let feed = async move {
            tokio::pin!(source);
            loop {
                // Reserve first, so that a taken item has its place.
                let place = tokio::select! {
                    biased;
                    _ = stopped.wait() => break,
                    place = sender.reserve() => place,
                };
                let Ok(place) = place else { break };
                let item = tokio::select! {
                    biased;
                    _ = stopped.wait() => break,
                    // A stage failed: further items would be dropped.
                    () = sender.closed() => break,
                    item = source.next() => item,
                };
                let Some(value) = item else { break };
                count.fetch_add(1, Ordering::Relaxed);
                place.send(Portion { value, items: 1 });
            }
            Ok(())
        };
        let stages = FuturesUnordered::new();
        stages.push(named(SOURCE, feed));
        let stop = async {
            stop.await;
            Ok(())
        };
        Self { output, stages, stop: named(STOP, stop), settings, taken }
    }

    /// Time limit for finishing the taken items after the stop. After it, the rest is dropped, and
    /// [`run`](Self::run) returns an error of the stage `flush` with the number of dropped items. Without a
    /// limit, a job whose handler exceeds the worker's [grace](crate::JobContext::grace) is aborted, and its
    /// progress is unknown.
    ///
    /// ```
    /// # use agent_worker::{JobContext, JobResult, patterns::Pipeline};
    /// async fn store(ctx: JobContext) -> JobResult {
    ///     Pipeline::new(ctx.room().data("line"), ctx.cancelled())
    ///         .flush_within(ctx.grace() / 2) // the other half is for the rest of the handler
    ///         .stage("store", async |line| Ok(println!("{:?}", line?.payload)))
    ///         .run()
    ///         .await?;
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn flush_within(mut self, limit: Duration) -> Self {
        self.settings.flush_within = Some(limit);
        self
    }

    /// Adds a stage. Its name appears in errors and logs.
    #[must_use]
    pub fn stage<U, F, Fut>(self, name: impl Into<String>, mut work: F) -> Pipeline<'a, U>
    where
        U: Send + 'a,
        F: FnMut(T) -> Fut + Send + 'a,
        Fut: Future<Output = Result<U, JobError>> + Send + 'a,
    {
        let capacity = self.settings.capacity;
        self.through(name.into(), capacity, move |mut input, sender| async move {
            while let Some(Portion { value, items }) = input.recv().await {
                // Reserve first, so that a finished item is passed on at once, and counted.
                let Ok(place) = sender.reserve().await else { break };
                place.send(Portion { value: work(value).await?, items });
            }
            Ok(())
        })
    }

    /// Adds a stage that collects items into batches of up to `size` (at least 1; 0 counts as 1, with a
    /// warning), in order. A batch is passed on when it is full, when its first item has waited for `wait`,
    /// and at the end of the source or the stop, so that no item is left.
    ///
    /// ```
    /// use agent_worker::patterns::Pipeline;
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let mut sizes = Vec::new();
    /// let progress = Pipeline::new(futures_util::stream::iter(0..95), std::future::pending::<()>())
    ///     .stage("double", async |n| Ok(n * 2))
    ///     .batch(10, Duration::from_secs(1))
    ///     .stage("store", |batch: Vec<u32>| {
    ///         sizes.push(batch.len());
    ///         std::future::ready(Ok(()))
    ///     })
    ///     .run()
    ///     .await
    ///     .unwrap();
    /// assert_eq!((progress.done, sizes.len(), sizes[9]), (95, 10, 5));
    /// # }
    /// ```
    #[must_use]
    pub fn batch(self, size: usize, wait: Duration) -> Pipeline<'a, Vec<T>> {
        let size = in_range("the size of a batch", size, 1..=usize::MAX);
        // The queue behind it holds as many items as the one before it.
        let capacity = (self.settings.capacity / size).max(1);
        self.through("batch".to_owned(), capacity, move |mut input, sender| async move {
            let portions = stream::poll_fn(move |cx| input.poll_recv(cx));
            let mut batches = Batches::new(portions, size, wait).quiet();
            while let Some(batch) = batches.next().await {
                let items = batch.iter().map(|portion| portion.items).sum();
                let value = batch.into_iter().map(|portion| portion.value).collect();
                if sender.send(Portion { value, items }).await.is_err() {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Runs all stages until all taken items are done, or a stage has failed. The results of the last stage
    /// are dropped.
    ///
    /// # Errors
    /// [`PipelineError`], which names the stage that failed first.
    pub async fn run(self) -> Result<Progress, PipelineError> {
        let Self { mut output, mut stages, stop, settings, taken } = self;
        let Settings { flush_within, stopped, .. } = settings;
        let counter = table::PIPELINE_ITEMS.counter_with([]);
        let running = RunningCount { done: AtomicU64::new(0), taken };
        let count = |items| {
            running.done.fetch_add(items, Ordering::Relaxed);
            counter.increment(items);
        };
        let first = OnceLock::new();
        let note = |failure| {
            if let Err(Failure { stage, error }) = first.set(failure) {
                let error = redact::shown(error.to_string());
                tracing::warn!("stage {} failed as well: {}", line(stage), line(error));
            }
        };
        let in_time = {
            let through = async {
                while let Some(Portion { items, .. }) = output.recv().await {
                    count(items);
                }
            };
            let all_stages = async {
                while let Some(ended) = stages.next().await {
                    ended.unwrap_or_else(note);
                }
            };
            let limit = async {
                stop.await.unwrap_or_else(note);
                let _ = stopped.set(());
                match flush_within {
                    Some(limit) => tokio::time::sleep(limit).await,
                    None => std::future::pending().await,
                }
            };
            let work = async { tokio::join!(through, all_stages) };
            tokio::pin!(work);
            tokio::select! {
                // The stop first, so that a source that is always ready does not starve it.
                biased;
                // Work that completes at the same moment is in time.
                () = limit => work.now_or_never().is_some(),
                _ = &mut work => true,
            }
        };
        drop(stages);
        while let Ok(Portion { items, .. }) = output.try_recv() {
            count(items);
        }
        let progress = running.end();
        let failure = first.into_inner().or_else(|| {
            let (dropped, taken) = (progress.dropped(), progress.taken);
            // Without a limit nothing is dropped.
            let limit = flush_within.filter(|_| !in_time && dropped > 0)?;
            let place =
                format_args!("{dropped} of {taken} items dropped: not done within {limit:?} of the stop");
            Some(Failure { stage: FLUSH.to_owned(), error: JobError::fatal("flush_timeout").context(place) })
        });
        match failure {
            None => Ok(progress),
            Some(Failure { stage, error }) => {
                let items = progress.dropped();
                if items > 0 {
                    // `?` returns only the error, and the next attempt does not get these items again.
                    tracing::warn!(
                        stage,
                        items,
                        "a pipeline failed: the items that it had taken are dropped"
                    );
                }
                let label = process_label(stage.clone());
                table::PIPELINE_FAILURES.counter_with([label.into()]).increment(1);
                Err(PipelineError { stage, error, progress })
            }
        }
    }

    /// Adds a stage, which ends at the end of its input, with an error, or as soon as a later stage has
    /// failed.
    fn through<U, Fut>(
        self,
        name: String,
        capacity: usize,
        work: impl FnOnce(mpsc::Receiver<Portion<T>>, mpsc::Sender<Portion<U>>) -> Fut + Send + 'a,
    ) -> Pipeline<'a, U>
    where
        U: Send + 'a,
        Fut: Future<Output = Result<(), JobError>> + Send + 'a,
    {
        let Self { output: input, stages, stop, mut settings, taken } = self;
        settings.capacity = capacity;
        let (sender, output) = mpsc::channel(capacity);
        let stage = async move {
            let later_stage = sender.clone();
            tokio::select! {
                biased;
                ended = work(input, sender) => ended,
                // A later stage failed: do not wait for what this one waits for.
                () = later_stage.closed() => Ok(()),
            }
        };
        stages.push(named(name, stage));
        Pipeline { output, stages, stop, settings, taken }
    }
}

/// The counts of a running pipeline. Logs the lost items if it is dropped before its end, as in a `select!`
/// or by an abort.
struct RunningCount {
    done: AtomicU64,
    taken: Arc<AtomicU64>,
}

impl RunningCount {
    fn end(self) -> Progress {
        let progress = self.look();
        // The result reports dropped items.
        self.taken.store(0, Ordering::Relaxed);
        progress
    }

    fn look(&self) -> Progress {
        Progress { done: self.done.load(Ordering::Relaxed), taken: self.taken.load(Ordering::Relaxed) }
    }
}

impl Drop for RunningCount {
    fn drop(&mut self) {
        let items = self.look().dropped();
        if items > 0 {
            tracing::warn!(
                items,
                "a pipeline was dropped with unfinished items: end it by its stop, and limit what is finished then by `flush_within`"
            );
        }
    }
}

/// Adds the stage's name to its errors and panics.
fn named<'a>(
    name: impl Into<String>,
    stage: impl Future<Output = Result<(), JobError>> + Send + 'a,
) -> BoxFuture<'a, Result<(), Failure>> {
    let name = name.into();
    async move {
        let ended = contain(stage).await;
        let error = match ended {
            Ok(ended) => ended.err(),
            Err(panic) => {
                let panicked = caught(panic.as_ref());
                tracing::error!("a stage of a pipeline panicked: {panicked}");
                Some(JobError::panicked(panicked.original))
            }
        };
        match error {
            None => Ok(()),
            Some(error) => Err(Failure { stage: name, error }),
        }
    }
    .boxed()
}

impl fmt::Display for PipelineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stage {} failed: {}", self.stage, self.error)
    }
}

impl fmt::Debug for PipelineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineError")
            .field("stage", &self.stage)
            .field("error", &self.error)
            .field("progress", &self.progress)
            .finish()
    }
}

/// Ends the job with the stage's error and name.
impl From<PipelineError> for JobError {
    fn from(PipelineError { stage, error, .. }: PipelineError) -> Self {
        error.context(format_args!("stage {stage} failed"))
    }
}

#[cfg(test)]
mod tests;
