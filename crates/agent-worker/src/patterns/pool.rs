//! A few shared things that are costly to make: models, connections, licences.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{fmt, ops};

use deadpool::managed;
use metrics::{Counter, Gauge, Histogram};
use tokio::time::Instant;

use agent_core::JobError;

use super::size::in_range;
use crate::telemetry::{GaugeGuard, process_label, table};

/// The largest size of a pool: its places are made at once.
const MAX_SIZE: usize = 65_536;

type Make<T> = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<T, JobError>> + Send>> + Send + Sync>;

/// At most so many of something, made when first needed and handed from job to job.
///
/// What is acquired goes back when its guard is dropped, also by a panic or an abort. Keep the pool in the
/// agent's own type, so that all jobs share it; clones are the same pool.
///
/// ```
/// use agent_worker::{Agent, JobContext, JobResult, patterns::Pool};
/// use std::time::Duration;
///
/// struct Transcriber {
///     models: Pool<String>, // a loaded model, for one
/// }
///
/// impl Agent for Transcriber {
///     async fn run(&self, ctx: JobContext) -> JobResult {
///         let model = self.models.acquire_within(Duration::from_secs(2)).await?; // else the job is retried
///         println!("{} with {}", ctx.job().id, *model);
///         Ok(())
///     }
/// }
///
/// let agent = Transcriber { models: Pool::bounded(4, || async { Ok("small.en".to_owned()) }).named("models") };
/// # let _ = agent;
/// ```
pub struct Pool<T: Send + 'static> {
    pool: managed::Pool<Maker<T>>,
    metrics: Arc<PoolMetrics>,
}

/// What a pool tells of itself.
struct PoolMetrics {
    name: Cow<'static, str>,
    /// Taken when something is first acquired: a pool may be made before the program installs a recorder.
    handles: OnceLock<Handles>,
}

struct Handles {
    in_use: Gauge,
    wait: Histogram,
    timeouts: Counter,
}

/// Something out of a [`Pool`]; dropping it gives it back.
pub struct PoolGuard<T: Send + 'static> {
    object: managed::Object<Maker<T>>,
    _in_use: GaugeGuard,
}

/// Nothing could be acquired. Like [`JobError`] it is no [`Error`](std::error::Error), so that `?` in a
/// handler keeps its meaning: a job that found nothing free is retried, after the backoff of its retry
/// policy.
#[non_exhaustive]
pub enum PoolError {
    /// All were taken, for as long as was waited.
    Exhausted {
        /// How many there are.
        size: usize,
        /// How long was waited.
        within: Duration,
    },
    /// A new one could not be made.
    NotMade(JobError),
}

impl<T: Send + 'static> Pool<T> {
    /// At most `size` of what `make` makes: 1 to 65,536; what is outside counts as the nearest (0 as 1), and
    /// the log warns.
    pub fn bounded<Fut>(size: usize, make: impl Fn() -> Fut + Send + Sync + 'static) -> Self
    where
        Fut: Future<Output = Result<T, JobError>> + Send + 'static,
    {
        let maker = Maker { make: Box::new(move || Box::pin(make())) };
        let config = managed::PoolConfig::new(in_range("the size of a pool", size, 1..=MAX_SIZE));
        let built = managed::Pool::builder(maker).config(config).build();
        match built {
            Ok(pool) => Self { pool, metrics: Arc::new(PoolMetrics::of("pool".into())) },
            // Only timeouts without a runtime are refused, and none is set here.
            Err(error) => unreachable!("a pool without timeouts: {error}"),
        }
    }

    /// With this name in the label `pool` of its [metrics](crate::guide::metrics); `pool` otherwise. A
    /// program has few such names: after 64 different ones they are `other`. To be called before the pool is
    /// cloned: each clone keeps its name.
    #[must_use]
    pub fn named(self, name: impl Into<Cow<'static, str>>) -> Self {
        Self { metrics: Arc::new(PoolMetrics::of(process_label(name))), ..self }
    }

    /// Waits for as long as it takes. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`PoolError::NotMade`].
    pub async fn acquire(&self) -> Result<PoolGuard<T>, PoolError> {
        let begun = Instant::now();
        match self.pool.get().await {
            Ok(object) => {
                let handles = self.metrics.handles();
                handles.wait.record(begun.elapsed());
                Ok(PoolGuard { object, _in_use: GaugeGuard::new(handles.in_use.clone()) })
            }
            Err(managed::PoolError::Backend(error)) => Err(PoolError::NotMade(error.0)),
            // Neither is the pool closed nor has it a timeout.
            Err(_) => std::future::pending().await,
        }
    }

    /// Waits at most so long.
    ///
    /// # Errors
    /// [`PoolError::Exhausted`], which ends an attempt as retryable; [`PoolError::NotMade`].
    pub async fn acquire_within(&self, within: Duration) -> Result<PoolGuard<T>, PoolError> {
        tokio::time::timeout(within, self.acquire()).await.unwrap_or_else(|_| {
            self.metrics.handles().timeouts.increment(1);
            Err(PoolError::Exhausted { size: self.capacity(), within })
        })
    }

    /// How many there are at most.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.pool.status().max_size
    }

    /// How many could be acquired at once now.
    #[must_use]
    pub fn free(&self) -> usize {
        let status = self.pool.status();
        status.max_size - status.size + status.available
    }
}

