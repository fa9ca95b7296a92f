//! A pool of expensive shared resources: models, connections, licences.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{fmt, ops};

use deadpool::{Runtime, managed};
use metrics::{Counter, Gauge, Histogram};
use tokio::time::Instant;

use agent_core::JobError;

use super::size::in_range;
use crate::telemetry::{GaugeGuard, process_label, table};

/// Maximum size of a pool, whose slots are allocated at once.
const MAX_SIZE: usize = 65_536;

type Make<T> = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<T, JobError>> + Send>> + Send + Sync>;

/// A bounded number of resources, created on demand and shared between jobs.
///
/// An acquired resource returns to the pool when its guard is dropped, including by a panic or an abort. Keep
/// the pool in the agent's type, so that all jobs share it; clones share the pool.
///
/// ```
/// use agent_worker::{Agent, JobContext, JobResult, patterns::Pool};
/// use std::{sync::Arc, time::Duration};
///
/// struct Transcriber {
///     models: Pool<String>, // loaded models, for example
/// }
///
/// impl Agent for Transcriber {
///     async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
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

/// The metrics of a pool.
struct PoolMetrics {
    name: Cow<'static, str>,
    /// Set at the first acquisition: a pool may be created before the program installs a recorder.
    handles: OnceLock<Handles>,
}

struct Handles {
    in_use: Gauge,
    wait: Histogram,
    timeouts: Counter,
}

/// An acquired resource of a [`Pool`]; dropping it returns the resource.
pub struct PoolGuard<T: Send + 'static> {
    object: managed::Object<Maker<T>>,
    _in_use: GaugeGuard,
}

/// An acquisition failed. Like [`JobError`], it does not implement [`Error`](std::error::Error), so that `?`
/// in a handler keeps its kind: a job that found no free resource is retried, after the backoff of its retry
/// policy.
#[non_exhaustive]
pub enum PoolError {
    /// All resources stayed in use for the whole wait.
    Exhausted {
        /// The size of the pool.
        size: usize,
        /// The time limit.
        within: Duration,
    },
    /// A new resource could not be created.
    NotMade(JobError),
}

impl<T: Send + 'static> Pool<T> {
    /// A pool of at most `size` resources, created by `make`. Sizes outside 1 to 65,536 are clamped, with a
    /// warning in the log.
    pub fn bounded<Fut>(size: usize, make: impl FnOnce() -> Fut + Clone + Send + Sync + 'static) -> Self
    where
        Fut: Future<Output = Result<T, JobError>> + Send + 'static,
    {
        let maker = Maker { make: Box::new(move || Box::pin(make.clone()())) };
        let config = managed::PoolConfig::new(in_range("the size of a pool", size, 1..=MAX_SIZE));
        let built = managed::Pool::builder(maker).config(config).runtime(Runtime::Tokio1).build();
        match built {
            Ok(pool) => Self { pool, metrics: Arc::new(PoolMetrics::of("pool".into())) },
            // Building fails only for timeouts without a runtime.
            Err(error) => unreachable!("a pool with a runtime: {error}"),
        }
    }

    /// Sets the label `pool` of its [metrics](crate::guide::metrics); `pool` otherwise. At most 64 different
    /// names are kept; further ones become `other`. Call it before cloning the pool: each clone keeps its
    /// name.
    #[must_use]
    pub fn named(self, name: impl Into<Cow<'static, str>>) -> Self {
        Self { metrics: Arc::new(PoolMetrics::of(process_label(name))), ..self }
    }

    /// Acquires a resource, without a time limit. Cancel-safe.
    ///
    /// # Errors
    /// [`PoolError::NotMade`].
    pub async fn acquire(&self) -> Result<PoolGuard<T>, PoolError> {
        self.acquire_waiting(None).await
    }

    async fn acquire_waiting(&self, within: Option<Duration>) -> Result<PoolGuard<T>, PoolError> {
        let begun = Instant::now();
        let timeouts = managed::Timeouts { wait: within, ..managed::Timeouts::new() };
        match self.pool.timeout_get(&timeouts).await {
            Ok(object) => {
                let handles = self.metrics.handles();
                handles.wait.record(begun.elapsed());
                Ok(PoolGuard { object, _in_use: GaugeGuard::new(handles.in_use.clone()) })
            }
            Err(managed::PoolError::Backend(error)) => Err(PoolError::NotMade(error.0)),
            // The pool is never closed, and has this timeout only.
            Err(_) => match within {
                Some(within) => {
                    self.metrics.handles().timeouts.increment(1);
                    Err(PoolError::Exhausted { size: self.capacity(), within })
                }
                None => std::future::pending().await,
            },
        }
    }

    /// Acquires a resource, and waits up to this long until one is free. Making one takes as long as it
    /// takes: a limit would have it begun again and again. Cancel-safe.
    ///
    /// # Errors
    /// [`PoolError::Exhausted`], which ends an attempt as retryable; [`PoolError::NotMade`].
    pub async fn acquire_within(&self, within: Duration) -> Result<PoolGuard<T>, PoolError> {
        self.acquire_waiting(Some(within)).await
    }

    /// Maximum number of resources.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.pool.status().max_size
    }

    /// Number of resources that are free now.
    #[must_use]
    pub fn free(&self) -> usize {
        let status = self.pool.status();
        status.max_size - status.size + status.available
    }
}

