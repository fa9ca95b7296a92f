//! So many jobs of a key at once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use agent_core::{Job, JobError, JobResult};

use super::layer::{Around, AroundHandler};
use crate::agent::Agent;
use crate::job::context::JobContext;

type Key = Box<dyn Fn(&Job) -> String + Send + Sync>;

/// Lets so many handlers run at once whose jobs have the same key; the others wait in the order in which they
/// came, with their slots held.
///
/// A waiting job that is told to stop has failed as `aborted`: its handler was not called.
pub struct LimitBy {
    most: usize,
    key: Key,
    /// By key, as long as somebody runs or waits.
    keys: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

/// An agent with a [`LimitBy`].
pub type Limited<A> = Around<A, LimitBy>;

impl LimitBy {
    /// At most `most` (at least 1) for each key.
    pub fn key(most: usize, key: impl Fn(&Job) -> String + Send + Sync + 'static) -> Self {
        Self { most: most.max(1), key: Box::new(key), keys: Mutex::default() }
    }

    /// At most so many in each room.
    #[must_use]
    pub fn room(most: usize) -> Self {
        Self::key(most, |job| job.room.name.clone())
    }

    /// At most so many of the worker's jobs, wherever they are.
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

/// Forgets its key when it is the last that wants it; however the handler ends.
struct Turn<'a> {
    limit: &'a LimitBy,
    key: String,
    semaphore: Arc<Semaphore>,
}

impl Turn<'_> {
    async fn comes(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.semaphore).acquire_owned().await.ok()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut keys = self.limit.lock();
        // One is ours and one is the map's; others take theirs under the same lock.
        if Arc::strong_count(&self.semaphore) == 2 {
            keys.remove(&self.key);
        }
    }
}

impl AroundHandler for LimitBy {
    async fn run<A: Agent>(&self, inner: &A, ctx: JobContext) -> JobResult {
        let key = (self.key)(ctx.job());
        let turn = Turn { limit: self, semaphore: self.semaphore(&key), key };
        // Declared after the turn, so that it is given back before the key is forgotten.
        let _permit = tokio::select! {
            biased;
            // Nothing was done: that is no success, whatever the reason.
            reason = ctx.cancelled() => {
                return Err(JobError::fatal("aborted").with_source(format!("{reason}, while it waited for its turn")));
            }
            permit = turn.comes() => permit,
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
