//! Events that wait for the one that must precede them.

mod condense;

use std::sync::Arc;

use agent_proto::{DropOldest, Popped, QueueEntry, QueueLimits};

use crate::event_bytes::event_bytes;
use crate::inbox::losses;
use crate::{Participant, RoomEvent};
use condense::{Held, condense, is_state};

/// Events between the server's answer to a join and a connection with data in both directions: the user gets
/// [`Connected`](RoomEvent::Connected) or [`Reconnected`](RoomEvent::Reconnected) first.
///
/// Messages are limited like those that wait for a slow reader, over all attempts of a rejoin, and the oldest
/// are dropped. Changes of the room's state are not dropped, as a list of participants that misses one keeps
/// a participant who has left. Instead they are [condensed](condense), so that the limit of participants
/// bounds them, however many attempts there are.
#[derive(Debug)]
pub(crate) struct HeldEvents {
    /// The number of the last event.
    seq: u64,
    changes: Vec<Held>,
    /// Size of the changes.
    bytes: usize,
    /// The changes are condensed when there are more than these.
    condensed_at: QueueLimits,
    messages: DropOldest<Held>,
    limits: QueueLimits,
    /// Participants who have come and gone without being reported.
    unreported: Vec<Arc<Participant>>,
}

impl QueueEntry for Held {
    fn bytes(&self) -> usize {
        event_bytes(&self.event)
    }

    fn losses(&self) -> u64 {
        losses(&self.event)
    }
}

impl HeldEvents {
    /// Holds at most `limit` messages.
    pub(crate) fn new(limit: usize) -> Self {
        let limits = QueueLimits { entries: limit, ..QueueLimits::default() };
        Self {
            seq: 0,
            changes: Vec::new(),
            bytes: 0,
            condensed_at: limits,
            messages: DropOldest::default(),
            limits,
            unreported: Vec::new(),
        }
    }

    /// Adds an event.
    pub(crate) fn push(&mut self, event: RoomEvent) {
        self.seq += 1;
        let held = Held { seq: self.seq, event };
        if !is_state(&held.event) {
            self.messages.push_within(held, self.limits);
            return;
        }
        self.bytes = self.bytes.saturating_add(held.bytes());
        self.changes.push(held);
        if self.condensed_at.exceeded(self.changes.len(), self.bytes) {
            self.condense();
        }
    }

    /// The participants who have come and gone, and of whom no event is held any more.
    pub(crate) fn take_unreported(&mut self) -> Vec<Arc<Participant>> {
        std::mem::take(&mut self.unreported)
    }

    /// The events in order, with the number of lost messages where some are missing.
    pub(crate) fn into_events(self) -> impl Iterator<Item = RoomEvent> {
        let mut changes = self.changes.into_iter().peekable();
        let mut messages = in_order(self.messages).peekable();
        std::iter::from_fn(move || {
            let next = messages.peek().map_or(u64::MAX, |message| message.seq);
            let change = changes.next_if(|change| change.seq < next);
            change.or_else(|| messages.next()).map(|held| held.event)
        })
    }

    fn condense(&mut self) {
        let mut condensed = condense(std::mem::take(&mut self.changes));
        self.changes = condensed.changes;
        self.unreported.append(&mut condensed.unreported);
        self.bytes = self.changes.iter().map(Held::bytes).fold(0, usize::saturating_add);
        // Twice as many, so that the work stays in proportion to the number of events.
        self.condensed_at = QueueLimits {
            entries: self.limits.entries.max(self.changes.len().saturating_mul(2)),
            bytes: self.limits.bytes.max(self.bytes.saturating_mul(2)),
        };
    }
}

/// The messages, and the number of those that were dropped instead of the last one of them.
fn in_order(mut messages: DropOldest<Held>) -> impl Iterator<Item = Held> {
    std::iter::from_fn(move || {
        Some(match messages.pop()? {
            Popped::Missed(missed) => {
                let next = messages.entries().next().map_or(0, |message| message.seq);
                Held { seq: next, event: RoomEvent::Lagged { missed } }
            }
            Popped::Entry(held) => held,
        })
    })
}

#[cfg(test)]
mod tests;
