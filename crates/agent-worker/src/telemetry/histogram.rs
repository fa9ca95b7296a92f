//! A histogram of times, with the buckets that the exporter has.

use std::time::Duration;

/// The upper bounds of the buckets in seconds: from the time of an answer to that of a job that lasts hours.
pub(crate) const SECONDS: [f64; 19] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0,
    3600.0, 14400.0,
];

/// How many times fell into each bucket.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TimeHistogram {
    /// One for each bound, and one for longer times.
    pub(crate) counts: [u64; SECONDS.len() + 1],
    /// In seconds.
    pub(crate) sum: f64,
}

impl TimeHistogram {
    pub(super) fn record(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = SECONDS.iter().take_while(|bound| **bound < seconds).count();
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
            self.sum += seconds;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_in_one_bucket() {
        let mut histogram = TimeHistogram::default();
        for millis in [0, 1, 2, 250, 251, 100_000_000] {
            histogram.record(Duration::from_millis(millis));
        }
        let filled: Vec<_> = histogram.counts.iter().enumerate().filter(|(_, count)| **count > 0).collect();
        assert_eq!(filled, [(0, &2), (1, &1), (7, &1), (8, &1), (19, &1)], "a bound is in its bucket");
        assert!((histogram.sum - 100_000.504).abs() < 1e-6, "{}", histogram.sum);
    }
}
