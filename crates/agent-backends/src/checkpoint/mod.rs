//! Checkpoint stores.

#[cfg(feature = "embedded-store")]
mod embedded;
mod memory;
#[cfg(feature = "redis")]
mod redis;

#[cfg(feature = "embedded-store")]
pub use embedded::EmbeddedStore;
pub use memory::{MemoryStore, wall_clock};
#[cfg(feature = "redis")]
pub use redis::RedisStore;
