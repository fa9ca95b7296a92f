//! agent-testkit and the real tools: livekit-server, official clients and workers, Redis and Valkey.
//!
//! `cargo xtask test` runs each of these modules as a program of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may fail"
)]

mod client_sound;
#[path = "../support/conformance/mod.rs"]
mod conformance;
#[path = "../support/long.rs"]
mod long;
mod official;
mod official_kinds;
mod official_workers;
mod real_conformance;
mod redis_kinds;
mod server;
mod workers_on_mock;
