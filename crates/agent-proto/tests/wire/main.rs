//! Wire compatibility with `livekit-protocol`, the crate that LiveKit's Rust client uses, for every message
//! of `proto/`.
//!
//! The binary format carries numbers only, so two string fields with swapped numbers would pass a round trip
//! through it; the JSON format carries names only. Each value goes through both, in both directions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of a test, outside of a #[test] function"
)]

mod arbitrary;
mod compat;
mod decode;
mod table;
