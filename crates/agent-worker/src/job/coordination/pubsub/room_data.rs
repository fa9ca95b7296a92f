//! Messages between the agents of a room, as data messages of the room itself: nothing else is needed.

use bytes::Bytes;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing::Instrument;

use agent_core::{CoordinationError, Inbox, PubSub, SenderFilter, Subscription, Time, Trust};
use agent_proto::text::name;
use agent_room::{MAX_PACKET_LEN, ParticipantKind, RoomEvent};
use agent_rtc::{BoxFuture, Room, RoomEvents};

use crate::telemetry::line_limit::LineLimit;

/// Messages between the agents of a room, as reliable data messages of the room itself. The default: it needs
/// no server but LiveKit's, and the room has to be joined.
///
/// They go to participants of the kind agent, and are taken from them alone, so a person in the room can
/// neither read nor write them. A topic is heard in its own room only, and not by another channel of the same
/// job. The server tells the others of a job up to 3 s after it has joined: they hear all that it says, and
/// it hears what they say from then on.
#[derive(Clone, Debug)]
pub struct RoomData {
    room: Room,
}

impl RoomData {
    /// Over this room.
    #[must_use]
    pub const fn new(room: Room) -> Self {
        Self { room }
    }
}

impl PubSub for RoomData {
    fn subscribe<'a>(
        &'a self,
        topic: &'a str,
        inbox: Inbox,
    ) -> BoxFuture<'a, Result<Box<dyn Subscription>, CoordinationError>> {
        Box::pin(async move {
            let room = &self.room;
            let (topic_read, senders) = (topic.to_owned(), SenderFilter::default());
            let (started, lines) = (Instant::now(), LineLimit::new());
            let reader = Reader { topic: topic_read, inbox, senders, started, lines };
            let reading = reader.run(room.observe()).in_current_span();
            let reader = tokio::spawn(reading).abort_handle();
            Ok(Box::new(RoomSubscription { room: room.clone(), topic: topic.to_owned(), reader })
                as Box<dyn Subscription>)
        })
    }
}

struct RoomSubscription {
    room: Room,
    topic: String,
    reader: AbortHandle,
}

impl Subscription for RoomSubscription {
    fn send(&self, frame: Bytes) -> BoxFuture<'_, Result<(), CoordinationError>> {
        Box::pin(async move {
            let others = self.room.participants();
            let agents = others.iter().filter(|other| other.kind == ParticipantKind::Agent);
            let agents = agents.map(|agent| agent.identity.clone());
            // No packet without a destination: that would mean everybody.
            for agents in
                packets(agents, MAX_PACKET_LEN.saturating_sub(frame.len() + self.topic.len() + OVERHEAD))
            {
                let sent = self.room.publish_data(&self.topic, frame.clone()).to(agents).await;
                sent.map_err(|error| CoordinationError::Room(error.into()))?;
            }
            Ok(())
        })
    }
}

/// What a packet takes besides its payload, its topic and its destinations, at most.
const OVERHEAD: usize = 64;

/// Destinations are part of a packet: many go into several, each with at most `room` bytes for them, and at
/// least one.
fn packets(destinations: impl Iterator<Item = String>, room: usize) -> Vec<Vec<String>> {
    let mut packets: Vec<Vec<String>> = Vec::new();
    let mut left = 0;
    for destination in destinations {
        // A tag and a length of two bytes.
        let len = destination.len() + 3;
        match packets.last_mut() {
            Some(packet) if len <= left => {
                left -= len;
                packet.push(destination);
            }
            _ => {
                left = room.saturating_sub(len);
                packets.push(vec![destination]);
            }
        }
    }
    packets
}

impl Drop for RoomSubscription {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

struct Reader {
    topic: String,
    inbox: Inbox,
    senders: SenderFilter,
    started: Instant,
    /// Identities are others' to choose, as many as they like.
    lines: LineLimit<()>,
}

impl Reader {
    async fn run(mut self, mut events: RoomEvents) {
        while let Some(event) = events.next().await {
            match event {
                RoomEvent::DataReceived(data) if data.topic == self.topic => {
                    if let Some(sender) = data.sender {
                        self.take(&sender, data.payload);
                    }
                }
                RoomEvent::ParticipantJoined(participant) => {
                    let agent = participant.kind == ParticipantKind::Agent;
                    let held = self.senders.joined(&participant.identity, agent);
                    held.frames
                        .iter()
                        .for_each(|frame| self.inbox.deliver_from(&participant.identity, frame));
                    if held.lost {
                        self.inbox.interrupted();
                    }
                }
                RoomEvent::ParticipantLeft { participant, .. } => self.senders.left(&participant.identity),
                RoomEvent::DataMissed { sender, .. } if self.senders.is_agent(&sender) == Some(false) => {}
                RoomEvent::Reconnected(again) if again.resumed => {}
                RoomEvent::Reconnected(_) | RoomEvent::DataMissed { .. } | RoomEvent::Lagged { .. } => {
                    self.inbox.interrupted();
                }
                // What else users are told says nothing about messages.
                _ => {}
            }
        }
        self.inbox.close();
    }

    fn take(&mut self, sender: &str, frame: Bytes) {
        match self.senders.receive(sender, frame, Time::ZERO + self.started.elapsed()) {
            Trust::Accepted(frame) => self.inbox.deliver_from(sender, &frame),
            Trust::Held | Trust::Refused { first: false } => {}
            Trust::Refused { first: true } => {
                if let Some(more) = self.lines.admit(()) {
                    let (sender, topic) = (name(sender), name(&self.topic));
                    tracing::warn!(%sender, %topic, "drops messages for jobs that no agent has sent{more}");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_destinations_go_into_several_packets() {
        let check = |lens: &[usize], room: usize, expected: &[usize]| {
            let names = lens.iter().map(|len| "x".repeat(*len));
            let packets = packets(names, room);
            assert_eq!(packets.iter().map(Vec::len).collect::<Vec<_>>(), expected, "{lens:?} in {room}");
        };
        check(&[], 100, &[]);
        check(&[7, 7, 7], 30, &[3]);
        check(&[7, 7, 7], 29, &[2, 1]);
        check(&[50, 7], 10, &[1, 1]);
        check(&[7, 7], 0, &[1, 1]);
    }
}
