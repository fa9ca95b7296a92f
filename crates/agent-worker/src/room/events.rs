//! Event streams: bounded queues that drop the oldest and say how many.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use agent_room::RoomEvent;
use futures_util::Stream;

/// Events that wait for a slow reader.
const MAX_EVENTS: usize = 1024;
/// Bytes of data messages that wait for a slow reader.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// What happens in a room, from [`Room::events`](super::Room::events).
///
/// It begins with who is present already ([`ParticipantJoined`](RoomEvent::ParticipantJoined),
/// [`ParticipantActive`](RoomEvent::ParticipantActive), [`TrackPublished`](RoomEvent::TrackPublished)) and ends after
/// [`Disconnected`](RoomEvent::Disconnected). At most 1,024 events and 4 MiB of data wait for a slow reader; then the oldest are
/// dropped, and their number is told in their place as [`Lagged`](RoomEvent::Lagged).
///
/// ```
/// # use agent_worker::{Room, RoomEvent};
/// # async fn example(room: Room) {
/// let mut events = room.events();
/// while let Some(event) = events.next().await {
///     if let RoomEvent::DataReceived(message) = event {
///         println!("{}: {} bytes", message.topic, message.payload.len());
///     }
/// }
/// # }
/// ```
pub struct RoomEvents {
    queue: Arc<Queue>,
}

impl RoomEvents {
    pub(super) fn new(queue: Arc<Queue>) -> Self {
        Self { queue }
    }

    /// The next event; `None` after the room has ended. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<RoomEvent> {
        std::future::poll_fn(|cx| self.queue.poll_pop(cx)).await
    }
}

impl Stream for RoomEvents {
    type Item = RoomEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<RoomEvent>> {
        self.queue.poll_pop(cx)
    }
}

impl fmt::Debug for RoomEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomEvents").field("waiting", &self.queue.lock().events.len()).finish_non_exhaustive()
    }
}

/// The queue behind one stream. It belongs to the stream; the room holds it weakly.
pub(super) struct Queue {
    state: Mutex<QueueState>,
}

#[derive(Default)]
struct QueueState {
    events: VecDeque<RoomEvent>,
    bytes: usize,
    /// Dropped since the reader was last told.
    missed: u64,
    ended: bool,
    reader: Option<Waker>,
}

impl Queue {
    /// A queue that begins with these events, however many.
    pub(super) fn new(replay: impl IntoIterator<Item = RoomEvent>, ended: bool) -> Arc<Self> {
        let events = replay.into_iter().collect();
        Arc::new(Self { state: Mutex::new(QueueState { events, ended, ..QueueState::default() }) })
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, event: RoomEvent) {
        let mut state = self.lock();
        if state.ended {
            return;
        }
        state.ended = matches!(event, RoomEvent::Disconnected { .. });
        state.bytes += payload_len(&event);
        state.events.push_back(event);
        while state.events.len() > MAX_EVENTS || (state.bytes > MAX_BYTES && state.events.len() > 1) {
            let Some(dropped) = state.events.pop_front() else { break };
            state.bytes = state.bytes.saturating_sub(payload_len(&dropped));
            // One that says how many were lost before is not an event by itself.
            state.missed += if let RoomEvent::Lagged { missed } = dropped { missed } else { 1 };
        }
        if let Some(reader) = state.reader.take() {
            drop(state);
            reader.wake();
        }
    }

    fn poll_pop(&self, cx: &mut Context<'_>) -> Poll<Option<RoomEvent>> {
        let mut state = self.lock();
        if state.missed > 0 {
            let missed = std::mem::take(&mut state.missed);
            return Poll::Ready(Some(RoomEvent::Lagged { missed }));
        }
        match state.events.pop_front() {
            Some(event) => {
                state.bytes = state.bytes.saturating_sub(payload_len(&event));
                if state.events.is_empty() && state.events.capacity() > 64 {
                    // After a burst the memory goes back: there may be thousands of rooms.
                    state.events = VecDeque::new();
                }
                Poll::Ready(Some(event))
            }
            None if state.ended => Poll::Ready(None),
            None => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

fn payload_len(event: &RoomEvent) -> usize {
    match event {
        RoomEvent::DataReceived(message) => message.payload.len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_room::{DataReceived, DisconnectReason};

    fn data(payload: Vec<u8>) -> RoomEvent {
        RoomEvent::DataReceived(DataReceived::new("t", payload, None))
    }

    fn first_byte(event: &RoomEvent) -> u8 {
        match event {
            RoomEvent::DataReceived(message) => message.payload[0],
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_how_many_it_lost() {
        let queue = Queue::new([], false);
        for n in 0..MAX_EVENTS + 3 {
            queue.push(data(vec![u8::try_from(n % 256).unwrap()]));
        }
        let mut events = RoomEvents::new(queue.clone());
        assert_eq!(events.next().await, Some(RoomEvent::Lagged { missed: 3 }));
        assert_eq!(first_byte(&events.next().await.unwrap()), 3);
    }

    #[tokio::test]
    async fn bytes_are_bounded_too_and_the_end_is_never_lost() {
        let queue = Queue::new([], false);
        let big = MAX_BYTES / 64;
        for n in 0..70_u8 {
            queue.push(data(vec![n; big]));
        }
        queue.push(RoomEvent::Disconnected { reason: DisconnectReason::RoomClosed });
        queue.push(data(vec![0]));
        let mut events = RoomEvents::new(queue);
        assert_eq!(events.next().await, Some(RoomEvent::Lagged { missed: 6 }));
        for n in 6..70 {
            assert_eq!(first_byte(&events.next().await.unwrap()), n);
        }
        assert!(matches!(events.next().await, Some(RoomEvent::Disconnected { .. })));
        assert_eq!(events.next().await, None);
        assert_eq!(events.next().await, None);
    }
}
