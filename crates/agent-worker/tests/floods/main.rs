//! Garbage, floods and frames without end on every socket that a worker has, over loopback: it continues or
//! reconnects, and its memory stays bounded. A program of its own, as it measures the memory of its
//! process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]

mod handshake;
mod memory;
mod room;
#[path = "../support/mod.rs"]
mod support;
mod worker;
