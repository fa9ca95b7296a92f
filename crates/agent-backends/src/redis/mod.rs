//! The only Redis client: the URL of a Redis or Valkey server, the connection, and what its answers mean
//! (`answer`, without I/O).

mod answer;
mod error;
mod link;
mod url;

pub(crate) use answer::info_field;
pub use error::RedisError;
pub use link::Redis;
pub(crate) use link::{Script, ScriptCall};
