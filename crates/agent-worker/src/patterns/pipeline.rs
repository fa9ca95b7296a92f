//! Items through named stages, one after the other, all at work at once.

use std::{
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use agent_core::JobError;
use futures_util::{FutureExt, Stream, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::mpsc;

use crate::scope::panic_message;
use crate::telemetry::{process_word, table};

/// Items between two stages, unless the pipeline says otherwise.
const CAPACITY: usize = 100;
const MAX_CAPACITY: usize = 1_000_000;
/// The name under which a panic of the source is told.
const SOURCE: &str = "source";

/// Stages that items go through in their order.
///
/// Each stage works on one item while the others work on theirs; between two of them a bounded number of items wait, and a stage that is
/// slower holds back those before it. All of it is one future: dropping it ends every stage. A stage that computes for long should do
/// so in `tokio::task::spawn_blocking`.
///
/// When it is told to stop, it takes nothing new and finishes what it has taken. When a stage fails, what is ahead of the failed item
/// still goes through, and nothing behind it does: the items done are then exactly the first [`done`](Processed::done).
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
/// assert_eq!(failed.processed.done, 2);
/// # }
/// ```
pub struct Pipeline<'a, T> {
    output: mpsc::Receiver<T>,
    stages: FuturesUnordered<BoxFuture<'a, Result<(), Failure>>>,
    capacity: usize,
    taken: Arc<AtomicU64>,
}

/// How much went through a [`Pipeline`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Processed {
    /// Items that went through every stage: the first so many.
    pub done: u64,
    /// Items that were taken off the source; more than `done` only after an error.
    pub taken: u64,
}

/// A stage failed. Like [`JobError`] it is no [`Error`](std::error::Error), so that `?` in a handler keeps its kind.
#[non_exhaustive]
pub struct PipelineError {
    /// The name of the stage: the first that failed.
    pub stage: String,
    /// Why. With `?`, this is what ends the job.
    pub error: JobError,
    /// How far it came.
    pub processed: Processed,
}

struct Failure {
    stage: String,
    error: JobError,
}

impl<'a, T: Send + 'a> Pipeline<'a, T> {
    /// Takes items off `source` until it ends or `stop` is done.
    #[must_use]
    pub fn new(source: impl Stream<Item = T> + Send + 'a, stop: impl Future + Send + 'a) -> Self {
        Self::with_capacity(CAPACITY, source, stop)
    }

    /// As [`new`](Self::new), with at most so many items between two stages: 1 to 1,000,000, and what is outside counts as the
    /// nearest; 100 otherwise.
    #[must_use]
    pub fn with_capacity(
        capacity: usize,
        source: impl Stream<Item = T> + Send + 'a,
        stop: impl Future + Send + 'a,
    ) -> Self {
        let capacity = capacity.clamp(1, MAX_CAPACITY);
        let (sender, output) = mpsc::channel(capacity);
        let taken = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&taken);
        let feed = async move {
            tokio::pin!(source, stop);
            loop {
                // Room first: an item that is taken has its place.
                let place = tokio::select! {
                    biased;
                    _ = &mut stop => break,
                    place = sender.reserve() => place,
                };
                let Ok(place) = place else { break };
                let item = tokio::select! {
                    biased;
                    _ = &mut stop => break,
                    // Somebody failed: what comes now would go nowhere.
                    () = sender.closed() => break,
                    item = source.next() => item,
                };
                let Some(item) = item else { break };
                count.fetch_add(1, Ordering::Relaxed);
                place.send(item);
            }
            Ok(())
        };
        let stages = FuturesUnordered::new();
        stages.push(named(SOURCE, feed));
        Self { output, stages, capacity, taken }
    }

    /// What is done with each item next. The name is for errors and people.
    #[must_use]
    pub fn stage<U, F, Fut>(self, name: impl Into<String>, mut work: F) -> Pipeline<'a, U>
    where
        U: Send + 'a,
        F: FnMut(T) -> Fut + Send + 'a,
        Fut: Future<Output = Result<U, JobError>> + Send + 'a,
    {
        let mut input = self.output;
        let (sender, output) = mpsc::channel(self.capacity);
        let stage = async move {
            let through = async {
                while let Some(item) = input.recv().await {
                    if sender.send(work(item).await?).await.is_err() {
                        break;
                    }
                }
                Ok(())
            };
            tokio::select! {
                biased;
                ended = through => ended,
                // A stage behind this one failed. Whatever this one waits for, its end must not have to wait for that.
                () = sender.closed() => Ok(()),
            }
        };
        self.stages.push(named(name, stage));
        Pipeline { output, stages: self.stages, capacity: self.capacity, taken: self.taken }
    }

    /// Runs all stages until everything that was taken is through, or one has failed. What the last stage gives is dropped.
    ///
    /// # Errors
    /// [`PipelineError`], which names the stage that failed first.
    pub async fn run(self) -> Result<Processed, PipelineError> {
        let Self { mut output, mut stages, taken, .. } = self;
        let through = async {
            let counter = table::PIPELINE_ITEMS.count([]);
            let mut done = 0;
            while output.recv().await.is_some() {
                done += 1;
                counter.increment(1);
            }
            done
        };
        let all_stages = async {
            let mut first: Option<Failure> = None;
            while let Some(stage) = stages.next().await {
                match (stage, &first) {
                    (Ok(()), _) => {}
                    (Err(failure), None) => first = Some(failure),
                    (Err(Failure { stage, error }), Some(_)) => {
                        tracing::warn!("stage {stage} failed, too: {error}")
                    }
                }
            }
            first
        };
        let (done, failure) = tokio::join!(through, all_stages);
        let processed = Processed { done, taken: taken.load(Ordering::Relaxed) };
        match failure {
            None => Ok(processed),
            Some(Failure { stage, error }) => {
                let label = process_word(stage.clone());
                table::PIPELINE_FAILURES.count([label.into()]).increment(1);
                Err(PipelineError { stage, error, processed })
            }
        }
    }
}

/// A stage whose errors and panics carry its name.
fn named<'a>(
    name: impl Into<String>,
    stage: impl Future<Output = Result<(), JobError>> + Send + 'a,
) -> BoxFuture<'a, Result<(), Failure>> {
    let name = name.into();
    async move {
        // Nothing of a stage is looked at after its panic.
        let ended = AssertUnwindSafe(stage).catch_unwind().await;
        let error = match ended {
            Ok(ended) => ended.err(),
            Err(panic) => Some(JobError::panicked(panic_message(panic.as_ref()))),
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
            .field("processed", &self.processed)
            .finish()
    }
}

/// Ends the job with the error behind it, and the name of its stage.
impl From<PipelineError> for JobError {
    fn from(PipelineError { stage, error, .. }: PipelineError) -> Self {
        error.context(format_args!("stage {stage} failed"))
    }
}

#[cfg(test)]
mod tests;
