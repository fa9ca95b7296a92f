//! Messages between the agents of a room, as data messages of the room itself: nothing else is needed.

use std::collections::BTreeMap;

use agent_room::{ParticipantKind, RoomEvent};
use bytes::Bytes;
use tokio::task::AbortHandle;
use tracing::Instrument;

use super::inbox::{MAX_BYTES, MAX_EVENTS};
use super::{Carrier, Inbox, PubSub};
use crate::coordination::CoordinationError;
use crate::room::{BoxFuture, Room, RoomEvents};

/// Messages between the agents of a room, as reliable data messages of the room itself. The default: it needs no server but
/// LiveKit's, and the room has to be joined.
///
/// They go to participants of the kind agent, and are taken from them alone, so a person in the room can neither read nor write
/// them. A topic is heard in its own room only. The server tells the others of a job up to 3 s after it has joined: they hear all that it
/// says, and it hears what they say from then on.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct RoomData;

impl RoomData {
    /// Over the room of each job.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl PubSub for RoomData {
    fn join<'a>(
        &'a self,
        topic: &'a str,
        room: Option<&'a Room>,
        inbox: Inbox,
    ) -> BoxFuture<'a, Result<Box<dyn Carrier>, CoordinationError>> {
        Box::pin(async move {
            let room = room.ok_or(CoordinationError::NoRoom)?;
            let reader = Reader { room: room.clone(), topic: topic.to_owned(), inbox, held: Held::default() };
            let reader = tokio::spawn(reader.run(room.side_events()).in_current_span()).abort_handle();
            Ok(Box::new(InRoom { room: room.clone(), topic: topic.to_owned(), reader }) as Box<dyn Carrier>)
        })
    }
}

struct InRoom {
    room: Room,
    topic: String,
    reader: AbortHandle,
}

impl Carrier for InRoom {
    fn send(&self, frame: Bytes) -> BoxFuture<'_, Result<(), CoordinationError>> {
        Box::pin(async move {
            let others = self.room.participants();
            let agents = others.iter().filter(|other| other.kind == ParticipantKind::Agent);
            let agents: Vec<String> = agents.map(|agent| agent.identity.clone()).collect();
            if agents.is_empty() {
                return Ok(()); // no destination would mean everybody
            }
            self.room.publish_data(&self.topic, frame).to(agents).await.map_err(CoordinationError::Room)
        })
    }
}

impl Drop for InRoom {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

struct Reader {
    room: Room,
    topic: String,
    inbox: Inbox,
    held: Held,
}

/// Data can come before its sender is announced: it waits for what the sender turns out to be, in the bounds of an inbox.
#[derive(Default)]
struct Held {
    by_sender: BTreeMap<String, Vec<Bytes>>,
    frames: usize,
    bytes: usize,
}

impl Held {
    /// Whether there was room for it.
    fn put(&mut self, sender: String, frame: Bytes) -> bool {
        let fits = self.frames < MAX_EVENTS && self.bytes + frame.len() <= MAX_BYTES;
        if fits {
            self.frames += 1;
            self.bytes += frame.len();
            self.by_sender.entry(sender).or_default().push(frame);
        }
        fits
    }

    fn take(&mut self, sender: &str) -> Vec<Bytes> {
        let frames = self.by_sender.remove(sender).unwrap_or_default();
        self.frames -= frames.len();
        self.bytes -= frames.iter().map(Bytes::len).sum::<usize>();
        frames
    }
}

impl Reader {
    async fn run(mut self, mut events: RoomEvents) {
        while let Some(event) = events.next().await {
            match event {
                RoomEvent::DataReceived(data) if data.topic == self.topic => {
                    if let Some(sender) = data.sender {
                        self.take(sender, data.payload);
                    }
                }
                RoomEvent::ParticipantJoined(participant) => self.release(&participant.identity),
                RoomEvent::Reconnected(again) if again.resumed => {}
                RoomEvent::Reconnected(_) | RoomEvent::DataMissed { .. } | RoomEvent::Lagged { .. } => {
                    self.inbox.interrupted();
                }
                _ => {}
            }
        }
        self.inbox.close();
    }

    fn take(&mut self, sender: String, frame: Bytes) {
        match self.room.participant(&sender).map(|participant| participant.kind) {
            Some(_) => {
                // The room may know of it before we come to the event that says so: what came earlier goes first.
                self.release(&sender);
                self.deliver(&sender, &frame);
            }
            None if self.held.put(sender, frame) => {}
            None => self.inbox.interrupted(),
        }
    }

    /// The sender is known now.
    fn release(&mut self, sender: &str) {
        for frame in self.held.take(sender) {
            self.deliver(sender, &frame);
        }
    }

    fn deliver(&self, sender: &str, frame: &Bytes) {
        match self.room.participant(sender).map(|participant| participant.kind) {
            Some(ParticipantKind::Agent) => self.inbox.deliver(frame),
            Some(_) => {
                tracing::warn!(%sender, topic = %self.topic, "dropped a message for jobs that no agent has sent");
            }
            // It has joined and left: nobody knows what it was.
            None => self.inbox.interrupted(),
        }
    }
}
