//! Every line of the guide's tables of errors, made by doing what it is about.
//!
//! `UPDATE_GUIDE=1 cargo test -p agent-worker --test troubleshooting` writes the tables anew.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test may fail"
)]

mod agents;
#[path = "../../../agent-net/src/tests/authority.rs"]
mod authority;
mod connecting;
mod exits;
mod guide;
mod limits;
mod log;
#[path = "../odd_store/mod.rs"]
mod odd_store;
mod offers;
mod rooms;
mod running;
mod servers;
mod settings;
mod stores;

use std::time::Duration;

use agent_worker::{JobContext, JobResult, Worker, WorkerBuilder};

/// No case takes as long.
const SOON: Duration = Duration::from_secs(30);

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(SOON, future).await.expect("in time")
}

async fn done(_: JobContext) -> JobResult {
    Ok(())
}

/// A worker for this server, with nothing else that is wrong.
fn worker(url: impl Into<String>) -> WorkerBuilder {
    Worker::builder(done).url(url).credentials("devkey", "secret")
}
