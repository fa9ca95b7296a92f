//! A bounded queue that drops its oldest entries when it is full, and reports how many.

use std::collections::VecDeque;

/// Upper bounds of what waits for a slow reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Entries.
    pub entries: usize,
    /// Bytes of all entries; a single entry may be larger.
    pub bytes: usize,
}

impl Default for QueueLimits {
    /// 1,024 entries and 4 MiB.
    fn default() -> Self {
        Self { entries: 1024, bytes: 4 * 1024 * 1024 }
    }
}

impl QueueLimits {
    /// Whether these numbers exceed the limits.
    #[must_use]
    pub const fn exceeded(self, entries: usize, bytes: usize) -> bool {
        entries > self.entries || (bytes > self.bytes && entries > 1)
    }
}

/// What an entry counts for in a [`DropOldest`] queue.
pub trait QueueEntry {
    /// The memory that others can make it take, in bytes. It must not change while the entry is queued.
    fn bytes(&self) -> usize {
        0
    }

    /// How many losses dropping it counts as: an entry that itself reports losses counts as those.
    fn losses(&self) -> u64 {
        1
    }
}

/// The next item of a [`DropOldest`] queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Popped<T> {
    /// This many were dropped, before the next entry.
    Missed(u64),
    /// The oldest entry.
    Entry(T),
}

/// A queue that drops its oldest entries when there are too many, and reports in their place how many were
/// dropped.
///
/// ```
/// use agent_proto::{DropOldest, Popped, QueueEntry, QueueLimits};
///
/// struct Line(&'static str);
///
/// impl QueueEntry for Line {
///     fn bytes(&self) -> usize {
///         self.0.len()
///     }
/// }
///
/// let limits = QueueLimits { entries: 2, bytes: 1000 };
/// let mut lines = DropOldest::default();
/// let dropped: u64 = ["one", "two", "three"].map(|line| lines.push_within(Line(line), limits)).iter().sum();
/// assert_eq!(dropped, 1);
/// assert!(matches!(lines.pop(), Some(Popped::Missed(1))));
/// assert!(matches!(lines.pop(), Some(Popped::Entry(Line("two")))));
/// ```
#[derive(Clone, Debug)]
pub struct DropOldest<T> {
    entries: VecDeque<T>,
    bytes: usize,
    missed: u64,
}

/// An empty queue with a larger capacity gets a new buffer, as there may be thousands of queues.
const KEPT_CAPACITY: usize = 64;

impl<T> Default for DropOldest<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), bytes: 0, missed: 0 }
    }
}

impl<T: QueueEntry> DropOldest<T> {
    /// Appends an entry without checking any limit.
    pub fn push(&mut self, entry: T) {
        self.bytes = self.bytes.saturating_add(entry.bytes());
        self.entries.push_back(entry);
    }

    /// Appends an entry, drops the oldest ones until the rest is within `limits`, and returns the number of
    /// losses.
    pub fn push_within(&mut self, entry: T, limits: QueueLimits) -> u64 {
        self.push(entry);
        self.shrink(limits)
    }

    /// Drops the oldest entries until the rest is within `limits`, and returns the number of losses.
    pub fn shrink(&mut self, limits: QueueLimits) -> u64 {
        let mut dropped = 0_u64;
        while limits.exceeded(self.entries.len(), self.bytes) {
            dropped = dropped.saturating_add(self.drop_oldest());
        }
        dropped
    }

    /// Drops the oldest entry, and returns the number of losses.
    pub fn drop_oldest(&mut self) -> u64 {
        let Some(entry) = self.entries.pop_front() else { return 0 };
        self.bytes = self.bytes.saturating_sub(entry.bytes());
        self.add_missed(entry.losses());
        entry.losses()
    }

    /// Takes the next item: the number of dropped entries, if it was not taken yet, or the oldest entry.
    pub fn pop(&mut self) -> Option<Popped<T>> {
        if self.missed > 0 {
            return Some(Popped::Missed(std::mem::take(&mut self.missed)));
        }
        let entry = self.entries.pop_front()?;
        self.bytes = self.bytes.saturating_sub(entry.bytes());
        if self.entries.is_empty() && self.entries.capacity() > KEPT_CAPACITY {
            self.entries = VecDeque::new();
        }
        Some(Popped::Entry(entry))
    }

    /// Lets `change` edit the entries, and recounts their bytes.
    pub fn edit(&mut self, change: impl FnOnce(&mut VecDeque<T>)) {
        change(&mut self.entries);
        self.bytes = self.entries.iter().map(QueueEntry::bytes).fold(0, usize::saturating_add);
    }
}

