//! The worker's connection, lost in every way: how the loss is noticed, when and how often the worker
//! reconnects, and that jobs continue.
//!
//! Where no socket is needed the clock jumps, so that hours take no time.

mod jobs;
mod server;
mod waits;

use std::time::Duration;

async fn within<F: Future>(limit: Duration, future: F) -> F::Output {
    tokio::time::timeout(limit, future).await.expect("in time")
}
