//! The load of a machine, from what is measured of it: shares of processor time, smoothed, and without
//! changing between full and free all the time.

use std::collections::VecDeque;
use std::time::Duration;

use agent_proto::Time;

/// How many of the last shares are averaged: at two a second, those of 2.5 s.
const AVERAGED: usize = 5;
/// A full worker takes jobs again below this load.
const FREE_BELOW: f32 = 0.9;
/// Counters that have advanced by more than this share of the possible are wrong. A quota may be exceeded
/// for a moment.
const MOST: f32 = 1.25;

/// The share of processor time in use, from a counter of it.
///
/// ```
/// use agent_core::{ProcessorUse, Time};
/// use std::time::Duration;
///
/// let seconds = Duration::from_secs;
/// let mut used = ProcessorUse::default();
/// assert_eq!(used.share(seconds(100), 2.0, Time::ZERO), None); // the first value is where it begins
/// assert_eq!(used.share(seconds(101), 2.0, Time::ZERO + seconds(1)), Some(0.5));
/// assert_eq!(used.share(seconds(50), 2.0, Time::ZERO + seconds(2)), None); // a counter that goes back
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessorUse {
    last: Option<(Duration, Time)>,
}

impl ProcessorUse {
    /// The share of the processors' time that was used after the last call, from 0 to 1, by a counter of all
    /// time that was used. `None` at first, and if the counter cannot be right: in some containers it goes
    /// back and forth.
    #[allow(clippy::cast_possible_truncation, reason = "a share needs no more precision")]
    pub fn share(&mut self, used: Duration, processors: f32, now: Time) -> Option<f32> {
        let (before, at) = self.last.replace((used, now))?;
        let possible = (now - at).as_secs_f64() * f64::from(processors);
        let used = used.checked_sub(before)?.as_secs_f64();
        let share = (used / possible) as f32;
        (possible > 0.0 && share <= MOST).then(|| share.min(1.0))
    }
}

/// Makes the load that a worker reports of shares that are measured twice a second.
///
/// - The average of the last five counts: one moment of work is not a full worker.
/// - At [`full_at`](Self::full_at) the load is 1, and the worker takes no more jobs. It takes them again
///   below 0.9, and not as soon as one job has ended.
/// - Nothing is counted in the first [`grace`](Self::grace): the program starts then.
///
/// ```
/// use agent_core::{LoadMeter, Time};
/// use std::time::Duration;
///
/// let mut meter = LoadMeter::default().full_at(0.5).grace(Duration::ZERO);
/// assert_eq!(meter.measured(Some(0.25), Time::ZERO), 0.5);
/// ```
#[derive(Clone, Debug)]
pub struct LoadMeter {
    full_at: f32,
    grace: Duration,
    begun: Option<Time>,
    last: VecDeque<f32>,
    full: bool,
}

impl Default for LoadMeter {
    fn default() -> Self {
        Self {
            full_at: 0.7,
            grace: Duration::from_secs(5),
            begun: None,
            last: VecDeque::with_capacity(AVERAGED),
            full: false,
        }
    }
}

impl LoadMeter {
    /// The share in use at which the worker is full, more than 0 and at most 1; 0.7 unless set.
    #[must_use]
    pub const fn full_at(mut self, share: f32) -> Self {
        self.full_at = if share.is_nan() { 1.0 } else { share.clamp(0.01, 1.0) };
        self
    }

    /// How long nothing is counted; 5 s unless set.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Takes a share that was measured, if it could be, and returns the load: 0 idle, 1 or more full.
    #[allow(clippy::cast_precision_loss, reason = "there are five at most")]
    pub fn measured(&mut self, share: Option<f32>, now: Time) -> f32 {
        let begun = *self.begun.get_or_insert(now);
        if now - begun < self.grace {
            return 0.0;
        }
        if let Some(share) = share {
            if self.last.len() == AVERAGED {
                self.last.pop_front();
            }
            self.last.push_back(share.clamp(0.0, 1.0));
        }
        if self.last.is_empty() {
            return 0.0;
        }
        let load = self.last.iter().sum::<f32>() / self.last.len() as f32 / self.full_at;
        self.full = if self.full { load >= FREE_BELOW } else { load >= 1.0 };
        if self.full { load.max(1.0) } else { load }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn half_seconds(count: u64) -> Time {
        Time::from_nanos(count * 500_000_000)
    }

    /// What a meter makes of these shares, two a second.
    fn loads(mut meter: LoadMeter, shares: &[f32]) -> Vec<f32> {
        let measured = (0..).zip(shares).map(|(at, share)| meter.measured(Some(*share), half_seconds(at)));
        measured.map(|load| (load * 100.0).round() / 100.0).collect()
    }

    fn meter() -> LoadMeter {
        LoadMeter::default().grace(Duration::ZERO)
    }

    #[test]
    fn one_moment_is_not_a_full_worker() {
        let shares = [0.2, 0.2, 0.2, 0.2, 1.0, 0.2];
        assert!(loads(meter(), &shares).iter().all(|load| *load < 1.0));
        assert_eq!(loads(meter(), &[0.7; 3]), [1.0; 3]);
    }

    #[test]
    fn a_full_worker_is_free_again_when_it_has_some_room() {
        let shares = [0.5, 0.5, 0.5, 0.5, 0.5, 0.46, 0.46, 0.46, 0.46, 0.46, 0.4, 0.4, 0.4];
        let expected = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.87, 0.85];
        let found = loads(meter().full_at(0.5), &shares);
        assert_eq!(found[..10], expected[..10]);
        assert!(found[12] < 0.9, "{found:?}");
    }

    #[test]
    fn the_start_is_not_counted() {
        let found =
            loads(LoadMeter::default().grace(Duration::from_secs(2)), &[1.0, 1.0, 1.0, 1.0, 0.07, 0.07]);
        assert_eq!(found, [0.0, 0.0, 0.0, 0.0, 0.1, 0.1]);
    }

    #[test]
    fn what_cannot_be_measured_changes_nothing() {
        let mut meter = meter();
        assert_eq!(meter.measured(None, half_seconds(0)), 0.0);
        let load = meter.measured(Some(0.35), half_seconds(1));
        assert_eq!(meter.measured(None, half_seconds(2)), load);
    }

    #[test]
    fn counters_that_jump_are_left_out() {
        let mut used = ProcessorUse::default();
        let mut share =
            |millis: u64, at: u64| used.share(Duration::from_millis(millis), 1.0, half_seconds(at));
        assert_eq!(share(10_000, 0), None);
        assert_eq!(share(10_100, 1), Some(0.2));
        assert_eq!(share(10_100, 1), None, "no time has passed");
        assert_eq!(share(4_000, 2), None, "back");
        assert_eq!(share(10_600, 3), None, "and forth: 6.6 s in half a second");
        assert_eq!(share(10_850, 4), Some(0.5));
        assert_eq!(share(11_400, 5), Some(1.0), "a quota is exceeded for a moment");
    }

    proptest! {
        #[test]
        fn a_load_is_a_number_from_zero(
            shares in prop::collection::vec(prop::option::of(any::<f32>()), 0..50),
            full_at: f32,
        ) {
            let mut meter = meter().full_at(full_at);
            for (at, share) in (0..).zip(shares) {
                let load = meter.measured(share.filter(|share| !share.is_nan()), half_seconds(at));
                prop_assert!(load.is_finite() && load >= 0.0, "{load}");
            }
        }
    }
}
