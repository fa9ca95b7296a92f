//! Events that wait for the one that must precede them.

use agent_proto::{DropOldest, Popped, QueueEntry, QueueLimits};

use crate::RoomEvent;
use crate::inbox::losses;

/// Events between the server's answer to a join and a connection with data in both directions: the user gets
/// [`Connected`](RoomEvent::Connected) or [`Reconnected`](RoomEvent::Reconnected) first, and loses nothing.
#[derive(Debug)]
pub(crate) struct HeldEvents {
    /// Participants who joined and left without a connection. All of them are kept: a list that misses one
    /// keeps a participant who has left. The limit of participants bounds it for each reconnect.
    changes: Vec<RoomEvent>,
    later: DropOldest<Waiting>,
    limits: QueueLimits,
}

#[derive(Debug)]
struct Waiting(RoomEvent);

impl QueueEntry for Waiting {
    fn losses(&self) -> u64 {
        losses(&self.0)
    }
}

impl HeldEvents {
    /// Holds at most `limit` events, and the changes of a rejoin.
    pub(crate) fn new(limit: usize) -> Self {
        let limits = QueueLimits { entries: limit, bytes: usize::MAX };
        Self { changes: Vec::new(), later: DropOldest::default(), limits }
    }

    /// A new session begins with these changes. Changes held since an earlier attempt are kept, as they were
    /// not reported yet.
    pub(crate) fn rejoined(&mut self, changes: Vec<RoomEvent>) {
        let later = std::mem::take(&mut self.later);
        self.changes.extend(in_order(later));
        self.changes.extend(changes);
    }

    /// Adds an event; beyond the limit the oldest is dropped.
    pub(crate) fn push(&mut self, event: RoomEvent) {
        self.later.push_within(Waiting(event), self.limits);
    }

    /// The events in order, with the number of lost events where some are missing.
    pub(crate) fn into_events(self) -> impl Iterator<Item = RoomEvent> {
        self.changes.into_iter().chain(in_order(self.later))
    }
}

fn in_order(mut queue: DropOldest<Waiting>) -> impl Iterator<Item = RoomEvent> {
    std::iter::from_fn(move || {
        Some(match queue.pop()? {
            Popped::Missed(missed) => RoomEvent::Lagged { missed },
            Popped::Entry(Waiting(event)) => event,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DataReceived, Participant};

    fn data(text: &'static str) -> RoomEvent {
        RoomEvent::DataReceived(DataReceived::new("t", text, None))
    }

    fn joined(identity: &str) -> RoomEvent {
        RoomEvent::ParticipantJoined(Participant::new("PA", identity).into())
    }

    fn held(limit: usize, events: &[RoomEvent]) -> HeldEvents {
        let mut held = HeldEvents::new(limit);
        events.iter().cloned().for_each(|event| held.push(event));
        held
    }

    #[test]
    fn of_too_many_the_oldest_are_dropped_and_counted() {
        let events = held(2, &[data("a"), data("b"), data("c"), data("d")]).into_events();
        assert_eq!(events.collect::<Vec<_>>(), [RoomEvent::Lagged { missed: 2 }, data("c"), data("d")]);
        let missing = RoomEvent::DataMissed { sender: "ada".to_owned(), up_to: 7 };
        let events = held(1, &[missing, data("b")]).into_events();
        assert_eq!(events.collect::<Vec<_>>(), [RoomEvent::Lagged { missed: 7 }, data("b")]);
    }

    #[test]
    fn changes_of_a_rejoin_are_held_however_many_and_over_several_tries() {
        let mut held = HeldEvents::new(1);
        held.rejoined(vec![joined("ada"), joined("bob")]);
        held.push(data("a"));
        held.push(data("b"));
        held.rejoined(vec![joined("eve"), joined("joe")]);
        held.push(data("c"));
        let lagged = RoomEvent::Lagged { missed: 1 };
        let expected =
            [joined("ada"), joined("bob"), lagged, data("b"), joined("eve"), joined("joe"), data("c")];
        assert_eq!(held.into_events().collect::<Vec<_>>(), expected);
    }
}
