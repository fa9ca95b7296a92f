//! The trait of checkpoint stores.

use std::sync::Arc;
use std::time::Duration;

use agent_proto::BoxFuture;

use super::{CheckpointKey, Claim, StoreError, Writer};

/// A store of checkpoints: `MemoryStore`, `EmbeddedStore` (a local file, feature `embedded-store`),
/// `RedisStore` (feature `redis`), or your own.
///
/// It keeps one [`Slot`](crate::Slot) per key, whose functions are the rules: a store applies them
/// atomically. A saved record is stored when the future returns, and is never stored partially. Every
/// operation has a time limit of the store's own.
///
/// ```
/// use agent_core::{BoxFuture, CheckpointKey, CheckpointStore, Claim, Slot, StoreError, Writer};
/// use std::{collections::HashMap, sync::Mutex, time::{Duration, SystemTime, UNIX_EPOCH}};
///
/// #[derive(Default)]
/// struct MyStore(Mutex<HashMap<CheckpointKey, Slot>>);
///
/// fn now() -> u64 {
///     SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() * 1000)
/// }
///
/// impl CheckpointStore for MyStore {
///     fn claim(&self, key: CheckpointKey, ttl: Duration) -> BoxFuture<'_, Result<Claim, StoreError>> {
///         Box::pin(async move {
///             let mut slots = self.0.lock().unwrap();
///             let (slot, claim) = Slot::claim(slots.remove(&key), now(), ttl);
///             slots.insert(key, slot);
///             Ok(claim)
///         })
///     }
///
///     fn write(
///         &self,
///         key: CheckpointKey,
///         writer: Writer,
///         record: Option<Vec<u8>>,
///         ttl: Duration,
///     ) -> BoxFuture<'_, Result<Writer, StoreError>> {
///         Box::pin(async move {
///             let mut slots = self.0.lock().unwrap();
///             if !Slot::may_write(slots.get(&key), writer, now(), ttl) {
///                 return Err(StoreError::Superseded);
///             }
///             slots.insert(key, Slot::written(writer, record, now(), ttl));
///             Ok(writer.seen_at(now()))
///         })
///     }
/// }
/// ```
pub trait CheckpointStore: Send + Sync + 'static {
    /// Claims a key: writers of earlier claims are refused from now on. Returns the saved record.
    ///
    /// `ttl` is how long a record is kept after the last claim or write.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Unusable`].
    fn claim(&self, key: CheckpointKey, ttl: Duration) -> BoxFuture<'_, Result<Claim, StoreError>>;

    /// Saves or deletes the record, and returns the writer to use from now on.
    ///
    /// # Errors
    /// [`StoreError::Superseded`] when the key was claimed since, or a later write of the same writer arrived
    /// first; then nothing is changed. Otherwise as for [`claim`](Self::claim).
    fn write(
        &self,
        key: CheckpointKey,
        writer: Writer,
        record: Option<Vec<u8>>,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<Writer, StoreError>>;
}

impl<S: CheckpointStore + ?Sized> CheckpointStore for Arc<S> {
    fn claim(&self, key: CheckpointKey, ttl: Duration) -> BoxFuture<'_, Result<Claim, StoreError>> {
        (**self).claim(key, ttl)
    }

    fn write(
        &self,
        key: CheckpointKey,
        writer: Writer,
        record: Option<Vec<u8>>,
        ttl: Duration,
    ) -> BoxFuture<'_, Result<Writer, StoreError>> {
        (**self).write(key, writer, record, ttl)
    }
}
