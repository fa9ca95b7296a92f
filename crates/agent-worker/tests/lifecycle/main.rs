//! How jobs end, are tried again and are cleaned up after: a whole worker on the mock server, mostly on
//! virtual time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]

mod cleanup;
mod data;
mod ends;
mod failures;
mod long_running;
mod outcomes;
mod pipelines;
mod retries;
mod stage;
mod stuck;
mod tasks;
mod timeouts;
mod until;

use agent_worker::WorkerBuilder;

/// Workers as they are: the crate's own tests run all this once more, with another executor.
fn prepare(worker: WorkerBuilder) -> WorkerBuilder {
    worker
}
