//! Lease stores.

#[cfg(feature = "files")]
mod files;
mod memory;
#[cfg(feature = "redis")]
mod redis;

#[cfg(feature = "files")]
pub use files::FileCoordinator;
pub use memory::MemoryCoordinator;
#[cfg(feature = "redis")]
pub use redis::RedisCoordinator;
