//! Time as str0m wants it.

use agent_proto::Time;
use std::time::Instant;

/// str0m takes and gives readings of a clock: this turns the machine's time into them, and back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RtcClock {
    /// What the clock showed at [`Time::ZERO`].
    epoch: Instant,
}

impl RtcClock {
    pub(crate) const fn starting_at(epoch: Instant) -> Self {
        Self { epoch }
    }

    /// A time that the clock cannot show is its beginning: none is given, as it is centuries away.
    pub(super) fn instant(self, time: Time) -> Instant {
        self.epoch.checked_add(time - Time::ZERO).unwrap_or(self.epoch)
    }

    /// What was before the beginning is at the beginning.
    pub(super) fn time(self, instant: Instant) -> Time {
        Time::ZERO + instant.saturating_duration_since(self.epoch)
    }
}
