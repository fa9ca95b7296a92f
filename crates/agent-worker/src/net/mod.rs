//! Connections to a LiveKit server: addresses, tokens, TLS, proxies and WebSockets.
//!
//! Nothing in here knows of jobs, rooms or reconnecting: one call makes one connection or says why not. The environment
//! is read in [`NetOptions::from_env`] and nowhere else.

mod addresses;
mod assigned_url;
mod connect;
mod error;
mod frame_socket;
mod frames;
mod options;
mod refusal;
mod server_url;
mod stream;
#[cfg(test)]
mod tests;
mod tls;
mod token;
mod upgrade;
mod websocket;

pub use addresses::Resolver;
pub use assigned_url::AssignedUrlError;
pub(crate) use assigned_url::assigned_url;
#[cfg(feature = "redis")]
pub(crate) use connect::connect_stream;
pub(crate) use connect::connect_websocket;
pub use error::ConnectError;
pub(crate) use frame_socket::{FrameSocket, SocketEvent};
pub use options::{MediaPath, NetOptions, ProxyUrlError};
pub use server_url::{ServerUrl, UrlError};
pub use stream::{ByteStream, Dialer};
pub(crate) use token::worker_token;
pub use token::{AccessToken, TokenError, TokenKind};
pub(crate) use websocket::WebSocket;
