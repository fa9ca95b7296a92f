//! The time of sound across pauses and jumps.

use std::time::Duration;

use super::units::{nanos, samples, signed_duration};

/// The time of sound, in samples, on a scale that neither goes back nor ends with a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct MediaTime {
    last: i64,
    end: i64,
    /// What is added to a timestamp.
    shift: i64,
    has_begun: bool,
}

impl MediaTime {
    /// Timestamps jump: sound continues here, after a pause of the clock.
    pub(super) fn continue_at(&mut self, timestamp: i64, pause: Duration) {
        let pause = match std::mem::replace(&mut self.has_begun, true) {
            true => samples(signed_duration(pause)),
            false => 0,
        };
        self.shift = self.end.saturating_add(pause).saturating_sub(timestamp);
    }

    pub(super) fn at(&mut self, timestamp: i64, length: i64) -> Duration {
        self.last = self.last.max(timestamp.saturating_add(self.shift));
        self.end = self.last.saturating_add(length);
        Duration::from_nanos(nanos(self.last).unsigned_abs())
    }
}
