//! Messages queued for a stream of their topic.

use std::collections::{BTreeMap, VecDeque};

use agent_proto::QueueLimits;

use super::queue::{Entry, Queue};
use crate::RoomEvent;

/// Maximum number of gaps that are kept apart.
const MAX_GAPS: usize = 16;

/// Limited like one queue. Beyond the limits the oldest message of the largest topic is dropped: a flooded
/// topic does not displace the messages of others.
#[derive(Debug)]
pub(super) struct Waiting {
    limits: QueueLimits,
    topics: BTreeMap<String, Topic>,
    /// Gaps that may concern any topic.
    gaps: VecDeque<Entry>,
    events: usize,
    bytes: usize,
    /// Size of the topic names, in bytes.
    names: usize,
    /// Number of missed messages of topics that are no longer in the table.
    forgotten: u64,
}

#[derive(Debug, Default)]
struct Topic {
    queue: Queue,
    /// The last event up to which its streams have received everything.
    seen: u64,
}

impl Waiting {
    pub(super) const fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            topics: BTreeMap::new(),
            gaps: VecDeque::new(),
            events: 0,
            bytes: 0,
            names: 0,
            forgotten: 0,
        }
    }

    pub(super) fn push(&mut self, entry: Entry) {
        let RoomEvent::DataReceived(message) = &entry.event else { return };
        self.events += 1;
        self.bytes += entry.bytes;
        match self.topics.get_mut(&message.topic) {
            Some(topic) => topic.queue.push(entry),
            None => {
                let mut topic = Topic::default();
                let name = message.topic.clone();
                topic.queue.push(entry);
                // It may have been in the table before.
                topic.queue.add_missed(self.forgotten);
                self.names += name.len();
                self.topics.insert(name, topic);
            }
        }
        self.shrink();
    }

    pub(super) fn gap(&mut self, mut entry: Entry) {
        if self.gaps.len() >= MAX_GAPS {
            // One gap of unknown size replaces both.
            self.gaps.pop_back();
            entry = Entry::new(entry.seq, RoomEvent::Reconnected(Box::default()));
        }
        self.gaps.push_back(entry);
    }

    /// Removes the messages queued for a stream of this topic, which has received everything up to `seen` if
    /// it is not in the table.
    pub(super) fn take(&mut self, name: &str, seen: u64) -> Queue {
        let Topic { mut queue, seen } = self.remove(name).unwrap_or_else(|| {
            let mut topic = Topic { seen, ..Topic::default() };
            if seen == 0 {
                topic.queue.add_missed(self.forgotten);
            }
            topic
        });
        self.events = self.events.saturating_sub(queue.len());
        self.bytes = self.bytes.saturating_sub(queue.bytes());
        queue.merge(self.gaps_after(seen), self.limits);
        queue
    }

    /// The messages queued for any topic.
    pub(super) fn copy_all(&self) -> Queue {
        let mut all = self.gaps_after(0);
        all.add_missed(self.forgotten + self.topics.values().map(|topic| topic.queue.missed()).sum::<u64>());
        let mut messages = Queue::default();
        self.topics.values().flat_map(|topic| topic.queue.entries()).cloned().for_each(|e| messages.push(e));
        all.merge(messages, self.limits);
        all
    }

    /// Queues the messages that a stream has not read; everything up to `seen` is among them, or was read.
    pub(super) fn give_back(&mut self, name: String, queue: Queue, seen: u64) {
        if !self.topics.contains_key(&name) {
            self.names += name.len();
        }
        let topic = self.topics.entry(name).or_default();
        topic.seen = seen;
        self.events = self.events.saturating_sub(topic.queue.len());
        self.bytes = self.bytes.saturating_sub(topic.queue.bytes());
        topic.queue.merge(queue, self.limits);
        self.events += topic.queue.len();
        self.bytes += topic.queue.bytes();
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.limits.exceeded(self.events, self.bytes) {
            let by_bytes = self.bytes > self.limits.bytes;
            let size = |topic: &&mut Topic| if by_bytes { topic.queue.bytes() } else { topic.queue.len() };
            let Some(topic) = self.topics.values_mut().max_by_key(size) else { return };
            let (events, bytes) = (topic.queue.len(), topic.queue.bytes());
            let dropped = topic.queue.drop_oldest();
            topic.queue.unreported += dropped;
            self.events -= events - topic.queue.len();
            self.bytes -= bytes - topic.queue.bytes();
            if events == topic.queue.len() {
                return;
            }
        }
        // A topic without messages only remembers.
        while self.topics.len() > self.limits.entries || self.names > self.limits.bytes {
            let empty = self.topics.iter().find(|(_, topic)| topic.queue.entries().next().is_none());
            let Some(topic) = empty.map(|(name, _)| name.clone()).and_then(|name| self.remove(&name)) else {
                return;
            };
            self.forgotten = self.forgotten.saturating_add(topic.queue.missed());
        }
    }

    fn remove(&mut self, name: &str) -> Option<Topic> {
        let topic = self.topics.remove(name)?;
        self.names = self.names.saturating_sub(name.len());
        Some(topic)
    }

    #[cfg(test)]
    pub(super) fn topics(&self) -> (usize, usize) {
        assert_eq!(self.names, self.topics.keys().map(String::len).sum::<usize>());
        assert_eq!(self.bytes, self.topics.values().map(|topic| topic.queue.bytes()).sum::<usize>());
        assert_eq!(self.events, self.topics.values().map(|topic| topic.queue.len()).sum::<usize>());
        (self.topics.len(), self.names)
    }

    fn gaps_after(&self, seen: u64) -> Queue {
        let mut gaps = Queue::default();
        self.gaps.iter().filter(|gap| gap.seq > seen).cloned().for_each(|gap| gaps.push(gap));
        gaps
    }
}