impl<T: Send + 'static> PoolGuard<T> {
    /// Takes it out of the pool for good, for example because it is broken; another one is made in its place.
    #[must_use]
    pub fn discard(self) -> T {
        managed::Object::take(self.object)
    }
}

impl PoolMetrics {
    const fn of(name: Cow<'static, str>) -> Self {
        Self { name, handles: OnceLock::new() }
    }

    fn handles(&self) -> &Handles {
        self.handles.get_or_init(|| {
            let name = || [self.name.clone().into()];
            Handles {
                in_use: table::POOL_IN_USE.gauge_with(name()),
                wait: table::POOL_WAIT.histogram_with(name()),
                timeouts: table::POOL_TIMEOUTS.counter_with(name()),
            }
        })
    }
}

impl<T: Send + 'static> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Self { pool: self.pool.clone(), metrics: Arc::clone(&self.metrics) }
    }
}

impl<T: Send + 'static> ops::Deref for PoolGuard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.object
    }
}

impl<T: Send + 'static> ops::DerefMut for PoolGuard<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.object
    }
}

impl From<PoolError> for JobError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::NotMade(error) => error,
            exhausted @ PoolError::Exhausted { .. } => Self::retryable(exhausted.to_string(), Duration::ZERO),
        }
    }
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhausted { size, within } => write!(f, "all {size} of the pool were taken for {within:?}"),
            Self::NotMade(error) => write!(f, "the pool could not make one: {error}"),
        }
    }
}

impl fmt::Debug for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<T: Send + 'static> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("capacity", &self.capacity()).field("free", &self.free()).finish()
    }
}

impl<T: fmt::Debug + Send + 'static> fmt::Debug for PoolGuard<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PoolGuard").field(&**self).finish()
    }
}

/// deadpool's view of what is pooled.
struct Maker<T> {
    make: Make<T>,
}

/// deadpool wants something that can be shown.
#[derive(Debug)]
struct NotMade(JobError);

impl<T: Send + 'static> managed::Manager for Maker<T> {
    type Type = T;
    type Error = NotMade;

    async fn create(&self) -> Result<T, NotMade> {
        (self.make)().await.map_err(NotMade)
    }

    async fn recycle(&self, _: &mut T, _: &managed::Metrics) -> managed::RecycleResult<NotMade> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use agent_core::JobErrorKind;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// PoolMetrics, each made once.
    fn numbers(size: usize) -> (Pool<usize>, Arc<AtomicUsize>) {
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        (Pool::bounded(size, move || std::future::ready(Ok(count.fetch_add(1, Ordering::Relaxed)))), made)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_given_back_is_used_again() {
        let (pool, made) = numbers(2);
        let (first, second) = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
        assert_eq!((*first, *second, pool.free()), (0, 1, 0));
        let waiting = tokio::spawn({
            let pool = pool.clone();
            async move { *pool.acquire_within(SECOND).await.unwrap() }
        });
        tokio::time::sleep(SECOND / 2).await;
        drop(first);
        assert_eq!(waiting.await.unwrap(), 0);
        assert_eq!((made.load(Ordering::Relaxed), pool.free()), (2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_finds_nothing_free_is_tried_again() {
        let (pool, _) = numbers(1);
        let _taken = pool.acquire().await.unwrap();
        let error = pool.acquire_within(SECOND).await.unwrap_err();
        assert_eq!(error.to_string(), "all 1 of the pool were taken for 1s");
        assert_eq!(*JobError::from(error).kind(), JobErrorKind::Retryable { after: Duration::ZERO });
    }

    #[tokio::test]
    async fn a_panic_gives_back_and_a_broken_one_is_replaced() {
        let (pool, made) = numbers(1);
        let panicking = pool.clone();
        let task = tokio::spawn(async move {
            let _taken = panicking.acquire().await.unwrap();
            panic!("planted");
        });
        assert!(task.await.unwrap_err().is_panic());
        assert_eq!(pool.free(), 1);
        assert_eq!(pool.acquire().await.unwrap().discard(), 0);
        assert_eq!(*pool.acquire().await.unwrap(), 1);
        assert_eq!(made.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn what_cannot_be_made_is_the_makers_error_and_takes_no_place() {
        let pool: Pool<()> = Pool::bounded(1, || async { Err(JobError::fatal("no_licence")) });
        for _ in 0..3 {
            let error = JobError::from(pool.acquire().await.unwrap_err());
            assert_eq!(*error.kind(), JobErrorKind::Fatal { reason: "no_licence".into() });
        }
        assert_eq!(pool.free(), 1);
    }

    #[tokio::test]
    async fn a_size_beyond_all_bounds_is_the_largest_one() {
        let pool = Pool::bounded(usize::MAX, || async { Ok(()) });
        assert_eq!((pool.capacity(), pool.free()), (MAX_SIZE, MAX_SIZE));
        drop(pool.acquire().await.unwrap());
    }
}
