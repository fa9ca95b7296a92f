//! When packets are due, and the timestamps that belong to these times.

use std::time::Duration;

use agent_proto::Time;

/// Units of timestamps per second.
const CLOCK_RATE: u128 = 48_000;

/// After this time, packets that waited for a late driver are not sent all at once: the sound has a gap.
const MAX_CATCH_UP: Duration = Duration::from_millis(200);

/// When packets are due. Timestamps and times belong together: both advance by one packet's duration with
/// each packet, and by the length of the pause with each pause, so that neither drifts from the other.
#[derive(Debug)]
pub(super) struct Schedule {
    period: Duration,
    /// When the next packet is due; `None`: there was none yet.
    due: Option<Time>,
    /// The timestamp of the next packet, without wrapping around.
    timestamp: u64,
    /// Whether the next packet follows a pause.
    pause: bool,
}

impl Schedule {
    pub(super) fn new(period: Duration) -> Self {
        Self { period, due: None, timestamp: 0, pause: true }
    }

    /// When the next packet is due: the end of the previous one. `None`: there was none yet.
    pub(super) fn due(&self) -> Option<Time> {
        self.due
    }

    /// The timestamp of the packet that is sent now, and whether it follows a pause; `ready` is when its
    /// samples were complete. Sound that comes late by up to two periods is sent late: that is jitter. If it
    /// comes later, there was a pause.
    pub(super) fn next(&mut self, ready: Time, now: Time) -> (u32, bool) {
        let due = self.due.unwrap_or(now);
        let paused = ready - due > 2 * self.period || now - due > MAX_CATCH_UP;
        let start = if paused { now } else { due };
        self.timestamp += units(start - due);
        let (timestamp, marker) = (self.timestamp, paused || self.pause);
        self.timestamp += units(self.period);
        self.due = Some(start + self.period);
        self.pause = false;
        // It wraps around.
        (timestamp as u32, marker)
    }

    /// Sound of this length is not sent: what follows has its own time, and is not late.
    pub(super) fn leave_out(&mut self, duration: Duration) {
        self.timestamp += units(duration);
        self.due = self.due.map(|due| due + duration);
    }

    /// The packet was not sent.
    pub(super) fn skipped(&mut self) {
        self.pause = true;
    }
}

/// A duration in units of timestamps, rounded down.
fn units(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos() * CLOCK_RATE / 1_000_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn jitter_changes_nothing_and_a_pause_is_counted() {
        let mut schedule = Schedule::new(Duration::from_millis(20));
        assert_eq!(schedule.next(ms(1_000), ms(1_000)), (0, true));
        assert_eq!(schedule.due(), Some(ms(1_020)));
        // 40 ms late, and the next one in time again.
        assert_eq!(schedule.next(ms(1_060), ms(1_060)), (960, false));
        assert_eq!(schedule.next(ms(1_060), ms(1_060)), (1_920, false));
        assert_eq!(schedule.due(), Some(ms(1_060)));
        // 41 ms late.
        assert_eq!(schedule.next(ms(1_101), ms(1_101)), (101 * 48, true));
        assert_eq!(schedule.due(), Some(ms(1_121)));
    }

    #[test]
    fn a_late_driver_catches_up_a_little() {
        let mut schedule = Schedule::new(Duration::from_millis(20));
        schedule.next(ms(0), ms(0));
        assert_eq!(schedule.next(ms(0), ms(220)), (960, false));
        assert_eq!(schedule.next(ms(0), ms(241)), (241 * 48, true));
    }

    #[test]
    fn timestamps_wrap_around() {
        let mut schedule = Schedule::new(Duration::from_millis(20));
        schedule.next(ms(0), ms(0));
        let day = 24 * 3_600_000;
        assert_eq!(schedule.next(ms(2 * day), ms(2 * day)), ((2 * day * 48) as u32, true));
        schedule.next(ms(u64::MAX / 1_000_000), Time::from_nanos(u64::MAX));
        schedule.next(Time::from_nanos(u64::MAX), Time::from_nanos(u64::MAX));
    }
}
