//! The positions in a file at which players can begin, by time.

/// Maximum number of entries: one each 2 s of an hour.
const MAX_ENTRIES: usize = 2_048;

/// An entry: from this time on, in units of the file, a player can begin at this byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeekPoint {
    pub(super) time: u64,
    pub(super) offset: u64,
}

/// The index of a file. As a file grows, its entries become sparser.
#[derive(Debug, Default)]
pub(super) struct SeekIndex {
    points: Vec<SeekPoint>,
    /// The least time between two entries.
    interval: u64,
}

impl SeekIndex {
    pub(super) fn add(&mut self, point: SeekPoint) {
        let follows = |last: &SeekPoint| point.time >= last.time.saturating_add(self.interval.max(1));
        if !self.points.last().is_none_or(follows) {
            return;
        }
        if self.points.len() >= MAX_ENTRIES {
            let mut is_kept = false;
            self.points.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
            let span = self.points.last().map_or(0, |last| last.time);
            self.interval = self.interval.max(2 * span / MAX_ENTRIES as u64);
        }
        self.points.push(point);
    }

    pub(super) fn points(&self) -> &[SeekPoint] {
        &self.points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_become_sparser() {
        let mut index = SeekIndex::default();
        for second in 0..100_000 {
            index.add(SeekPoint { time: second, offset: second * 10 });
        }
        let times: Vec<u64> = index.points().iter().map(|point| point.time).collect();
        assert!((500..=MAX_ENTRIES).contains(&times.len()), "{}", times.len());
        let most = times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        assert!(most <= 200 && times[0] == 0 && *times.last().unwrap() > 99_700, "{most} {times:?}");
    }

    #[test]
    fn times_only_advance() {
        let mut index = SeekIndex::default();
        for time in [5, 5, 3, 6, u64::MAX, 7] {
            index.add(SeekPoint { time, offset: time });
        }
        let times: Vec<u64> = index.points().iter().map(|point| point.time).collect();
        assert_eq!(times, [5, 6, u64::MAX]);
    }
}
