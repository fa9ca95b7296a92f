//! What is going to happen, in the order of its time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use agent_proto::Time;

/// Events by their time; of two at one time, the one that was added first comes first.
pub(super) struct Queue<E> {
    /// Small entries, as a heap moves them often: the time, the number, and the place of the event.
    heap: BinaryHeap<Reverse<(Time, u64, usize)>>,
    added: u64,
    events: Vec<Option<E>>,
    free: Vec<usize>,
}

impl<E> Queue<E> {
    pub(super) const fn new() -> Self {
        Self { heap: BinaryHeap::new(), added: 0, events: Vec::new(), free: Vec::new() }
    }

    pub(super) fn add(&mut self, at: Time, event: E) {
        let place = self.free.pop().unwrap_or(self.events.len());
        match self.events.get_mut(place) {
            Some(slot) => *slot = Some(event),
            None => self.events.push(Some(event)),
        }
        self.heap.push(Reverse((at, self.added, place)));
        self.added += 1;
    }

    pub(super) fn next_at(&self) -> Option<Time> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    pub(super) fn pop(&mut self) -> Option<E> {
        let Reverse((_, _, place)) = self.heap.pop()?;
        self.free.push(place);
        self.events.get_mut(place)?.take()
    }
}
