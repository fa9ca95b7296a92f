//! The suite of `tests/lifecycle` once more, with attempts that are made from their written description.

#![allow(clippy::indexing_slicing, reason = "a test may fail")]

use std::sync::Arc;

use super::Described;
use crate::WorkerBuilder;

pub(crate) fn prepare(worker: WorkerBuilder) -> WorkerBuilder {
    worker.executor(Arc::new(Described::new()))
}

#[path = "../../../../../tests/lifecycle/cleanup.rs"]
mod cleanup;
#[path = "../../../../../tests/lifecycle/data.rs"]
mod data;
#[path = "../../../../../tests/lifecycle/ends.rs"]
mod ends;
#[path = "../../../../../tests/lifecycle/failures.rs"]
mod failures;
#[path = "../../../../../tests/lifecycle/long_running.rs"]
mod long_running;
#[path = "../../../../../tests/lifecycle/outcomes.rs"]
mod outcomes;
#[path = "../../../../../tests/lifecycle/pipelines.rs"]
mod pipelines;
#[path = "../../../../../tests/lifecycle/retries.rs"]
mod retries;
#[path = "../../../../../tests/lifecycle/stage.rs"]
mod stage;
#[path = "../../../../../tests/lifecycle/stuck.rs"]
mod stuck;
#[path = "../../../../../tests/lifecycle/tasks.rs"]
mod tasks;
#[path = "../../../../../tests/lifecycle/timeouts.rs"]
mod timeouts;
#[path = "../../../../../tests/lifecycle/until.rs"]
mod until;
