//! The suite of `tests/it/lifecycle` once more, with attempts that are made from their written description.

#![allow(clippy::indexing_slicing, reason = "a test may fail")]

use std::sync::Arc;

use super::Described;
use crate::WorkerBuilder;

pub(crate) fn prepare(worker: WorkerBuilder) -> WorkerBuilder {
    worker.executor(Arc::new(Described::new()))
}

#[path = "../../../../../tests/it/lifecycle/mod.rs"]
mod suite;
