//! A bounded queue of events: of too many the oldest are dropped, and their number is reported in their place.

use std::collections::VecDeque;

use crate::{Participant, RoomEvent};

/// What one queue holds at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// An event, its number and its weight.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) bytes: usize,
    pub(super) event: RoomEvent,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Who is present at the beginning. The room bounds it: what comes later must not push it out.
    present: VecDeque<RoomEvent>,
    entries: VecDeque<Entry>,
    bytes: usize,
    /// Dropped and not reported to the reader yet, before the first entry.
    missed: u64,
    /// Of the dropped ones, those that were not counted yet: there was no reader.
    pub(super) unreported: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { events: 1024, bytes: 4 * 1024 * 1024 }
    }
}

impl Limits {
    pub(super) const fn exceeded(self, events: usize, bytes: usize) -> bool {
        events > self.events || (bytes > self.bytes && events > 1)
    }
}

impl Entry {
    pub(super) fn new(seq: u64, event: RoomEvent) -> Self {
        Self { seq, bytes: weight(&event), event }
    }

    /// How many it stands for.
    fn count(&self) -> u64 {
        match self.event {
            // One that says how many were lost before is not an event by itself.
            RoomEvent::Lagged { missed } => missed,
            RoomEvent::DataMissed { up_to, .. } => u64::from(up_to).max(1),
            _ => 1,
        }
    }
}

impl Queue {
    pub(super) fn beginning_with(mut self, present: impl IntoIterator<Item = RoomEvent>) -> Self {
        self.present = present.into_iter().collect();
        self
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.bytes += entry.bytes;
        self.entries.push_back(entry);
    }

    /// Keeps one for a reader that is not there yet.
    pub(super) fn keep(&mut self, entry: Entry, limits: Limits) {
        self.push(entry);
        self.unreported += self.shrink(limits);
    }

    /// Drops the oldest until it is within its limits, and gives their number.
    pub(super) fn shrink(&mut self, limits: Limits) -> u64 {
        let mut dropped = 0;
        while limits.exceeded(self.entries.len(), self.bytes) {
            dropped += self.drop_oldest();
        }
        dropped
    }

    pub(super) fn drop_oldest(&mut self) -> u64 {
        let Some(entry) = self.entries.pop_front() else { return 0 };
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        self.missed = self.missed.saturating_add(entry.count());
        entry.count()
    }

    pub(super) fn pop(&mut self) -> Option<RoomEvent> {
        if let Some(event) = self.present.pop_front() {
            return Some(event);
        }
        self.present = VecDeque::new();
        if self.missed > 0 {
            return Some(RoomEvent::Lagged { missed: std::mem::take(&mut self.missed) });
        }
        let Entry { bytes, event, .. } = self.entries.pop_front()?;
        self.bytes = self.bytes.saturating_sub(bytes);
        if self.entries.is_empty() && self.entries.capacity() > 64 {
            // After a burst the memory goes back: there may be thousands of rooms.
            self.entries = VecDeque::new();
        }
        Some(event)
    }

    /// Takes over what another one has, each entry once and in their order.
    pub(super) fn merge(&mut self, other: Self, limits: Limits) {
        self.missed = self.missed.saturating_add(other.missed);
        self.unreported += other.unreported;
        self.entries.extend(other.entries);
        self.entries.make_contiguous().sort_by_key(|entry| entry.seq);
        let mut last = None;
        self.entries.retain(|entry| last.replace(entry.seq) != Some(entry.seq));
        self.bytes = self.entries.iter().map(|entry| entry.bytes).sum();
        self.unreported += self.shrink(limits);
    }

    /// Keeps only data, and what is missing of it, up to this number.
    pub(super) fn retain_data_before(&mut self, seq: u64) {
        self.present = VecDeque::new();
        self.entries.retain(|entry| entry.seq < seq && (is_data(&entry.event) || is_gap(&entry.event)));
        self.bytes = self.entries.iter().map(|entry| entry.bytes).sum();
    }

    pub(super) fn add_missed(&mut self, missed: u64) {
        self.missed = self.missed.saturating_add(missed);
    }

    pub(super) const fn missed(&self) -> u64 {
        self.missed
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.present.len() + self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0 && self.missed == 0
    }
}

pub(super) const fn is_data(event: &RoomEvent) -> bool {
    matches!(event, RoomEvent::DataReceived(_))
}

/// Whether it says that data may be missing.
pub(super) fn is_gap(event: &RoomEvent) -> bool {
    match event {
        RoomEvent::Lagged { .. } | RoomEvent::DataMissed { .. } => true,
        RoomEvent::Reconnected(again) => !again.resumed,
        _ => false,
    }
}

/// What others decide of an event's size.
fn weight(event: &RoomEvent) -> usize {
    match event {
        RoomEvent::DataReceived(message) => {
            message.payload.len() + message.topic.len() + message.sender.as_ref().map_or(0, String::len)
        }
        RoomEvent::DataMissed { sender, .. } => sender.len(),
        RoomEvent::ParticipantJoined(participant)
        | RoomEvent::ParticipantActive(participant)
        | RoomEvent::MetadataChanged(participant)
        | RoomEvent::NameChanged(participant)
        | RoomEvent::PermissionsChanged(participant)
        | RoomEvent::ParticipantLeft { participant, .. }
        | RoomEvent::AttributesChanged { participant, .. }
        | RoomEvent::TrackPublished { participant, .. }
        | RoomEvent::TrackUnpublished { participant, .. }
        | RoomEvent::TrackMuted { participant, .. }
        | RoomEvent::TrackUnmuted { participant, .. }
        | RoomEvent::TrackSubscribed { participant, .. } => weight_of(participant),
        RoomEvent::RoomMetadataChanged(room)
        | RoomEvent::RoomUpdated(room)
        | RoomEvent::RoomReplaced(room)
        | RoomEvent::RoomMoved { room, .. } => room.metadata.len(),
        RoomEvent::Reconnected(again) => again.room.metadata.len() + weight_of(&again.local),
        _ => 0,
    }
}

/// Each event may be the last one that holds this state of a participant.
fn weight_of(participant: &Participant) -> usize {
    let attributes = participant.attributes.iter().map(|(key, value)| key.len() + value.len());
    participant.metadata.len() + participant.name.len() + attributes.sum::<usize>()
}
