//! What a worker tells of itself in numbers: to its handles as [`WorkerStats`](crate::stats::WorkerStats),
//! and to whatever recorder the program has installed for the `metrics` facade.
//!
//! `table` lists every metric that this crate records; the guide shows the same table. A `Meter` belongs to
//! one worker: it takes its handles when the worker starts to run, so that per job nothing is looked up, and
//! without a recorder an increment is one look at an empty option. Label values are bounded, whatever users
//! and servers say (`words`).

mod gauges;
mod handles;
mod labels;
pub(crate) mod line_limit;
mod meter;
pub(crate) mod table;

pub(crate) use gauges::GaugeGuard;
pub(crate) use labels::{OTHER, process_label};
pub(crate) use meter::{Levels, Meter};
