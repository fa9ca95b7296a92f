//! Stores of checkpoints: the trait is agent-core's, the stores are agent-backends'.

#[cfg(feature = "embedded-store")]
pub use agent_backends::EmbeddedStore;
pub use agent_backends::MemoryStore;
pub(crate) use agent_backends::wall_clock;
#[cfg(feature = "redis")]
pub use agent_backends::{Redis, RedisError, RedisStore};
pub use agent_core::CheckpointStore;
