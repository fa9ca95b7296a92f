//! What users of the crate can see, without a runtime and without a clock.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of a test, outside of a #[test] function"
)]

mod codecs;
mod echo;
mod packets;
mod resampling;
mod sending;
mod sound;

use agent_media::{AudioCodec, RopusCodec};

/// The codecs that are held to the tests of `codecs`. libopus is held to them in a package of its own.
const CODECS: [&dyn AudioCodec; 1] = [&RopusCodec];
