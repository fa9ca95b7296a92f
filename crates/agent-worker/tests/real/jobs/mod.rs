//! Jobs of a real livekit-server: offers, handlers, how they end, and what the server records.

mod api;
mod ends;
#[cfg(unix)]
mod environment;
mod lifecycle;
mod limits;
mod long_running;
mod outcomes;
mod requests;
#[cfg(unix)]
mod rolling;
mod talk;
