//! Tests of agent-testkit's public behaviour that need no real tool: mock servers and rooms, their deliberate
//! faults, and the program.
//!
//! `cargo xtask test` runs each of these modules as a program of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail"
)]

#[path = "../support/conformance/mod.rs"]
mod conformance;
mod data_tracks;
mod faults;
#[cfg(feature = "proptest")]
mod fuzzing;
mod guide;
mod job_api;
mod mock_audio;
mod mock_audio_out;
mod mock_conformance;
mod mock_dtmf;
mod mock_server;
mod mock_video;
mod mocks;
mod order;
mod rpc;
mod run_job;
#[cfg(feature = "cli")]
mod serve;
mod sim;
mod streams;
