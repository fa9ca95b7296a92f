//! Event streams of a room.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::Stream;

use agent_room::{Inbox, RoomEvent};

use super::reader::Reader;

/// A stream of a room's events, from [`Room::events`](super::Room::events).
///
/// It begins with the present ([`ParticipantJoined`](RoomEvent::ParticipantJoined),
/// [`ParticipantActive`](RoomEvent::ParticipantActive), [`TrackPublished`](RoomEvent::TrackPublished),
/// [`TrackSubscribed`](RoomEvent::TrackSubscribed), [`SpeakersChanged`](RoomEvent::SpeakersChanged)) and ends
/// after [`Disconnected`](RoomEvent::Disconnected), or with the attempt that opened it. At most 1,024
/// events and 4 MiB are queued for a slow reader; beyond that the oldest are dropped, and
/// [`Lagged`](RoomEvent::Lagged) in their place contains their number. That is also logged, once for each
/// job, and counted by the worker. For data of one topic use [`Room::data`](super::Room::data), which is
/// independent of other traffic.
///
/// ```
/// # use agent_worker::{Room, RoomEvent};
/// # async fn example(room: Room) {
/// let mut events = room.events();
/// while let Some(event) = events.next().await {
///     match event {
///         RoomEvent::ParticipantActive(who) => println!("{} is here", who.identity),
///         RoomEvent::Lagged { missed } => println!("too slow for this room: {missed} events are lost"),
///         _ => {}
///     }
/// }
/// # }
/// ```
pub struct RoomEvents {
    reader: Reader,
}

impl RoomEvents {
    pub(super) const fn new(reader: Reader) -> Self {
        Self { reader }
    }

    /// Waits for the next event; `None` after the room has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<RoomEvent> {
        std::future::poll_fn(|cx| self.reader.poll(cx, Inbox::next_event)).await
    }
}

impl Stream for RoomEvents {
    type Item = RoomEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<RoomEvent>> {
        self.reader.poll(cx, Inbox::next_event)
    }
}

impl fmt::Debug for RoomEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomEvents").field("waiting", &self.reader.waiting()).finish_non_exhaustive()
    }
}
