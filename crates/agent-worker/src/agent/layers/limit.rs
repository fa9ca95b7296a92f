//! So many jobs of a key at once.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use agent_core::{Answer, EndedJob, Job, JobError, JobResult};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::layer::Layer;
use crate::{agent::Agent, job::context::JobContext};

type Key = Box<dyn Fn(&Job) -> String + Send + Sync>;

/// Lets so many handlers run at once whose jobs have the same key; the others wait in the order in which they came, with their slots held.
///
/// A waiting job that is told to stop has failed as `aborted`: its handler was not called.
pub struct LimitBy {
    most: usize,
    key: Key,
}

/// An agent with a [`LimitBy`].
pub struct Limited<A> {
    inner: A,
    limit: LimitBy,
    /// By key, as long as somebody runs or waits.
    keys: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

impl LimitBy {
    /// At most `most` (at least 1) for each key.
    pub fn key(most: usize, key: impl Fn(&Job) -> String + Send + Sync + 'static) -> Self {
        Self { most: most.max(1), key: Box::new(key) }
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

impl<A: Agent> Layer<A> for LimitBy {
    type Agent = Limited<A>;

    fn layer(self, inner: A) -> Limited<A> {
        Limited { inner, limit: self, keys: Mutex::default() }
    }
}

impl<A> Limited<A> {
    fn semaphore(&self, key: &str) -> Arc<Semaphore> {
        let mut keys = self.lock();
        let semaphore =
            keys.entry(key.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(self.limit.most)));
        Arc::clone(semaphore)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Semaphore>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets its key when it is the last that wants it; however the handler ends.
struct Turn<'a, A> {
    agent: &'a Limited<A>,
    key: String,
    semaphore: Arc<Semaphore>,
}

impl<A> Turn<'_, A> {
    async fn comes(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.semaphore).acquire_owned().await.ok()
    }
}

impl<A> Drop for Turn<'_, A> {
    fn drop(&mut self) {
        let mut keys = self.agent.lock();
        // One is ours and one is the map's; others take theirs under the same lock.
        if Arc::strong_count(&self.semaphore) == 2 {
            keys.remove(&self.key);
        }
    }
}

impl<A: Agent> Agent for Limited<A> {
    fn on_request(&self, job: &Job) -> impl Future<Output = Answer> + Send {
        self.inner.on_request(job)
    }

    fn check(&self, job: &Job) -> JobResult {
        self.inner.check(job)
    }

    #[cfg(feature = "schema")]
    fn metadata_schema(&self) -> Option<agent_core::MetadataSchema> {
        self.inner.metadata_schema()
    }

    async fn run(&self, ctx: JobContext) -> JobResult {
        let key = (self.limit.key)(ctx.job());
        let turn = Turn { agent: self, semaphore: self.semaphore(&key), key };
        // Declared after the turn, so that it is given back before the key is forgotten.
        let _permit = tokio::select! {
            biased;
            // Nothing was done: that is no success, whatever the reason.
            reason = ctx.cancelled() => {
                return Err(JobError::fatal("aborted").with_source(format!("{reason}, while it waited for its turn")));
            }
            permit = turn.comes() => permit,
        };
        self.inner.run(ctx).await
    }

    fn on_ended(&self, ended: &EndedJob) -> impl Future<Output = ()> + Send {
        self.inner.on_ended(ended)
    }
}

impl fmt::Debug for LimitBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitBy").field("most", &self.most).finish_non_exhaustive()
    }
}

impl<A> fmt::Debug for Limited<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limited")
            .field("most", &self.limit.most)
            .field("keys", &self.lock().len())
            .finish_non_exhaustive()
    }
}
