//! Connections: to a LiveKit server, by address, token and proxy, and to Redis or Valkey.

#[cfg(feature = "redis")]
pub use agent_backends::{Redis, RedisError};
pub use agent_core::StopError;
pub use agent_net::{
    AccessToken, AssignedUrlError, ByteStream, ConnectError, Dialer, MediaPath, NetOptions, ProxyUrlError,
    Resolver, ServerUrl, TokenError, TokenKind, UrlError,
};
