//! How often packets were delayed by how much, with older ones counting less.

/// Number of bins.
pub(super) const BINS: usize = 256;

/// What remains of a weight after each packet: after 500 packets, 10 s of 20 ms each, a third.
const MEMORY: f32 = 0.998;

/// A distribution over bins; its weights sum up to one.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    weights: Box<[f32]>,
    count: u16,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { weights: vec![0.0; BINS].into_boxed_slice(), count: 0 }
    }
}

impl Histogram {
    /// Adds a value; the last bin also has all above it.
    pub(super) fn add(&mut self, bin: usize) {
        self.count = self.count.saturating_add(1);
        // The first ones count alike.
        let kept = MEMORY.min(1.0 - 1.0 / f32::from(self.count));
        for weight in &mut self.weights {
            *weight *= kept;
        }
        if let Some(weight) = self.weights.get_mut(bin.min(BINS - 1)) {
            *weight += 1.0 - kept;
        }
    }

    /// The smallest number of bins, from the first one, without more than this share of the values above
    /// them.
    pub(super) fn bins_below(&self, share_above: f32) -> usize {
        let mut above = 0.0;
        let found = self.weights.iter().enumerate().rev().find(|(_, weight)| {
            above += **weight;
            above > share_above
        });
        found.map_or(0, |(bin, _)| bin + 1)
    }

    /// Moves the values of at least this number of bins down by it: they become the lowest ones.
    pub(super) fn lower_highest(&mut self, bins: i64) {
        let from = usize::try_from(bins).unwrap_or(0).min(BINS - 1);
        let highest: Vec<f32> = self.weights.iter_mut().skip(from).map(std::mem::take).collect();
        for (weight, moved) in self.weights.iter_mut().zip(highest) {
            *weight += moved;
        }
    }

    /// Moves all values down by a number of bins, or up if it is negative. Those that would leave the range
    /// are in the first or last bin then.
    pub(super) fn lower(&mut self, bins: i64) {
        let distance = usize::try_from(bins.unsigned_abs()).unwrap_or(BINS).min(BINS);
        let (edge, freed) = match bins >= 0 {
            true => {
                self.weights.rotate_left(distance);
                (0, BINS - distance..BINS)
            }
            false => {
                self.weights.rotate_right(distance);
                (BINS - 1, 0..distance)
            }
        };
        let mut left = 0.0;
        for weight in self.weights.get_mut(freed).unwrap_or_default() {
            left += std::mem::take(weight);
        }
        if let Some(weight) = self.weights.get_mut(edge) {
            *weight += left;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.bins_below(0.03), 0);
        for value in 0..100 {
            histogram.add(value);
        }
        assert_eq!((histogram.bins_below(0.035), histogram.bins_below(0.105)), (97, 90));
        histogram.add(10_000);
        assert_eq!(histogram.bins_below(0.0), BINS);
    }

    #[test]
    fn older_values_count_less() {
        let mut histogram = Histogram::default();
        (0..1_000).for_each(|_| histogram.add(50));
        for (more, expected) in [(10, 51), (1_000, 51), (1_000, 1)] {
            (0..more).for_each(|_| histogram.add(0));
            assert_eq!(histogram.bins_below(0.03), expected);
        }
    }

    #[test]
    fn the_highest_values_move() {
        for (bins, expected) in [(150, 51), (200, 11), (201, 201), (0, 201), (-1, 201), (i64::MAX, 201)] {
            let mut histogram = Histogram::default();
            (0..10).for_each(|_| histogram.add(10));
            histogram.add(200);
            histogram.lower_highest(bins);
            assert_eq!(histogram.bins_below(0.03), expected, "{bins}");
        }
    }

    #[test]
    fn values_move() {
        let mut histogram = Histogram::default();
        histogram.add(10);
        for (bins, expected) in [(4, 7), (-4, 11), (100, 1), (-3, 4), (i64::MIN, BINS), (i64::MAX, 1)] {
            histogram.lower(bins);
            assert_eq!(histogram.bins_below(0.03), expected, "{bins}");
        }
    }
}
