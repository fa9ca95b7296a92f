//! Storage and messaging backends of agents: one file for each.
//!
//! | | memory | local files | Redis or Valkey |
//! |---|---|---|---|
//! | checkpoints | [`MemoryStore`] | `EmbeddedStore` (feature `embedded-store`) | `RedisStore` (feature `redis`) |
//! | leases | [`MemoryCoordinator`] | `FileCoordinator` (feature `files`) | `RedisCoordinator` (feature `redis`) |
//! | messages | [`MemoryPubSub`] | | `RedisPubSub` (feature `redis`) |
//!
//! The traits and the rules are in `agent-core`; the backends implement them.

mod checkpoint;
mod leases;
mod pubsub;
#[cfg(feature = "redis")]
mod redis;

#[cfg(feature = "embedded-store")]
pub use checkpoint::EmbeddedStore;
#[cfg(feature = "redis")]
pub use checkpoint::RedisStore;
pub use checkpoint::{MemoryStore, wall_clock};
#[cfg(feature = "files")]
pub use leases::FileCoordinator;
pub use leases::MemoryCoordinator;
#[cfg(feature = "redis")]
pub use leases::RedisCoordinator;
pub use pubsub::MemoryPubSub;
#[cfg(feature = "redis")]
pub use pubsub::RedisPubSub;
#[cfg(feature = "redis")]
pub use redis::{Redis, RedisError};
