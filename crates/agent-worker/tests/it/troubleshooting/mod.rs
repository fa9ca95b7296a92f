//! Every line of the guide's tables of errors, produced by causing the problem.
//!
//! `UPDATE_GUIDE=1 cargo test --workspace --all-features --test it troubleshooting` rewrites the tables. The
//! quickstart's exit codes are those of `quickstart/tests/exits.rs`.

mod agents;
mod connecting;
#[cfg(unix)]
mod limits;
mod offers;
mod rooms;
mod running;
mod servers;
mod settings;
mod stores;

use agent_worker::{JobContext, JobResult, Worker, WorkerBuilder};

use crate::support::guide_tables::{steady, up_to};

async fn done(_: JobContext) -> JobResult {
    Ok(())
}

/// A worker for this server without any other mistake.
fn worker(url: impl Into<String>) -> WorkerBuilder {
    Worker::builder(done).url(url).credentials("devkey", "secret")
}

#[test]
fn varying_parts_are_replaced() {
    assert_eq!(
        steady("127.0.0.1:4711 answered with HTTP 401 (no: no), as in ws://localhost:7880, localhost:1"),
        "HOST:PORT answered with HTTP 401 (the server's words), as in ws://localhost:7880, HOST:PORT"
    );
    assert_eq!(up_to("a, and DNS: not found", "DNS"), "a, and DNS: …");
}