impl<T: Send + 'static> PoolGuard<T> {
    /// Removes the resource from the pool, for example because it is broken; a new one is created on demand.
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
            Self::Exhausted { size, within } => {
                write!(f, "all {size} resources of the pool were in use for {within:?}")
            }
            Self::NotMade(error) => write!(f, "the pool could not create a resource: {error}"),
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

/// Creates resources for deadpool.
struct Maker<T> {
    make: Make<T>,
}

/// deadpool requires an error with `Debug`.
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

    /// A pool of numbers, each created once.
    fn numbers(size: usize) -> (Pool<usize>, Arc<AtomicUsize>) {
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        (Pool::bounded(size, move || std::future::ready(Ok(count.fetch_add(1, Ordering::Relaxed)))), made)
    }

    #[tokio::test(start_paused = true)]
    async fn a_returned_resource_is_reused() {
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
    async fn a_job_that_finds_no_free_resource_is_retried() {
        let (pool, _) = numbers(1);
        let _taken = pool.acquire().await.unwrap();
        let error = pool.acquire_within(SECOND).await.unwrap_err();
        assert_eq!(error.to_string(), "all 1 resources of the pool were in use for 1s");
        assert_eq!(*JobError::from(error).kind(), JobErrorKind::Retryable { after: Duration::ZERO });
    }

    #[tokio::test]
    async fn a_panic_returns_the_resource_and_a_broken_one_is_replaced() {
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
    async fn a_failed_creation_returns_its_error_and_occupies_no_slot() {
        let pool: Pool<()> = Pool::bounded(1, || async { Err(JobError::fatal("no_licence")) });
        for _ in 0..3 {
            let error = JobError::from(pool.acquire().await.unwrap_err());
            assert_eq!(*error.kind(), JobErrorKind::Fatal { reason: "no_licence".into() });
        }
        assert_eq!(pool.free(), 1);
    }

    /// Loading a model takes longer than a job waits for one that is in use.
    #[tokio::test(start_paused = true)]
    async fn the_limit_is_for_the_wait_and_not_for_the_making() {
        let pool = Pool::bounded(1, || async {
            tokio::time::sleep(5 * SECOND).await;
            Ok(())
        });
        let taken = pool.acquire_within(SECOND).await.unwrap();
        assert!(pool.acquire_within(SECOND).await.is_err());
        drop(taken);
        assert!(pool.acquire_within(Duration::ZERO).await.is_ok());
    }

    #[tokio::test]
    async fn a_size_out_of_bounds_is_clamped() {
        let pool = Pool::bounded(usize::MAX, || async { Ok(()) });
        assert_eq!((pool.capacity(), pool.free()), (MAX_SIZE, MAX_SIZE));
        drop(pool.acquire().await.unwrap());
    }
}
