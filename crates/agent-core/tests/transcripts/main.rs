//! Transcripts of the worker machine: inputs and outputs as human-readable text.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]

mod checkpoint_promises;
mod cleanup;
mod connection;
mod drain;
mod election;
mod election_promises;
mod health;
mod jobs;
mod join_timing;
mod outcomes;
#[cfg(feature = "script")]
mod planted;
#[cfg(feature = "script")]
mod promises;
mod quiet;
#[cfg(all(feature = "script", feature = "serde"))]
mod replay;
mod retries;
mod rig;
mod room_promises;
mod room_rules;
mod save_schedule;
mod watch;
