//! Garbage, floods and frames without end on every socket that a worker has, over loopback: it lives on or
//! begins anew, and what it holds stays bounded.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]

mod handshake;
mod memory;
mod peer;
mod room;
#[path = "../udp_sockets/mod.rs"]
mod udp_sockets;
mod worker;

use std::time::Duration;

/// Nothing in here takes as long.
const SOON: Duration = Duration::from_secs(60);

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(SOON, future).await.expect("in time")
}
