//! Stores that outlive a process, one file each: checkpoints in memory, in a local file and in Redis; and the one way to Redis.

mod checkpoints;
#[cfg(feature = "embedded-store")]
mod embedded;
mod memory;
#[cfg(feature = "redis")]
mod redis_answer;
#[cfg(feature = "redis")]
mod redis_error;
#[cfg(feature = "redis")]
mod redis_link;
#[cfg(feature = "redis")]
mod redis_store;
#[cfg(feature = "redis")]
mod redis_url;

pub use checkpoints::CheckpointStore;
#[cfg(feature = "embedded-store")]
pub use embedded::EmbeddedStore;
pub use memory::MemoryStore;
pub(crate) use memory::wall_clock;
#[cfg(feature = "redis")]
pub(crate) use redis_answer::info_field;
#[cfg(feature = "redis")]
pub use redis_error::RedisError;
#[cfg(feature = "redis")]
pub use redis_link::Redis;
#[cfg(feature = "redis")]
pub(crate) use redis_link::{Script, ScriptCall};
#[cfg(feature = "redis")]
pub use redis_store::RedisStore;
