//! Items through named stages, one after the other, all at work at once.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use agent_core::JobError;
use futures_util::{FutureExt, Stream, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::mpsc;

/// Items between two stages, unless the pipeline says otherwise.
const CAPACITY: usize = 100;

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

    /// As [`new`](Self::new), with at most so many items (at least 1) between two stages; 100 otherwise.
    #[must_use]
    pub fn with_capacity(
        capacity: usize,
        source: impl Stream<Item = T> + Send + 'a,
        stop: impl Future + Send + 'a,
    ) -> Self {
        let capacity = capacity.max(1);
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
        stages.push(feed.boxed());
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
        let (name, mut input) = (name.into(), self.output);
        let (sender, output) = mpsc::channel(self.capacity);
        let stage = async move {
            while let Some(item) = input.recv().await {
                match work(item).await {
                    Ok(result) => {
                        if sender.send(result).await.is_err() {
                            break;
                        }
                    }
                    Err(error) => return Err(Failure { stage: name, error }),
                }
            }
            Ok(())
        };
        self.stages.push(stage.boxed());
        Pipeline { output, stages: self.stages, capacity: self.capacity, taken: self.taken }
    }

    /// Runs all stages until everything that was taken is through, or one has failed. What the last stage gives is dropped.
    ///
    /// # Errors
    /// [`PipelineError`], which names the stage that failed first.
    pub async fn run(self) -> Result<Processed, PipelineError> {
        let Self { mut output, mut stages, taken, .. } = self;
        let (mut done, mut failure) = (0, None);
        let mut working = true;
        loop {
            tokio::select! {
                stage = stages.next(), if working => match stage {
                    Some(Ok(())) => {}
                    Some(Err(failed)) => {
                        failure.get_or_insert(failed);
                    }
                    None => working = false,
                },
                result = output.recv() => match result {
                    Some(_) => done += 1,
                    None if !working => break,
                    // The last stage is over; those before it learn that when they want to pass something on.
                    None => while let Some(stage) = stages.next().await {
                        if let Err(failed) = stage {
                            failure.get_or_insert(failed);
                        }
                    },
                },
            }
        }
        let processed = Processed { done, taken: taken.load(Ordering::Relaxed) };
        match failure {
            None => Ok(processed),
            Some(Failure { stage, error }) => Err(PipelineError { stage, error, processed }),
        }
    }
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

/// Ends the job with the error behind it.
impl From<PipelineError> for JobError {
    fn from(error: PipelineError) -> Self {
        error.error
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, time::Duration};

    use futures_util::stream;
    use proptest::prelude::*;
    use tokio::time::sleep;

    use super::*;

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

    /// How long each stage takes for an item, in milliseconds, and which item fails there.
    #[derive(Clone, Debug)]
    struct Plan {
        items: u64,
        capacity: usize,
        pace: u64,
        takes: [u64; 3],
        fails: [Option<u64>; 3],
        stop: Option<u64>,
    }

    fn plans() -> impl Strategy<Value = Plan> {
        let fails = || prop::option::weighted(0.3, 0..30_u64);
        (
            0..30_u64,
            1..5_usize,
            0..20_u64,
            [0..20_u64, 0..20, 0..20],
            [fails(), fails(), fails()],
            prop::option::of(0..300_u64),
        )
            .prop_map(|(items, capacity, pace, takes, fails, stop)| Plan {
                items,
                capacity,
                pace,
                takes,
                fails,
                stop,
            })
    }

    async fn play(plan: &Plan) -> (Result<Processed, PipelineError>, Vec<u64>) {
        let seen = Mutex::new(Vec::new());
        let source = stream::iter(0..plan.items).then(|n| async move {
            sleep(Duration::from_millis(plan.pace)).await;
            n
        });
        let stop = async {
            match plan.stop {
                Some(at) => sleep(Duration::from_millis(at)).await,
                None => never().await,
            }
        };
        let work = |stage: usize| {
            let (takes, fails) = (plan.takes[stage], plan.fails[stage]);
            move |n: u64| async move {
                sleep(Duration::from_millis(takes)).await;
                if fails == Some(n) { Err(JobError::fatal(format!("item {n}"))) } else { Ok(n) }
            }
        };
        let result = Pipeline::with_capacity(plan.capacity, source, stop)
            .stage("first", work(0))
            .stage("second", work(1))
            .stage("third", work(2))
            .stage("note", async |n| {
                seen.lock().unwrap().push(n);
                Ok(())
            })
            .run()
            .await;
        let seen = seen.lock().unwrap().clone();
        (result, seen)
    }

    proptest! {
        #[test]
        fn what_is_done_is_the_beginning_of_what_came(plan in plans()) {
            let (result, seen) = on_virtual_time(play(&plan));
            let processed = match &result {
                Ok(processed) => {
                    prop_assert_eq!(processed.done, processed.taken, "nothing stays in the pipe");
                    *processed
                }
                Err(failed) => {
                    // The named stage has the item that the error names, and nothing from there on is done.
                    let n: u64 = failed.error.to_string().strip_prefix("item ").unwrap().parse().unwrap();
                    let stage = ["first", "second", "third"].iter().position(|name| *name == failed.stage).unwrap();
                    prop_assert_eq!(plan.fails[stage], Some(n));
                    prop_assert!(failed.processed.done <= n && n < failed.processed.taken);
                    failed.processed
                }
            };
            prop_assert_eq!(&seen, &(0..processed.done).collect::<Vec<_>>());
            if plan.stop.is_none() && result.is_ok() {
                prop_assert_eq!(processed.done, plan.items);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn stages_work_at_once_and_a_slow_one_holds_the_others_back() {
        let (pulled, start) = (AtomicU64::new(0), tokio::time::Instant::now());
        let source = stream::iter(0..20_u64).inspect(|_| {
            pulled.fetch_add(1, Ordering::Relaxed);
        });
        let slow = async |n| {
            sleep(Duration::from_secs(1)).await;
            // Itself, what waits before it, what the stage before holds, and what waits before that.
            assert!(pulled.load(Ordering::Relaxed) <= n + 1 + 2 + 1 + 2);
            Ok(n)
        };
        let quick = async |n| {
            sleep(Duration::from_secs(1)).await;
            Ok(n)
        };
        let done =
            Pipeline::with_capacity(2, source, never()).stage("quick", quick).stage("slow", slow).run().await;
        assert_eq!(done.unwrap(), Processed { done: 20, taken: 20 });
        // One after the other it would be 40 s.
        assert_eq!(start.elapsed(), Duration::from_secs(21));
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_does_not_wait_for_a_source_that_is_silent() {
        let source = stream::iter([1]).chain(stream::pending());
        let failing = async |_: i32| Err::<(), _>(JobError::retryable("busy", Duration::from_secs(7)));
        let failed = Pipeline::new(source, never()).stage("work", failing).run().await.unwrap_err();
        assert_eq!((failed.stage.as_str(), failed.processed.done), ("work", 0));
        let after = Duration::from_secs(7);
        assert_eq!(*JobError::from(failed).kind(), agent_core::JobErrorKind::Retryable { after });
    }
}
