//! The fastest packets of the last two seconds, with which the others are compared.

/// Width of a bucket, in nanoseconds.
const BUCKET: u64 = 250_000_000;

/// Two seconds: long enough to have a packet that was not delayed, short enough to follow a sender whose
/// clock is 0.05 % slow within 1 ms.
const BUCKETS: usize = 8;

/// The minimum of a value over the last two seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Floor {
    /// The minimum of each 250 ms; `newest` modulo their number is the newest.
    minima: [Option<i64>; BUCKETS],
    newest: u64,
}

impl Floor {
    /// Adds a value. An earlier time than before counts as the newest.
    pub(super) fn add(&mut self, nanos: u64, value: i64) {
        let bucket = nanos / BUCKET;
        let passed = bucket.saturating_sub(self.newest).min(BUCKETS as u64);
        for expired in 0..passed {
            if let Some(minimum) = self.slot(bucket.wrapping_sub(expired)) {
                *minimum = None;
            }
        }
        self.newest = self.newest.max(bucket);
        if let Some(minimum) = self.slot(self.newest) {
            *minimum = Some(minimum.map_or(value, |known| known.min(value)));
        }
    }

    /// `None` until a value was added.
    pub(super) fn get(&self) -> Option<i64> {
        self.minima.iter().flatten().min().copied()
    }

    fn slot(&mut self, bucket: u64) -> Option<&mut Option<i64>> {
        let at = usize::try_from(bucket % BUCKETS as u64).ok()?;
        self.minima.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minimum_of_two_seconds() {
        let mut floor = Floor::default();
        assert_eq!(floor.get(), None);
        for (millis, value, expected) in [
            (10_000, 7, 7),
            (10_100, 9, 7),
            (10_300, 8, 7),
            (9_000, 6, 6),
            (12_200, 9, 6),
            (12_300, 9, 9),
            (60_000, 20, 20),
        ] {
            floor.add(millis * 1_000_000, value);
            assert_eq!(floor.get(), Some(expected), "{millis} ms");
        }
    }
}
