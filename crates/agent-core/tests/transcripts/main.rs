//! Transcripts of the worker machine: what happens goes in, what it wants comes out, both as text that a person reads.
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
mod jobs;
mod outcomes;
mod promises;
#[cfg(feature = "serde")]
mod replay;
mod retries;
mod rig;
mod room_promises;
mod room_rules;
mod save_schedule;
mod watch;