impl<T> DropOldest<T> {
    /// Adds losses, to be reported before the oldest entry.
    pub const fn add_missed(&mut self, missed: u64) {
        self.missed = self.missed.saturating_add(missed);
    }

    /// The losses that are to be reported before the oldest entry.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }

    /// The bytes of all entries.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of queued entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is nothing to take, not even a number of losses.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.missed == 0
    }

    /// The entries, the oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.entries.iter()
    }

    /// The entries, the oldest first; the count of losses is discarded.
    #[must_use]
    pub fn into_entries(self) -> VecDeque<T> {
        self.entries
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Its number, its bytes, and the losses that it counts as.
    #[derive(Clone, Debug, PartialEq)]
    struct Entry(u64, usize, u64);

    impl QueueEntry for Entry {
        fn bytes(&self) -> usize {
            self.1
        }

        fn losses(&self) -> u64 {
            self.2
        }
    }

    const SMALL: QueueLimits = QueueLimits { entries: 3, bytes: 100 };

    fn all(mut queue: DropOldest<Entry>) -> Vec<Popped<Entry>> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn the_oldest_are_dropped_and_counted_in_their_place() {
        let mut queue = DropOldest::default();
        let dropped: u64 = (1..=5).map(|n| queue.push_within(Entry(n, 1, n), SMALL)).sum();
        assert_eq!((dropped, queue.missed(), queue.len(), queue.bytes()), (3, 3, 3, 3));
        let rest = [3, 4, 5].map(|n| Popped::Entry(Entry(n, 1, n)));
        assert_eq!(all(queue), [vec![Popped::Missed(3)], rest.to_vec()].concat());
    }

    #[test]
    fn bytes_are_bounded_and_one_large_entry_is_kept() {
        let mut queue = DropOldest::default();
        assert_eq!(queue.push_within(Entry(1, 60, 1), SMALL), 0);
        assert_eq!(queue.push_within(Entry(2, 40, 1), SMALL), 0);
        assert_eq!(queue.push_within(Entry(3, 1, 1), SMALL), 1);
        assert_eq!(queue.push_within(Entry(4, 1000, 1), SMALL), 2);
        assert_eq!((queue.len(), queue.bytes()), (1, 1000));
        assert_eq!(queue.push_within(Entry(5, 1, 1), SMALL), 1);
        assert_eq!((queue.len(), queue.bytes()), (1, 1));
    }

    #[test]
    fn losses_alone_can_be_read() {
        let mut queue = DropOldest::<Entry>::default();
        assert!(queue.is_empty() && queue.pop().is_none() && queue.drop_oldest() == 0);
        queue.add_missed(2);
        assert_eq!((queue.is_empty(), queue.len()), (false, 0));
        assert_eq!(all(queue), [Popped::Missed(2)]);
    }

    #[test]
    fn after_a_burst_the_memory_is_released() {
        let mut queue = DropOldest::default();
        for n in 0..1000 {
            queue.push_within(Entry(n, 1, 1), QueueLimits::default());
        }
        while queue.pop().is_some() {}
        assert_eq!(queue.entries.capacity(), 0);
    }

    proptest! {
        /// After any pushes and pops each entry was read or counted as missed, the bounds hold, and `bytes`
        /// is the sum over the entries.
        #[test]
        fn each_is_read_or_missed(ops in prop::collection::vec(prop::option::weighted(0.6, 0_usize..60), 0..200)) {
            let mut queue = DropOldest::default();
            let (mut pushed, mut read, mut missed) = (0_u64, Vec::new(), 0);
            for op in ops {
                match op {
                    Some(bytes) => {
                        pushed += 1;
                        queue.push_within(Entry(pushed, bytes, 1), SMALL);
                    }
                    None => match queue.pop() {
                        Some(Popped::Missed(lost)) => missed += lost,
                        Some(Popped::Entry(Entry(n, ..))) => read.push(n),
                        None => {}
                    },
                }
                prop_assert!(!SMALL.exceeded(queue.len(), queue.bytes()));
                prop_assert_eq!(queue.bytes(), queue.entries().map(QueueEntry::bytes).sum::<usize>());
                prop_assert_eq!(missed + queue.missed() + read.len() as u64 + queue.len() as u64, pushed);
                prop_assert!(read.is_sorted());
            }
        }
    }
}
