//! The clock of a candidate: it goes on while the machine sleeps.
//!
//! A lease ends on the store's clock, which goes on when this machine is suspended (a laptop that is closed,
//! a virtual machine that is saved). The clock of the standard library and of tokio does not, on Linux: a
//! leader would believe for as long as the machine slept.

use std::time::Duration;

use tokio::time::Instant;

use agent_core::Time;

/// Tokio's clock, virtual time included, and for how long the machine slept since the clock was made.
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

    /// When tokio's clock gets there, unless the machine sleeps again.
    pub(super) fn instant(&self, at: Time) -> Instant {
        self.started + (at - Time::ZERO).saturating_sub(self.slept_since())
    }

    fn slept_since(&self) -> Duration {
        (self.slept)().saturating_sub(self.slept_before)
    }
}

/// For how long the machine was suspended since it was started.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn slept() -> Duration {
    use nix::time::{ClockId, clock_gettime};
    let read = |clock| clock_gettime(clock).map(Duration::from).unwrap_or_default();
    // In this order a pause between the two looks makes it too short by that, and never too long.
    let with_sleep = read(ClockId::CLOCK_BOOTTIME);
    with_sleep.saturating_sub(read(ClockId::CLOCK_MONOTONIC))
}

/// Not known; on Windows the clock goes on by itself.
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
        let slack = Duration::from_millis(100); // a look at two clocks is not one moment
        assert!(before <= now + slack && now <= after + slack, "{before:?} {now:?} {after:?}");
    }
}
