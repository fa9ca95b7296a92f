//! Progress that the next attempt, or another worker, continues from: see the
//! [guide](crate::guide::checkpoints).
//!
//! A [`CheckpointStore`] of your own needs [`Claim`], [`Epoch`], [`Writer`] and [`StoreError`]; [`Slot`] has
//! the rules that it applies.

pub use crate::job::checkpoint::{AutoSaved, Checkpoint};
#[cfg(feature = "embedded-store")]
pub use agent_backends::EmbeddedStore;
pub use agent_backends::MemoryStore;
#[cfg(feature = "redis")]
pub use agent_backends::RedisStore;
pub use agent_core::{
    CheckpointError, CheckpointKey, CheckpointStore, Claim, Epoch, KeyBy, KeyError, MAX_CHECKPOINT_LEN, Slot,
    StoreError, Writer,
};
