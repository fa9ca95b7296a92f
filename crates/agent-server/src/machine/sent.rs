//! The newest messages of open and closed rooms, for tests; limited, so that a server can run for weeks.

use std::collections::{BTreeMap, VecDeque};

use agent_proto::Time;
use agent_room::Publish;

/// Size limit of each kind of history (events, data messages, finished jobs), in bytes.
pub const MAX_HISTORY_LEN: usize = 64 * 1024 * 1024;

/// A data message that was sent in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Time since the server was created.
    pub at: Time,
    /// The sender's identity; `None`: the server's API.
    pub sender: Option<String>,
    /// The message.
    pub message: Publish,
}

pub(super) struct SentLog {
    /// Keyed by room name. No queue is empty.
    rooms: BTreeMap<String, VecDeque<Sent>>,
    /// The room of each message, in the order of sending.
    order: VecDeque<String>,
    bytes: usize,
    most: usize,
}

impl SentLog {
    /// A log of at most this many messages and [`MAX_HISTORY_LEN`] bytes.
    pub(super) fn new(most: usize) -> Self {
        Self { rooms: BTreeMap::new(), order: VecDeque::new(), bytes: 0, most }
    }

    pub(super) fn push(&mut self, room: &str, sent: Sent) {
        self.bytes += sent.len() + room.len();
        self.rooms.entry(room.to_owned()).or_default().push_back(sent);
        self.order.push_back(room.to_owned());
        while self.order.len() > self.most || self.bytes > MAX_HISTORY_LEN {
            self.drop_oldest();
        }
    }

    /// The messages of a room, oldest first.
    pub(super) fn in_room(&self, room: &str) -> Vec<Sent> {
        self.rooms.get(room).into_iter().flatten().cloned().collect()
    }

    fn drop_oldest(&mut self) {
        let Some(room) = self.order.pop_front() else { return };
        let Some(kept) = self.rooms.get_mut(&room) else { return };
        self.bytes -= kept.pop_front().map_or(0, |sent| sent.len() + room.len());
        if kept.is_empty() {
            self.rooms.remove(&room);
        }
    }
}

impl Sent {
    fn len(&self) -> usize {
        let to: usize = self.message.destinations.iter().map(String::len).sum();
        self.message.payload.len() + self.message.topic.len() + to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(topic: &str, len: usize) -> Sent {
        Sent { at: Time::ZERO, sender: None, message: Publish::new(topic, vec![0; len]) }
    }

    fn topics(log: &SentLog, room: &str) -> Vec<String> {
        log.in_room(room).into_iter().map(|sent| sent.message.topic).collect()
    }

    #[test]
    fn the_newest_messages_of_all_rooms_are_kept() {
        let mut log = SentLog::new(3);
        for (room, topic) in [("a", "1"), ("b", "2"), ("a", "3"), ("a", "4")] {
            log.push(room, sent(topic, 10));
        }
        assert_eq!((topics(&log, "a"), topics(&log, "b")), (vec!["3".into(), "4".into()], vec!["2".into()]));
        log.push("a", sent("5", 10));
        assert_eq!(topics(&log, "b"), [""; 0]);
        assert_eq!((log.rooms.len(), log.order.len(), log.bytes), (1, 3, 36));
    }

    #[test]
    fn large_messages_make_it_fewer() {
        let mut log = SentLog::new(1_000_000);
        for n in 1000..3000 {
            log.push(&format!("room-{n}"), sent("", 64_000));
        }
        let each = 64_000 + "room-1000".len();
        assert_eq!(log.order.len(), MAX_HISTORY_LEN / each);
        assert_eq!((log.rooms.len(), log.bytes), (log.order.len(), log.order.len() * each));
        assert!(topics(&log, "room-1000").is_empty() && !topics(&log, "room-2999").is_empty());
    }
}
