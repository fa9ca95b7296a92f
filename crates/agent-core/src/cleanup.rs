//! Sharing of the cleanup time among the callbacks.

use std::time::Duration;

/// The time limit of the next callback when `left` remains for this many `callbacks`, itself included: an
/// equal share, and at most `limit`.
///
/// Time that a callback does not use goes to the others, and none can use up the time of all.
///
/// ```
/// use agent_core::callback_time;
/// use std::time::Duration;
///
/// let seconds = Duration::from_secs;
/// assert_eq!(callback_time(None, seconds(9), 3), seconds(3)); // it hangs …
/// assert_eq!(callback_time(None, seconds(6), 2), seconds(3)); // … this one is done at once …
/// assert_eq!(callback_time(None, seconds(6), 1), seconds(6)); // … and the last one has all that is left
/// assert_eq!(callback_time(Some(seconds(2)), seconds(6), 1), seconds(2));
/// ```
#[must_use]
pub fn callback_time(limit: Option<Duration>, left: Duration, callbacks: usize) -> Duration {
    let share = left / u32::try_from(callbacks.max(1)).unwrap_or(u32::MAX);
    limit.map_or(share, |limit| limit.min(share))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_table() {
        let millis = Duration::from_millis;
        for (limit, left, callbacks, expected) in [
            (None, 10_000, 1, 10_000_u64),
            (None, 10_000, 3, 3_333),
            (None, 10_000, 0, 10_000),
            (None, 0, 5, 0),
            (Some(3_000), 10_000, 1, 3_000),
            (Some(3_000), 10_000, 4, 2_500),
            (Some(60_000), 10_000, 2, 5_000),
        ] {
            let time = callback_time(limit.map(millis), millis(left), callbacks);
            assert_eq!(time.as_millis(), u128::from(expected), "{limit:?} {left} {callbacks}");
        }
        assert_eq!(callback_time(None, Duration::MAX, usize::MAX), Duration::MAX / u32::MAX);
    }

    proptest! {
        /// However long each callback takes: all get some time, and together they stay within the whole.
        #[test]
        fn every_callback_gets_its_turn(
            whole in 1u64..100_000,
            limit in proptest::option::of(1u64..20_000),
            takes in proptest::collection::vec(0u32..=100, 1..50),
        ) {
            let whole = Duration::from_millis(whole);
            let limit = limit.map(Duration::from_millis);
            let mut left = whole;
            for (done, percent) in takes.iter().enumerate() {
                let time = callback_time(limit, left, takes.len() - done);
                prop_assert!(!time.is_zero() && time <= left, "{time:?} of {left:?}");
                prop_assert!(limit.is_none_or(|limit| time <= limit));
                left -= time * *percent / 100;
            }
        }
    }
}
