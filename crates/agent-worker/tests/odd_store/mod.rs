//! A store of checkpoints whose writes end as a test says.

use std::sync::Arc;
use std::time::Duration;

use agent_worker::BoxFuture;
use agent_worker::checkpoint::{CheckpointKey, CheckpointStore, Claim, MemoryStore, StoreError, Writer};

/// What a write is asked for: the key, the writer, what it saves, and for how long.
pub(crate) type Request = (CheckpointKey, Writer, Option<Vec<u8>>, Duration);
/// How a write ends.
pub(crate) type Written = BoxFuture<'static, Result<Writer, StoreError>>;

type Write = dyn Fn(&MemoryStore, Request) -> Written + Send + Sync;

/// Memory that grants every claim, and has each write ended by a function. Clones are the same store.
#[derive(Clone)]
pub(crate) struct OddStore {
    memory: MemoryStore,
    write: Arc<Write>,
}

impl OddStore {
    pub(crate) fn new(write: impl Fn(&MemoryStore, Request) -> Written + Send + Sync + 'static) -> Self {
        Self { memory: MemoryStore::new(), write: Arc::new(write) }
    }

    #[allow(dead_code, reason = "not every test looks into it")]
    pub(crate) const fn memory(&self) -> &MemoryStore {
        &self.memory
    }
}

impl CheckpointStore for OddStore {
    fn claim(&self, key: CheckpointKey, keep: Duration) -> BoxFuture<'_, Result<Claim, StoreError>> {
        self.memory.claim(key, keep)
    }

    fn write(
        &self,
        key: CheckpointKey,
        writer: Writer,
        record: Option<Vec<u8>>,
        keep: Duration,
    ) -> BoxFuture<'_, Result<Writer, StoreError>> {
        (self.write)(&self.memory, (key, writer, record, keep))
    }
}

/// The end of a write that may or may not have come to the store.
pub(crate) fn unavailable(problem: &str) -> Written {
    let problem = problem.to_owned();
    Box::pin(std::future::ready(Err(StoreError::Unavailable { problem, source: None })))
}
