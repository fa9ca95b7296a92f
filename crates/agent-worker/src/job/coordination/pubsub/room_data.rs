//! The pub/sub backend over a room's data messages, which needs no other server.

use bytes::Bytes;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use tracing::Instrument;

use agent_core::{CoordinationError, Inbox, PubSub, SenderFilter, Subscription, Time, Trust};
use agent_proto::text::name;
use agent_room::{MAX_PACKET_LEN, ParticipantKind, RoomEvent};
use agent_rtc::{BoxFuture, Room, RoomEvents};

use crate::telemetry::line_limit::LineLimit;

/// Pub/sub between the agents of a room, over reliable data messages of the room. The default: it needs no
/// server but LiveKit's, and the room must be joined.
///
/// Messages are sent to participants of the kind agent, and accepted only from them, so a person in the room
/// can neither read nor write them. A topic is limited to its room, and not received by another channel of
/// the same job. The server announces a job to the others up to 3 s after it has joined: they receive all its
/// messages, and it receives theirs from then on.
#[derive(Clone, Debug)]
pub struct RoomData {
    room: Room,
}

impl RoomData {
    /// A backend over this room.
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
            // No packet without a destination: it would go to everyone.
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

/// Maximum size of a packet beside its payload, topic and destinations.
const OVERHEAD: usize = 64;

/// Splits destinations, which are part of a packet, into packets with at most `room` bytes of them, but at
/// least one destination each.
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
    /// Limits log lines, as others choose how many identities send.
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
                RoomEvent::ParticipantLeft { participant, .. } => {
                    self.senders.left(&participant.identity, self.now());
                }
                RoomEvent::DataMissed { sender, .. }
                    if self.senders.is_agent(&sender, self.now()) == Some(false) => {}
                RoomEvent::Reconnected(reconnected) if reconnected.resumed => {}
                RoomEvent::Reconnected(_) | RoomEvent::DataMissed { .. } | RoomEvent::Lagged { .. } => {
                    self.inbox.interrupted();
                }
                // Other events do not affect messages.
                _ => {}
            }
        }
        self.inbox.close();
    }

    fn now(&self) -> Time {
        Time::ZERO + self.started.elapsed()
    }

    fn take(&mut self, sender: &str, frame: Bytes) {
        match self.senders.receive(sender, frame, self.now()) {
            Trust::Accepted(frame) => self.inbox.deliver_from(sender, &frame),
            Trust::Held | Trust::Refused { first: false } => {}
            Trust::Refused { first: true } => {
                if let Some(more) = self.lines.admit(()) {
                    let (sender, topic) = (name(sender), name(&self.topic));
                    tracing::warn!(%sender, %topic, "dropping messages between jobs from a sender that is not an agent{more}");
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
