//! Leases in this process's memory: for tests, and for the jobs of one process.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use agent_core::{AcquireResult, CoordinationError, Coordinator, FencedValue, LeaseRecord};
use agent_proto::BoxFuture;

/// Leases in this process's memory: for tests, and for the jobs of one process. Clones share the store.
///
/// Its clock is tokio's, so it works on virtual time. Keys are never removed.
#[derive(Clone)]
pub struct MemoryCoordinator {
    entries: Arc<Mutex<BTreeMap<String, Entry>>>,
    started: Instant,
}

#[derive(Default)]
struct Entry {
    record: LeaseRecord,
    value: Option<FencedValue>,
}

impl MemoryCoordinator {
    /// A store without leases.
    #[must_use]
    pub fn new() -> Self {
        Self { entries: Arc::default(), started: Instant::now() }
    }

    fn now(&self) -> u64 {
        // No token is 0.
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryCoordinator {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryCoordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryCoordinator").field("keys", &self.lock().len()).finish()
    }
}

impl Coordinator for MemoryCoordinator {
    fn acquire<'a>(
        &'a self,
        key: &'a str,
        holder: &'a str,
        lease: Duration,
    ) -> BoxFuture<'a, Result<AcquireResult, CoordinationError>> {
        Box::pin(async move {
            let now = self.now();
            Ok(self.lock().entry(key.to_owned()).or_default().record.acquire(holder, lease, now))
        })
    }

    fn renew<'a>(
        &'a self,
        key: &'a str,
        holder: &'a str,
        token: u64,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool, CoordinationError>> {
        Box::pin(async move {
            let now = self.now();
            Ok(self.lock().get_mut(key).is_some_and(|entry| entry.record.renew(holder, token, lease, now)))
        })
    }

    fn release<'a>(&'a self, key: &'a str, holder: &'a str) -> BoxFuture<'a, Result<(), CoordinationError>> {
        Box::pin(async move {
            if let Some(entry) = self.lock().get_mut(key) {
                entry.record.release(holder);
            }
            Ok(())
        })
    }

    fn write<'a>(
        &'a self,
        key: &'a str,
        token: u64,
        value: Bytes,
    ) -> BoxFuture<'a, Result<bool, CoordinationError>> {
        Box::pin(async move {
            let mut entries = self.lock();
            let Some(entry) = entries.get_mut(key).filter(|entry| entry.record.may_write(token)) else {
                return Ok(false);
            };
            entry.value = Some(FencedValue::new(token, value));
            Ok(true)
        })
    }

    fn read<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<FencedValue>, CoordinationError>> {
        Box::pin(async move { Ok(self.lock().get(key).and_then(|entry| entry.value.clone())) })
    }
}
