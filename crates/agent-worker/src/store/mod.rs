//! Stores that outlive a process: connections to them, one file each.

#[cfg(feature = "redis")]
mod redis_error;
#[cfg(feature = "redis")]
mod redis_link;

#[cfg(feature = "redis")]
pub use redis_error::RedisError;
#[cfg(feature = "redis")]
pub use redis_link::Redis;
