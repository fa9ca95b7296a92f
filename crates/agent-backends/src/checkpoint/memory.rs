//! A checkpoint store in memory, for tests and for the attempts of one process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use agent_core::{CheckpointKey, CheckpointStore, Claim, Slot, StoreError, Writer};
use agent_proto::BoxFuture;

/// Keeps checkpoints in memory: they are lost with the process. Cheap to clone; clones share the checkpoints.
///
/// Its clock is tokio's, so that a checkpoint also expires on a test's virtual time.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    slots: BTreeMap<CheckpointKey, Slot>,
    /// The first time that was read, on both clocks.
    begin: Option<(Instant, u64)>,
    /// The last time that was read: the virtual time of another runtime may be earlier.
    last: u64,
    /// When to remove expired slots next.
    sweep_at: u64,
}

const SWEEP_EVERY_MS: u64 = 600_000;

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of checkpoints.
    #[must_use]
    pub fn len(&self) -> usize {
        let mut state = self.lock();
        let now = state.now();
        state.slots.values().filter(|slot| slot.record.is_some() && now < slot.record_until).count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Slots are replaced as a whole, so that the state is consistent after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn now(&mut self) -> u64 {
        let (begin, wall) = *self.begin.get_or_insert_with(|| (Instant::now(), wall_clock()));
        self.last = self.last.max(wall + u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX));
        self.last
    }
}

impl CheckpointStore for MemoryStore {
    fn claim(&self, key: CheckpointKey, ttl: Duration) -> BoxFuture<'_, Result<Claim, StoreError>> {
        Box::pin(async move {
            let mut state = self.lock();
            let now = state.now();
            if now >= state.sweep_at {
                state.slots.retain(|_, slot| now < slot.until);
                state.sweep_at = now + SWEEP_EVERY_MS;
            }
            let (slot, claim) = Slot::claim(state.slots.remove(&key), now, ttl);
            state.slots.insert(key, slot);
            Ok(claim)
        })
    }

    fn write(
        &self,
        key: CheckpointKey,
        writer: Writer,
        record: Option<Vec<u8>>,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<Writer, StoreError>> {
        Box::pin(async move {
            let mut state = self.lock();
            let now = state.now();
            if !Slot::may_write(state.slots.get(&key), writer, now, ttl) {
                return Err(StoreError::Superseded);
            }
            state.slots.insert(key, Slot::written(writer, record, now, ttl));
            Ok(writer.seen_at(now))
        })
    }
}

/// Milliseconds since 1970.
#[must_use]
pub fn wall_clock() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
