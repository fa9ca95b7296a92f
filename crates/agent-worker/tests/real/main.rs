//! Workers and rooms on a real livekit-server, with official clients, Redis and Valkey: all tests that share
//! their process with others.
//!
//! `cargo xtask test` runs each of these modules as a program of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may fail, and its processes talk over their output"
)]

#[macro_use]
#[path = "../support/mod.rs"]
mod support;

mod audio_out;
#[cfg(feature = "redis")]
mod checkpoint_stores;
mod clients;
mod coordination;
#[cfg(feature = "cli")]
mod doctor;
#[cfg(feature = "media")]
mod e2ee;
#[cfg(feature = "media")]
mod e2ee_video;
mod jobs;
#[cfg(feature = "media")]
mod pcm;
#[cfg(all(feature = "media", feature = "recording"))]
mod recording;
#[cfg(all(unix, feature = "redis"))]
mod redis;
mod relays;
mod room;
#[cfg(all(unix, feature = "http"))]
mod status_page;
mod video;
