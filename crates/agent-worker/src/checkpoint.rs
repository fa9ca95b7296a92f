//! Saved progress, from which the next attempt or another worker resumes: see the
//! [guide](crate::guide::checkpoints).
//!
//! Your own [`CheckpointStore`] needs [`Claim`], [`Epoch`], [`Writer`] and [`StoreError`]; [`Slot`]
//! implements its rules.

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
