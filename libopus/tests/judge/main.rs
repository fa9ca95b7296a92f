//! libopus passes the tests of all codecs, and judges the default codec: each decodes what the other encodes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of a test, outside of a #[test] function"
)]

#[path = "../../../crates/agent-media/tests/media/codecs.rs"]
mod codecs;
mod interop;
#[path = "../../../crates/agent-media/tests/media/sound.rs"]
mod sound;

use agent_libopus::LibopusCodec;
use agent_media::AudioCodec;

/// The codecs that are held to the tests.
const CODECS: [&dyn AudioCodec; 1] = [&LibopusCodec];
