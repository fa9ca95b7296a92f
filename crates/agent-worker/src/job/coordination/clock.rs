//! The clock of a candidate, which includes the time that the machine is suspended.
//!
//! A lease expires on the store's clock, which continues while this machine is suspended (a closed laptop, a
//! saved virtual machine). On Linux, the clock of the standard library and of tokio does not: a leader would
//! consider its lease valid for as long as the machine slept.

use std::time::Duration;

use tokio::time::Instant;

use agent_core::Time;

/// Tokio's clock, virtual time included, plus the time that the machine slept since the clock was created.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started: Instant,
    slept_before: Duration,
    slept: fn() -> Duration,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self::with(slept)
    }

    pub(super) fn with(slept: fn() -> Duration) -> Self {
        Self { started: Instant::now(), slept_before: slept(), slept }
    }

    pub(super) fn now(&self) -> Time {
        Time::ZERO + self.started.elapsed() + self.slept_since()
    }

    /// Converts a time to tokio's clock, assuming that the machine does not sleep again.
    pub(super) fn instant(&self, at: Time) -> Instant {
        self.started + (at - Time::ZERO).saturating_sub(self.slept_since())
    }

    fn slept_since(&self) -> Duration {
        (self.slept)().saturating_sub(self.slept_before)
    }
}

/// How long the machine was suspended since boot.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn slept() -> Duration {
    use nix::time::{ClockId, clock_gettime};
    let read = |clock| clock_gettime(clock).map(Duration::from).unwrap_or_default();
    // In this order a pause between the two readings makes the result too small, never too large.
    let with_sleep = read(ClockId::CLOCK_BOOTTIME);
    with_sleep.saturating_sub(read(ClockId::CLOCK_MONOTONIC))
}

/// Unknown; on Windows the clock includes it.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const fn slept() -> Duration {
    Duration::ZERO
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_machine_that_does_not_sleep_has_one_time() {
        let clock = Clock::new();
        let (before, now, after) = (clock.started.elapsed(), clock.now(), clock.started.elapsed());
        let now = now - Time::ZERO;
        let slack = Duration::from_millis(100); // two clocks are not read at the same moment
        assert!(before <= now + slack && now <= after + slack, "{before:?} {now:?} {after:?}");
    }
}
