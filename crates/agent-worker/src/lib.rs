//! The LiveKit agent SDK for Rust.

mod net;
mod room;
mod secret;
