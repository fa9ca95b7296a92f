//! Sound that waits without need: less than a packet, which is left over each time.

use std::time::Duration;

use agent_proto::Time;

/// How long a source must not have needed what waits.
const WINDOW: Duration = Duration::from_millis(250);

/// The least that waited whenever sound came, in the last one to two windows. A source that is read in real
/// time and has become a little longer, as a jitter buffer makes it, leaves the same rest in the queue from
/// then on: without the rest all its sound would be sent earlier, and nothing later.
#[derive(Debug)]
pub(super) struct Surplus {
    /// The least of the window before.
    before: usize,
    /// The least of this window.
    least: usize,
    /// When this window began.
    since: Time,
}

impl Surplus {
    pub(super) fn new() -> Self {
        Self { before: 0, least: usize::MAX, since: Time::ZERO }
    }

    /// Sound comes while this much waits; returns how much of that is not needed.
    pub(super) fn observe(&mut self, waiting: usize, now: Time) -> usize {
        if now - self.since >= WINDOW {
            // After a pause the last window is no measure.
            self.before = if now - self.since < 2 * WINDOW { self.least } else { 0 };
            (self.least, self.since) = (usize::MAX, now);
        }
        self.least = self.least.min(waiting);
        self.before.min(self.least)
    }

    /// It was removed.
    pub(super) fn removed(&mut self) {
        (self.before, self.least) = (0, usize::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_that_always_waits() {
        let mut surplus = Surplus::new();
        // A piece every 20 ms.
        let mut run = |millis: std::ops::Range<u64>, waiting: [usize; 2]| -> Vec<usize> {
            let times = millis.step_by(20).zip(waiting.into_iter().cycle());
            let mut found: Vec<_> = times
                .map(|(at, waiting)| surplus.observe(waiting, Time::from_nanos(at * 1_000_000)))
                .collect();
            found.dedup();
            found
        };
        assert_eq!(run(10_000..10_240, [7, 9]), [0], "one window is not enough");
        assert_eq!(run(10_260..10_500, [7, 9]), [7]);
        assert_eq!(run(10_500..11_000, [0, 9]), [0], "it was needed");
        assert_eq!(run(11_000..11_600, [5, 5]), [0, 5]);
        assert_eq!(run(20_000..20_240, [5, 5]), [0], "there was a pause");
    }
}
