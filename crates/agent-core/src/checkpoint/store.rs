//! What every store of checkpoints does.

use super::{CheckpointKey, Claim, StoreError, Writer};
use agent_proto::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

/// Where checkpoints are kept: `MemoryStore`, `EmbeddedStore` (a local file, feature `embedded-store`),
/// `RedisStore` (feature `redis`), or one of your own.
///
/// It keeps one [`Slot`](crate::Slot) under each key, whose functions hold the rules: a store applies them where nothing comes
/// between its look and its change. A record that was saved is there when the future returns, and it is either whole or not there.
/// Every operation has a time limit of the store's own.
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
///     fn claim(&self, key: CheckpointKey, keep: Duration) -> BoxFuture<'_, Result<Claim, StoreError>> {
///         Box::pin(async move {
///             let mut slots = self.0.lock().unwrap();
///             let (slot, claim) = Slot::claim(slots.remove(&key), now(), keep);
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
///         keep: Duration,
///     ) -> BoxFuture<'_, Result<Writer, StoreError>> {
///         Box::pin(async move {
///             let mut slots = self.0.lock().unwrap();
///             if !Slot::may_write(slots.get(&key), writer, now(), keep) {
///                 return Err(StoreError::Superseded);
///             }
///             slots.insert(key, Slot::written(writer, record, now(), keep));
///             Ok(writer.seen_at(now()))
///         })
///     }
/// }
/// ```
pub trait CheckpointStore: Send + Sync + 'static {
    /// Takes a key over: writers of earlier claims are refused from now on. Gives what is saved there.
    ///
    /// `keep` is how long a record is kept after the last claim or write.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Unusable`].
    fn claim(&self, key: CheckpointKey, keep: Duration) -> BoxFuture<'_, Result<Claim, StoreError>>;

    /// Saves a record, or deletes what is there, and gives the writer to use from now on.
    ///
    /// # Errors
    /// [`StoreError::Superseded`] when the key was claimed since, or a later write of the writer was there first; then nothing is changed.
    /// Else as for [`claim`](Self::claim).
    fn write(
        &self,
        key: CheckpointKey,
        writer: Writer,
        record: Option<Vec<u8>>,
        keep: Duration,
    ) -> BoxFuture<'_, Result<Writer, StoreError>>;
}

impl<S: CheckpointStore + ?Sized> CheckpointStore for Arc<S> {
    fn claim(&self, key: CheckpointKey, keep: Duration) -> BoxFuture<'_, Result<Claim, StoreError>> {
        (**self).claim(key, keep)
    }

    fn write(
        &self,
        key: CheckpointKey,
        writer: Writer,
        record: Option<Vec<u8>>,
        keep: Duration,
    ) -> BoxFuture<'_, Result<Writer, StoreError>> {
        (**self).write(key, writer, record, keep)
    }
}
