//! Retry policy of failed attempts.

use std::time::Duration;

use crate::backoff::full_jitter;
use crate::error_kind::JobErrorKind;

/// How often a job is retried after an error of the kind [`Retryable`](JobErrorKind::Retryable), and after
/// which waits.
///
/// The next attempt runs on the same worker, in the same assignment: the job keeps its slot and stays in its
/// room. Every other kind of error ends the job at once: an invalid input, a fatal error, a cancellation, a
/// timeout or a panic would recur. There is no retry while the worker drains, or after the job was cancelled
/// or has lost its room.
///
/// Data that is sent to the agent meanwhile is not lost: what the last attempt did not read, and what arrives
/// during the wait, is at the beginning of the next attempt's streams, up to their limits; the losses are
/// reported there. What the last attempt had read is not delivered again.
///
/// The wait before attempt n + 1 is the backoff: drawn evenly from zero to a limit that is `base` at first,
/// doubles with each attempt, and never exceeds `cap`. It is the whole wait, unless the error asks for one
/// (`after` of [`JobError::retryable`](crate::JobError)), which is added. So no job is retried earlier than
/// its error asked for, and a thousand jobs that failed together are not retried together.
///
/// Defaults: 3 attempts in all, `base` 1 s, `cap` 60 s, an error may ask for up to 1 h, and no budget.
///
/// ```
/// use agent_core::{JobErrorKind, RetryPolicy};
/// use std::time::Duration;
///
/// let policy = RetryPolicy::attempts(5).backoff(Duration::from_secs(2), Duration::from_secs(30));
/// let kind = JobErrorKind::Retryable { after: Duration::from_secs(5) };
/// let mut rng = fastrand::Rng::with_seed(7);
///
/// let wait = policy.wait(1, &kind, Duration::ZERO, &mut rng).unwrap();
/// assert!(wait >= Duration::from_secs(5) && wait <= Duration::from_secs(7));
/// assert_eq!(policy.wait(5, &kind, Duration::ZERO, &mut rng), None, "that was the last one");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RetryPolicy {
    pub(crate) attempts: u32,
    base: Duration,
    cap: Duration,
    retry_after_limit: Duration,
    budget: Option<Duration>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::attempts(3)
    }
}

impl RetryPolicy {
    /// At most this many attempts, including the first: 1 means no retry.
    #[must_use]
    pub const fn attempts(attempts: u32) -> Self {
        Self {
            attempts,
            base: Duration::from_secs(1),
            cap: Duration::from_secs(60),
            retry_after_limit: Duration::from_secs(3600),
            budget: None,
        }
    }

    /// A single attempt: any error ends the job.
    #[must_use]
    pub const fn never() -> Self {
        Self::attempts(1)
    }

    /// The random part of the waits: up to `base` before the second attempt, doubling with each one, up to
    /// `cap` before any.
    #[must_use]
    pub const fn backoff(mut self, base: Duration, cap: Duration) -> Self {
        self.base = base;
        self.cap = cap;
        self
    }

    /// The longest wait that an error may ask for. One that asks for more ends the job, as an earlier retry
    /// would fail.
    #[must_use]
    pub const fn retry_after_limit(mut self, limit: Duration) -> Self {
        self.retry_after_limit = limit;
        self
    }

    /// The time after the assignment in which an attempt may begin.
    #[must_use]
    pub const fn budget(mut self, budget: Duration) -> Self {
        self.budget = Some(budget);
        self
    }

