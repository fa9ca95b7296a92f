//! Messages between the agents of a room, as data messages of the room itself: nothing else is needed.

use std::collections::BTreeMap;

use agent_room::{ParticipantKind, RoomEvent};
use bytes::Bytes;
use tokio::task::AbortHandle;

use super::{Carrier, Inbox, PubSub};
use crate::coordination::CoordinationError;
use crate::room::{BoxFuture, Room, RoomEvents};

/// Frames of senders that are not known yet.
const MAX_HELD: usize = 64;

/// Messages between the agents of a room, as reliable data messages of the room itself. The default: it needs no server but
/// LiveKit's, and the room has to be joined.
///
/// They go to participants of the kind agent, and are taken from them alone, so a person in the room can neither read nor write
/// them. A topic is heard in its own room only.
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
            let reader = Reader { room: room.clone(), topic: topic.to_owned(), inbox, held: BTreeMap::new() };
            let reader = tokio::spawn(reader.run(room.side_events())).abort_handle();
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
    /// Data can come before its sender is announced: it waits for what the sender turns out to be.
    held: BTreeMap<String, Vec<Bytes>>,
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
                RoomEvent::ParticipantJoined(participant) => {
                    let held = self.held.remove(&participant.identity).unwrap_or_default();
                    for frame in held {
                        self.take(participant.identity.clone(), frame);
                    }
                }
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
            Some(ParticipantKind::Agent) => self.inbox.deliver(&frame),
            Some(_) => {
                tracing::warn!(%sender, topic = %self.topic, "dropped a message for jobs that no agent has sent")
            }
            None if self.held.values().map(Vec::len).sum::<usize>() < MAX_HELD => {
                self.held.entry(sender).or_default().push(frame);
            }
            None => self.inbox.interrupted(),
        }
    }
}
