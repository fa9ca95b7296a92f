//! The event log of a mock server: the newest events, limited by number and by size.

use std::collections::VecDeque;
use std::io;

use agent_proto::Time;

use crate::machine::{MAX_HISTORY_LEN, ServerEvent};

pub(super) struct EventLog {
    entries: VecDeque<Entry>,
    len: usize,
    most: usize,
    /// Number of entries that were dropped.
    dropped: u64,
}

struct Entry {
    at: Time,
    event: ServerEvent,
    len: usize,
}

impl EventLog {
    /// A log of at most this many events and [`MAX_HISTORY_LEN`] bytes.
    pub(super) fn new(most: usize) -> Self {
        Self { entries: VecDeque::new(), len: 0, most: most.max(1), dropped: 0 }
    }

    pub(super) fn push(&mut self, at: Time, event: ServerEvent) {
        let len = size_of::<Entry>() + written_len(&event);
        self.len += len;
        self.entries.push_back(Entry { at, event, len });
        // The newest entry is always kept, as a caller may be waiting for it.
        while self.entries.len() > self.most || (self.len > MAX_HISTORY_LEN && self.entries.len() > 1) {
            self.len -= self.entries.pop_front().map_or(0, |entry| entry.len);
            self.dropped += 1;
        }
    }

    /// The number of events so far, including the dropped ones.
    pub(super) fn count(&self) -> u64 {
        self.dropped + self.entries.len() as u64
    }

    pub(super) fn to_vec(&self) -> Vec<(Time, ServerEvent)> {
        self.entries.iter().map(|entry| (entry.at, entry.event.clone())).collect()
    }

    /// The kept events from this number on, with the number of the first.
    pub(super) fn from(&self, number: u64) -> (u64, impl Iterator<Item = &ServerEvent>) {
        let first = number.max(self.dropped);
        let skip = usize::try_from(first - self.dropped).unwrap_or(usize::MAX);
        (first, self.entries.iter().skip(skip).map(|entry| &entry.event))
    }
}

/// Approximate size of an event's texts, in bytes.
fn written_len(event: &ServerEvent) -> usize {
    struct Count(usize);

    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut count = Count(0);
    // Serialization does not fail for any event; if it did, the length would be 0.
    let _ = serde_json::to_writer(&mut count, event);
    count.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(room: &str) -> ServerEvent {
        ServerEvent::RoomClosed { room: room.to_owned() }
    }

    #[test]
    fn the_newest_events_are_kept_and_counted() {
        let mut log = EventLog::new(3);
        for n in 0..5 {
            log.push(Time::ZERO, closed(&n.to_string()));
        }
        let kept: Vec<_> = log.to_vec().into_iter().map(|(_, event)| event).collect();
        assert_eq!((kept, log.count()), (vec![closed("2"), closed("3"), closed("4")], 5));
        let (first, events) = log.from(0);
        assert_eq!((first, events.count()), (2, 3));
        let (first, mut events) = log.from(4);
        assert_eq!((first, events.next()), (4, Some(&closed("4"))));
        drop(events);
        assert_eq!(log.from(5).1.count(), 0);
    }

    #[test]
    fn large_events_make_it_fewer() {
        let mut log = EventLog::new(100_000);
        let large = closed(&"r".repeat(448 * 1024));
        for _ in 0..200 {
            log.push(Time::ZERO, large.clone());
        }
        assert!((140..=146).contains(&log.entries.len()), "{}", log.entries.len());
        assert!(log.len <= MAX_HISTORY_LEN);
        // An event larger than the limit is still kept.
        log.push(Time::ZERO, closed(&"r".repeat(MAX_HISTORY_LEN + 1)));
        assert_eq!((log.entries.len(), log.count()), (1, 201));
    }
}
