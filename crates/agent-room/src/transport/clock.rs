//! Conversion between the machine's time and str0m's.

use std::time::Instant;

use agent_proto::Time;

/// str0m uses clock readings: this converts the machine's time into them, and back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RtcClock {
    /// The clock reading at [`Time::ZERO`].
    epoch: Instant,
}

impl RtcClock {
    pub(crate) const fn starting_at(epoch: Instant) -> Self {
        Self { epoch }
    }

    /// A time out of the clock's range becomes its beginning, which does not occur: it is centuries away.
    pub(super) fn instant(self, time: Time) -> Instant {
        self.epoch.checked_add(time - Time::ZERO).unwrap_or(self.epoch)
    }

    /// A time before the beginning becomes the beginning.
    pub(super) fn time(self, instant: Instant) -> Time {
        Time::ZERO + instant.saturating_duration_since(self.epoch)
    }
}
