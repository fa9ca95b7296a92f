//! The content of written files. agent-worker's tests check them with players.
#![allow(clippy::indexing_slicing, clippy::expect_used, reason = "helpers of tests")]

mod any_frames;
mod files;
pub(crate) mod read;

use std::time::Duration;

use super::*;

/// 20 ms of silence.
pub(crate) const OPUS: [u8; 3] = [0xf8, 0xff, 0xfe];

/// The beginning of a key frame of VP8 of 320 × 240, and what it announces.
pub(crate) const VP8_KEY: &[u8] = b"\x30\0\0\x9d\x01\x2a\x40\x01\xf0\0\0";
/// A frame of VP8 that is no key frame.
pub(crate) const VP8_DELTA: &[u8] = b"\x31\0\0\0";

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn vp8() -> TrackFormat {
    TrackFormat::Video(VideoFormat::of_key_frame(VideoCodec::Vp8, VP8_KEY).expect("a key frame"))
}

pub(crate) const AUDIO: TrackFormat = TrackFormat::Opus { channels: 1 };
