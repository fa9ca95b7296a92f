//! The newest of what happened in open and closed rooms, for tests; limited, so that a server can run for
//! weeks.

use std::collections::{BTreeMap, VecDeque};

/// Size limit of each kind of history (events, data messages, streams, calls, finished jobs), in bytes.
pub const MAX_HISTORY_LEN: usize = 64 * 1024 * 1024;

/// An entry of a history.
pub(super) trait Entry: Clone {
    /// The memory of its texts and contents, in bytes.
    fn len(&self) -> usize;
}

/// Entries of one kind, of all rooms.
pub(super) struct History<E> {
    /// Keyed by room name. No queue is empty.
    rooms: BTreeMap<String, VecDeque<E>>,
    /// The room of each entry, oldest first.
    order: VecDeque<String>,
    bytes: usize,
    most: usize,
}

impl<E: Entry> History<E> {
    /// A history of at most this many entries and [`MAX_HISTORY_LEN`] bytes. The newest entry is always kept.
    pub(super) fn new(most: usize) -> Self {
        Self { rooms: BTreeMap::new(), order: VecDeque::new(), bytes: 0, most: most.max(1) }
    }

    pub(super) fn push(&mut self, room: &str, entry: E) {
        self.bytes += entry.len() + room.len();
        self.rooms.entry(room.to_owned()).or_default().push_back(entry);
        self.order.push_back(room.to_owned());
        while self.order.len() > self.most || (self.bytes > MAX_HISTORY_LEN && self.order.len() > 1) {
            self.drop_oldest();
        }
    }

    /// The entries of a room, oldest first.
    pub(super) fn in_room(&self, room: &str) -> Vec<E> {
        self.rooms.get(room).into_iter().flatten().cloned().collect()
    }

    fn drop_oldest(&mut self) {
        let Some(room) = self.order.pop_front() else { return };
        let Some(kept) = self.rooms.get_mut(&room) else { return };
        self.bytes -= kept.pop_front().map_or(0, |entry| entry.len() + room.len());
        if kept.is_empty() {
            self.rooms.remove(&room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone)]
    struct Sent(&'static str, usize);

    impl Entry for Sent {
        fn len(&self) -> usize {
            self.1
        }
    }

    fn names(history: &History<Sent>, room: &str) -> Vec<&'static str> {
        history.in_room(room).into_iter().map(|Sent(name, _)| name).collect()
    }

    #[test]
    fn the_newest_entries_of_all_rooms_are_kept() {
        let mut history = History::new(3);
        for (room, name) in [("a", "1"), ("b", "2"), ("a", "3"), ("a", "4")] {
            history.push(room, Sent(name, 11));
        }
        assert_eq!((names(&history, "a"), names(&history, "b")), (vec!["3", "4"], vec!["2"]));
        history.push("a", Sent("5", 11));
        assert_eq!(names(&history, "b"), [""; 0]);
        assert_eq!((history.rooms.len(), history.order.len(), history.bytes), (1, 3, 36));
    }

    #[test]
    fn large_entries_make_it_fewer() {
        let mut history = History::new(1_000_000);
        for n in 1000..3000 {
            history.push(&format!("room-{n}"), Sent("", 64_000));
        }
        let each = 64_000 + "room-1000".len();
        assert_eq!(history.order.len(), MAX_HISTORY_LEN / each);
        assert_eq!((history.rooms.len(), history.bytes), (history.order.len(), history.order.len() * each));
        assert!(names(&history, "room-1000").is_empty() && !names(&history, "room-2999").is_empty());
        history.push("large", Sent("larger than the limit", MAX_HISTORY_LEN + 1));
        assert_eq!((history.rooms.len(), names(&history, "large").len()), (1, 1));
    }
}
