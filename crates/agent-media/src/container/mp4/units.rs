//! Units of times, and ids, in these files.

use std::time::Duration;

use crate::container::{ContainerError, TrackFormat};

/// Units of a second in which times of a track are given: those of RTP.
pub(super) fn timescale(track: &TrackFormat) -> u32 {
    match track {
        TrackFormat::Opus { .. } => 48_000,
        TrackFormat::Video(_) => 90_000,
    }
}

/// A time in such units, rounded.
pub(super) fn units(time: Duration, timescale: u32) -> u64 {
    let scaled = time.as_nanos().saturating_mul(u128::from(timescale));
    u64::try_from(scaled.saturating_add(500_000_000) / 1_000_000_000).unwrap_or(u64::MAX)
}

/// The id of a track in boxes.
pub(super) fn track_id(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1)
}

/// What the library could not write.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
pub(super) fn encoding_error(error: shiguredo_mp4::Error) -> ContainerError {
    let reason = if error.reason.is_empty() { format!("{:?}", error.kind) } else { error.reason.clone() };
    ContainerError::Malformed { codec: "MP4", reason }
}
