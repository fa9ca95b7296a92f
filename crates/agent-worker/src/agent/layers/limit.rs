//! Concurrency limit per key.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use agent_core::{Job, JobError, JobResult};

use super::layer::{Around, AroundHandler};
use crate::agent::Agent;
use crate::job::context::JobContext;

type Key = Box<dyn Fn(&Job) -> String + Send + Sync>;

/// Limits how many handlers run concurrently for jobs with the same key; the others wait in order, while
/// holding their slots.
///
/// A waiting job that is cancelled fails as `aborted`: its handler was not called.
pub struct LimitBy {
    most: usize,
    key: Key,
    /// By key, while a handler runs or waits.
    keys: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

/// An agent with a [`LimitBy`].
pub type Limited<A> = Around<A, LimitBy>;

impl LimitBy {
    /// At most `most` concurrent handlers (at least 1) for each key.
    pub fn key(most: usize, key: impl Fn(&Job) -> String + Send + Sync + 'static) -> Self {
        Self { most: most.clamp(1, Semaphore::MAX_PERMITS), key: Box::new(key), keys: Mutex::default() }
    }

    /// At most `most` concurrent handlers in each room.
    #[must_use]
    pub fn room(most: usize) -> Self {
        Self::key(most, |job| job.room.name.clone())
    }

    /// At most `most` concurrent handlers of all the worker's jobs.
    #[must_use]
    pub fn all(most: usize) -> Self {
        Self::key(most, |_| String::new())
    }
}

impl LimitBy {
    fn semaphore(&self, key: &str) -> Arc<Semaphore> {
        let mut keys = self.lock();
        let semaphore = keys.entry(key.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.most)));
        Arc::clone(semaphore)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Semaphore>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes its key when no other handler uses it, however the handler ends.
struct Turn<'a> {
    limit: &'a LimitBy,
    key: String,
    semaphore: Arc<Semaphore>,
}

impl Turn<'_> {
    async fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.semaphore).acquire_owned().await.ok()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut keys = self.limit.lock();
        // One reference is ours and one is the map's; others are added under the same lock.
        if Arc::strong_count(&self.semaphore) == 2 {
            keys.remove(&self.key);
        }
    }
}

impl AroundHandler for LimitBy {
    async fn run<A: Agent>(&self, inner: Arc<A>, ctx: JobContext) -> JobResult {
        let key = (self.key)(ctx.job());
        let turn = Turn { limit: self, semaphore: self.semaphore(&key), key };
        // Declared after the turn, so that the permit is released before the key is removed.
        let _permit = tokio::select! {
            biased;
            // The handler was not called: that is not a success, for any reason.
            reason = ctx.cancelled() => {
                return Err(JobError::fatal("aborted").with_source(format!("{reason} while waiting for its turn")));
            }
            permit = turn.acquire() => permit,
        };
        inner.run(ctx).await
    }
}

impl fmt::Debug for LimitBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitBy")
            .field("most", &self.most)
            .field("keys", &self.lock().len())
            .finish_non_exhaustive()
    }
}
