//! Statistics and metrics of a worker: [`WorkerStats`](crate::stats::WorkerStats) for its handles, and
//! metrics for the recorder that the program has installed for the `metrics` facade.
//!
//! `table` lists every metric that this crate records; the guide shows the same table. A `Meter` belongs to
//! one worker: it takes its handles when the worker starts, so that nothing is looked up for each job, and
//! without a recorder an increment costs one check of an empty option. Label values from users and servers
//! are bounded (`labels`).

#[cfg(feature = "cli")]
mod exporter;
mod gauges;
mod handles;
#[cfg(feature = "http")]
mod histogram;
mod labels;
pub(crate) mod line_limit;
mod meter;
pub(crate) mod table;

#[cfg(feature = "cli")]
pub(crate) use exporter::Exporter;
pub(crate) use gauges::GaugeGuard;
#[cfg(feature = "http")]
pub(crate) use histogram::{SECONDS, TimeHistogram};
pub(crate) use labels::{OTHER, process_label};
pub(crate) use meter::{Meter, WorkerGauges};
