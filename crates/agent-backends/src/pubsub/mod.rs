//! Pub/sub backends for jobs that share no room.

mod memory;
#[cfg(feature = "redis")]
mod outage;
#[cfg(feature = "redis")]
mod redis;

pub use memory::MemoryPubSub;
#[cfg(feature = "redis")]
pub use redis::RedisPubSub;
