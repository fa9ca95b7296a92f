//! Exponential backoff with jitter.

use std::time::Duration;

/// The longest time that a server may ask for with `Retry-After`; a longer one counts as this.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Exponential backoff with full jitter: a wait is drawn evenly from zero to a limit that doubles with each
/// failure.
///
/// Full jitter keeps a thousand workers from reconnecting at the same moment. The lower bound `floor`
/// protects a server that accepts and closes at once, even when the drawn wait is zero.
///
/// ```
/// use agent_core::Backoff;
/// use std::time::Duration;
///
/// let mut backoff = Backoff::default();
/// let mut rng = fastrand::Rng::with_seed(7);
/// assert!(backoff.next(&mut rng) <= Duration::from_millis(600));
/// assert!(backoff.next(&mut rng) <= Duration::from_millis(1100));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Backoff {
    /// Added to each wait.
    pub floor: Duration,
    /// Upper bound of the jittered part of the first wait.
    pub base: Duration,
    /// Upper bound of the jittered part of any wait.
    pub cap: Duration,
    failures: u32,
}

impl Default for Backoff {
    /// 100 ms, plus up to 0.5 s at first and up to 10 s at last.
    fn default() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(10))
    }
}

impl Backoff {
    /// A backoff that has seen no failure.
    #[must_use]
    pub const fn new(floor: Duration, base: Duration, cap: Duration) -> Self {
        Self { floor, base, cap, failures: 0 }
    }

    /// Failures since the last [`reset`](Self::reset).
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Counts one more failure and returns the wait before the next attempt.
    pub fn next(&mut self, rng: &mut fastrand::Rng) -> Duration {
        let jitter = full_jitter(self.base, self.cap, self.failures, rng);
        self.failures = self.failures.saturating_add(1);
        self.floor.saturating_add(jitter)
    }

    /// Forgets the failures.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Draws evenly from zero to a limit that begins with `base`, doubles with each failure, and ends with `cap`.
pub(crate) fn full_jitter(base: Duration, cap: Duration, failures: u32, rng: &mut fastrand::Rng) -> Duration {
    up_to(base.saturating_mul(1 << failures.min(20)).min(cap), rng)
}

/// Draws evenly from zero to this limit.
pub(crate) fn up_to(limit: Duration, rng: &mut fastrand::Rng) -> Duration {
    Duration::from_nanos(rng.u64(0..=u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_wait_is_within_its_bounds(seed: u64, base in 0u64..5_000, cap in 0u64..60_000, tries in 1usize..80) {
            let floor = Duration::from_millis(100);
            let mut backoff = Backoff::new(floor, Duration::from_millis(base), Duration::from_millis(cap));
            let mut rng = fastrand::Rng::with_seed(seed);
            for n in 0..tries {
                let limit = Duration::from_millis(base).saturating_mul(1 << n.min(20)).min(Duration::from_millis(cap));
                let wait = backoff.next(&mut rng);
                prop_assert!(wait >= floor && wait <= floor + limit, "try {} waits {:?}, limit {:?}", n, wait, limit);
            }
        }
    }
}
