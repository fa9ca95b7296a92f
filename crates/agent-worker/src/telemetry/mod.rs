//! Statistics, metrics and traces of a worker: [`WorkerStats`](crate::stats::WorkerStats) for its handles,
//! metrics for the recorder that the program has installed for the `metrics` facade, and `spans` for a
//! subscriber that exports traces.
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
mod spans;
pub(crate) mod table;

#[cfg(feature = "cli")]
pub(crate) use exporter::Exporter;
pub(crate) use gauges::GaugeGuard;
#[cfg(feature = "http")]
pub(crate) use histogram::{SECONDS, TimeHistogram};
pub(crate) use labels::{OTHER, process_label};
pub(crate) use meter::{Meter, WorkerGauges};
pub(crate) use spans::{AttemptTrace, JoinSpan, TraceSpan};

/// Libraries whose details are about themselves.
#[cfg(any(feature = "cli", feature = "otel"))]
const LIBRARIES: [&str; 10] =
    ["dimpl", "h2", "hyper", "hyper_util", "is", "mio", "rustls", "sctp_proto", "str0m", "tungstenite"];

/// Whether a target of `tracing` is a module of such a library.
#[cfg(any(feature = "cli", feature = "otel"))]
pub(crate) fn is_of_library(target: &str) -> bool {
    target.split("::").next().is_some_and(|name| LIBRARIES.contains(&name))
}
