//! The LiveKit agent SDK for Rust.

mod net;
mod room;
mod secret;

pub use net::{
    AccessToken, ConnectError, NetOptions, ProxyUrlError, ServerUrl, TokenError, TokenKind, UrlError,
};
pub use secret::Secret;
