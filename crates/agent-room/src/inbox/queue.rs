//! A queue of events: the participants who are present, then the later events, of which the oldest are
//! dropped beyond the limits.

use std::collections::VecDeque;

use agent_proto::{DropOldest, Popped, QueueEntry, QueueLimits};

use crate::RoomEvent;
use crate::event_bytes::event_bytes;

/// An event with its number and size.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) bytes: usize,
    pub(super) event: RoomEvent,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// The participants at the beginning. The room limits their number: later events must not displace them.
    present: VecDeque<RoomEvent>,
    entries: DropOldest<Entry>,
    /// Number of dropped messages that were not reported yet, as there was no reader.
    pub(super) unreported: u64,
}

impl Entry {
    pub(super) fn new(seq: u64, event: RoomEvent) -> Self {
        Self { seq, bytes: event_bytes(&event), event }
    }
}

impl QueueEntry for Entry {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn losses(&self) -> u64 {
        losses(&self.event)
    }
}

impl Queue {
    pub(super) fn beginning_with(mut self, present: impl IntoIterator<Item = RoomEvent>) -> Self {
        self.present = present.into_iter().collect();
        self
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Queues an entry for a future reader.
    pub(super) fn keep(&mut self, entry: Entry, limits: QueueLimits) {
        self.unreported += self.entries.push_within(entry, limits);
    }

    /// Drops the oldest entries until the queue is within its limits, and returns their number.
    pub(super) fn shrink(&mut self, limits: QueueLimits) -> u64 {
        self.entries.shrink(limits)
    }

    pub(super) fn drop_oldest(&mut self) -> u64 {
        self.entries.drop_oldest()
    }

    pub(super) fn pop(&mut self) -> Option<RoomEvent> {
        if let Some(event) = self.present.pop_front() {
            return Some(event);
        }
        self.present = VecDeque::new();
        Some(match self.entries.pop()? {
            Popped::Missed(missed) => RoomEvent::Lagged { missed },
            Popped::Entry(entry) => entry.event,
        })
    }

    /// Takes over the entries of another queue, each once and in order.
    pub(super) fn merge(&mut self, other: Self, limits: QueueLimits) {
        self.entries.add_missed(other.entries.missed());
        self.unreported += other.unreported;
        self.entries.edit(|entries| {
            entries.extend(other.entries.into_entries());
            entries.make_contiguous().sort_by_key(|entry| entry.seq);
            let mut last = None;
            entries.retain(|entry| last.replace(entry.seq) != Some(entry.seq));
        });
        self.unreported += self.shrink(limits);
    }

    /// Keeps only data messages, and gaps of them, up to this number.
    pub(super) fn retain_data_before(&mut self, seq: u64) {
        self.present = VecDeque::new();
        self.entries.edit(|entries| {
            entries.retain(|entry| entry.seq < seq && (is_data(&entry.event) || is_gap(&entry.event)));
        });
    }

    pub(super) const fn add_missed(&mut self, missed: u64) {
        self.entries.add_missed(missed);
    }

    pub(super) const fn missed(&self) -> u64 {
        self.entries.missed()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.entries.bytes()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.entries()
    }

    pub(super) fn len(&self) -> usize {
        self.present.len() + self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.present.is_empty() && self.entries.is_empty()
    }
}

pub(super) const fn is_data(event: &RoomEvent) -> bool {
    matches!(event, RoomEvent::DataReceived(_))
}

/// Whether the event reports that data may be missing.
pub(super) fn is_gap(event: &RoomEvent) -> bool {
    match event {
        RoomEvent::Lagged { .. } | RoomEvent::DataMissed { .. } => true,
        RoomEvent::Reconnected(again) => !again.resumed,
        _ => false,
    }
}

/// Number of losses if this event is dropped.
pub(crate) fn losses(event: &RoomEvent) -> u64 {
    match event {
        // An event that reports losses is not an event by itself.
        RoomEvent::Lagged { missed } => *missed,
        RoomEvent::DataMissed { up_to, .. } => u64::from(*up_to).max(1),
        _ => 1,
    }
}