    /// How long to wait before the next attempt, when `attempts` were made, the last one failed with `kind`,
    /// and `spent` has passed since the assignment; `None`: no further attempt.
    #[must_use]
    pub fn wait(
        &self,
        attempts: u32,
        kind: &JobErrorKind,
        spent: Duration,
        rng: &mut fastrand::Rng,
    ) -> Option<Duration> {
        let JobErrorKind::Retryable { after } = kind else { return None };
        if attempts >= self.attempts || *after > self.retry_after_limit {
            return None;
        }
        let jitter = full_jitter(self.base, self.cap, attempts.saturating_sub(1), rng);
        let wait = after.saturating_add(jitter);
        let begins = spent.saturating_add(wait);
        self.budget.is_none_or(|budget| begins <= budget).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;

    fn retryable(after: Duration) -> JobErrorKind {
        JobErrorKind::Retryable { after }
    }

    #[test]
    fn only_temporary_errors_are_retried() {
        let policy = RetryPolicy::attempts(9);
        let invalid = JobErrorKind::Invalid {
            field: "language".into(),
            value: "xx".into(),
            message: "no such language".into(),
        };
        for kind in [
            JobErrorKind::Cancelled,
            JobErrorKind::Fatal { reason: Cow::Borrowed("unknown_error") },
            invalid,
            JobErrorKind::Panicked,
            JobErrorKind::TimedOut,
        ] {
            let mut rng = fastrand::Rng::with_seed(1);
            assert_eq!(policy.wait(1, &kind, Duration::ZERO, &mut rng), None, "{kind:?}");
        }
        let mut rng = fastrand::Rng::with_seed(1);
        assert!(policy.wait(1, &retryable(Duration::ZERO), Duration::ZERO, &mut rng).is_some());
        assert!(RetryPolicy::never().wait(1, &retryable(Duration::ZERO), Duration::ZERO, &mut rng).is_none());
    }

    /// The total wait: nothing is added that neither the policy nor the error asked for.
    #[test]
    fn the_backoff_is_the_whole_wait_unless_the_error_asks_for_one() {
        let policy = RetryPolicy::attempts(5).backoff(Duration::from_millis(100), Duration::from_secs(1));
        let total = |after: Duration, seed: u64| -> Duration {
            let mut rng = fastrand::Rng::with_seed(seed);
            (1..5).filter_map(|made| policy.wait(made, &retryable(after), Duration::ZERO, &mut rng)).sum()
        };
        // 100 + 200 + 400 + 800 ms at most.
        let longest = Duration::from_millis(1500);
        let asked = Duration::from_secs(3);
        for seed in 0..500 {
            assert!(total(Duration::ZERO, seed) <= longest, "{:?}", total(Duration::ZERO, seed));
            assert_eq!(total(asked, seed), total(Duration::ZERO, seed) + asked * 4, "after is added to each");
        }
        let network = crate::classify(&std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        assert_eq!(network, retryable(Duration::ZERO));
    }

    #[test]
    fn the_default_makes_three_attempts() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut wait = |attempts| {
            RetryPolicy::default().wait(attempts, &retryable(Duration::ZERO), Duration::ZERO, &mut rng)
        };
        assert!(wait(1).is_some() && wait(2).is_some() && wait(3).is_none());
    }

    fn millis(upto: u64) -> impl Strategy<Value = Duration> {
        prop_oneof![9 => (0..upto).prop_map(Duration::from_millis), 1 => Just(Duration::MAX)]
    }

    proptest! {
        /// For any policy and any error: never sooner than asked for, never more attempts than allowed, never
        /// over the budget.
        #[test]
        fn a_schedule_stays_within_its_bounds(
            seed: u64,
            most in 0u32..60,
            base in millis(10_000),
            cap in millis(100_000),
            limit in millis(100_000),
            budget in proptest::option::of(millis(300_000)),
            errors in proptest::collection::vec((millis(120_000), 0u64..20_000), 1..80),
        ) {
            let mut policy = RetryPolicy::attempts(most).backoff(base, cap).retry_after_limit(limit);
            policy.budget = budget;
            let mut rng = fastrand::Rng::with_seed(seed);
            let (mut spent, mut attempts) = (Duration::ZERO, 1);
            for (after, took) in errors {
                spent = spent.saturating_add(Duration::from_millis(took));
                let Some(wait) = policy.wait(attempts, &retryable(after), spent, &mut rng) else {
                    // It gives up only at one of its limits.
                    let jitter = base.saturating_mul(1 << (attempts - 1).min(20)).min(cap);
                    let latest = spent.saturating_add(after).saturating_add(jitter);
                    prop_assert!(attempts >= most || after > limit || budget.is_some_and(|budget| latest > budget));
                    break;
                };
                let jitter = base.saturating_mul(1 << (attempts - 1).min(20)).min(cap);
                prop_assert!(wait >= after && wait <= after.saturating_add(jitter), "{wait:?} after {attempts}");
                prop_assert!(after <= limit);
                spent = spent.saturating_add(wait);
                attempts += 1;
                prop_assert!(attempts <= most, "attempt {attempts} of {most}");
                prop_assert!(budget.is_none_or(|budget| spent <= budget), "attempt {attempts} begins after {spent:?}");
            }
        }
    }
}
