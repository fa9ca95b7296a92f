//! Data packets: the send queue, and detection of packets received before.
//!
//! A packet gets its sequence number when it is queued, because the reliable channel keeps the order; a
//! reliable packet that was received before (some are repeated after a resume) is dropped. Sent reliable
//! packets are kept until the server has acknowledged them: a resume repeats those that the server has not
//! received, and those left when a session ends may be lost.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use agent_proto::{decode, encode, livekit as proto};

use crate::unsupported::{self, RpcRequest};
use crate::{
    CommandId, DataReceived, Limits, MAX_PACKET_LEN, MAX_PAYLOAD_LEN, Publish, RoomError, Unsupported,
};
use proto::data_packet::Value;

/// Maximum number of senders whose last sequence number is kept.
const MAX_SENDERS: usize = 10_000;

/// The two data channels for user data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Channel {
    /// Ordered, and retransmitted until it arrives.
    Reliable,
    /// Sent once.
    Lossy,
}

/// The result of a write to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteResult {
    /// The channel accepted the packet.
    Accepted,
    /// The channel is not open yet, or its buffer is full: retry later.
    NotNow,
    /// This packet can never be sent.
    Never,
}

/// Packets that wait for their channel.
pub(crate) struct DataOutbox {
    /// Sent first, so that lossy packets do not wait behind many reliable ones.
    lossy: Queue,
    reliable: Queue,
    sequence: u32,
    sent: Sent,
}

#[derive(Default)]
struct Queue {
    packets: VecDeque<Packet>,
    bytes: usize,
}

struct Packet {
    /// The command to complete when the packet was sent; `None` for a repeated packet, and for an answer of
    /// ours.
    id: Option<CommandId>,
    /// Whether it was sent before.
    again: bool,
    sequence: u32,
    bytes: Bytes,
}

/// Reliable packets that the channel has accepted, until the server has acknowledged them.
#[derive(Default)]
struct Sent {
    packets: VecDeque<(u32, Bytes)>,
    bytes: usize,
    /// Messages since the server had received everything: unacknowledged bytes may precede acknowledged ones,
    /// so `packets` does not give the number of messages that can be lost.
    unconfirmed: u64,
}

impl DataOutbox {
    pub(crate) fn new() -> Self {
        Self { lossy: Queue::default(), reliable: Queue::default(), sequence: 0, sent: Sent::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lossy.packets.is_empty() && self.reliable.packets.is_empty()
    }

    /// Queues one message.
    pub(crate) fn push(&mut self, id: CommandId, message: Publish, limits: &Limits) -> Result<(), RoomError> {
        let len = message.payload.len();
        if len > MAX_PAYLOAD_LEN {
            return Err(RoomError::PayloadTooLarge { len });
        }
        let reliable = message.reliable;
        let queue = if reliable { &mut self.reliable } else { &mut self.lossy };
        if queue.packets.len() >= limits.queued_packets || queue.bytes + len > limits.queued_bytes {
            return Err(RoomError::QueueFull);
        }
        let sequence = if reliable { self.sequence.wrapping_add(1) } else { 0 };
        let packet = encode(&packet(message, sequence));
        if packet.len() > MAX_PACKET_LEN {
            return Err(RoomError::PacketTooLarge { len: packet.len(), limit: MAX_PACKET_LEN });
        }
        if reliable {
            self.sequence = sequence;
        }
        queue.bytes += packet.len();
        queue.packets.push_back(Packet { id: Some(id), again: false, sequence, bytes: packet });
        Ok(())
    }

    /// Queues a reliable packet of our own. `false`: the queue is full.
    pub(crate) fn push_own(&mut self, destination: &str, value: Value, limits: &Limits) -> bool {
        let queue = &mut self.reliable;
        let sequence = self.sequence.wrapping_add(1);
        let packet = encode(&proto::DataPacket {
            kind: proto::data_packet::Kind::Reliable as i32,
            destination_identities: vec![destination.to_owned()],
            sequence,
            value: Some(value),
            ..Default::default()
        });
        let fits = queue.packets.len() < limits.queued_packets
            && queue.bytes + packet.len() <= limits.queued_bytes
            && packet.len() <= MAX_PACKET_LEN;
        if fits {
            self.sequence = sequence;
            queue.bytes += packet.len();
            queue.packets.push_back(Packet { id: None, again: false, sequence, bytes: packet });
        }
        fits
    }

    /// Passes queued packets to `write` until it accepts no more; returns the completed commands.
    pub(crate) fn pump(
        &mut self,
        mut write: impl FnMut(Channel, &[u8]) -> WriteResult,
    ) -> Vec<(CommandId, Result<(), RoomError>)> {
        let mut done = Vec::new();
        for (channel, queue) in [(Channel::Lossy, &mut self.lossy), (Channel::Reliable, &mut self.reliable)] {
            while let Some(packet) = queue.packets.front() {
                let result = match write(channel, &packet.bytes) {
                    WriteResult::Accepted => Ok(()),
                    WriteResult::NotNow => break,
                    WriteResult::Never => {
                        Err(RoomError::Refused { detail: "the data channel does not accept it".to_owned() })
                    }
                };
                let Some(packet) = queue.packets.pop_front() else { break };
                queue.bytes = queue.bytes.saturating_sub(packet.bytes.len());
                if channel == Channel::Reliable && result.is_ok() {
                    // A repeated packet was counted the first time.
                    self.sent.unconfirmed += u64::from(packet.id.is_some());
                    self.sent.packets.push_back((packet.sequence, packet.bytes.clone()));
                    self.sent.bytes += packet.bytes.len();
                }
                done.extend(packet.id.map(|id| (id, result)));
            }
        }
        done
    }

    /// Whether a packet was sent that is not known to have arrived.
    pub(crate) fn awaits_acknowledgement(&self) -> bool {
        !self.sent.packets.is_empty()
    }

    /// The server has acknowledged all but the last `bytes` bytes of the reliable channel.
    pub(crate) fn acknowledged_but(&mut self, bytes: usize) {
        self.sent.keep_last(bytes);
    }

    /// Repeats the packets that the server has not received, before anything else.
    pub(crate) fn repeat_after(&mut self, sequence: u32) {
        let sent = std::mem::take(&mut self.sent.packets);
        self.sent.bytes = 0;
        for (sequence, bytes) in sent.into_iter().filter(|(sent, _)| *sent > sequence).rev() {
            self.reliable.bytes += bytes.len();
            self.reliable.packets.push_front(Packet { id: None, again: true, sequence, bytes });
        }
    }

    /// Ends the session: returns the maximum number of reliable packets that it may have lost. Queued packets
    /// can still be sent in another session.
    pub(crate) fn forget_sent(&mut self) -> u64 {
        let again = self.reliable.packets.iter().filter(|packet| packet.again).count();
        let lost = std::mem::take(&mut self.sent).unconfirmed;
        for packet in self.reliable.packets.iter().take(again) {
            self.reliable.bytes = self.reliable.bytes.saturating_sub(packet.bytes.len());
        }
        self.reliable.packets.drain(..again);
        lost
    }

    /// Removes all commands that are still queued.
    pub(crate) fn take_all(&mut self) -> Vec<CommandId> {
        self.lossy.bytes = 0;
        self.reliable.bytes = 0;
        let mut ids: Vec<CommandId> = self
            .lossy
            .packets
            .drain(..)
            .chain(self.reliable.packets.drain(..))
            .filter_map(|packet| packet.id)
            .collect();
        ids.sort_unstable();
        ids
    }
}

impl Sent {
    /// Drops the oldest packets while the rest still have this many bytes.
    fn keep_last(&mut self, bytes: usize) {
        if bytes == 0 {
            *self = Self::default();
        }
        while let Some((_, oldest)) = self.packets.front()
            && self.bytes - oldest.len() >= bytes
        {
            self.bytes -= oldest.len();
            self.packets.pop_front();
        }
    }
}

fn packet(message: Publish, sequence: u32) -> proto::DataPacket {
    let kind =
        if message.reliable { proto::data_packet::Kind::Reliable } else { proto::data_packet::Kind::Lossy };
    let topic = (!message.topic.is_empty()).then_some(message.topic);
    proto::DataPacket {
        kind: kind as i32,
        destination_identities: message.destinations,
        sequence,
        value: Some(Value::User(proto::UserPacket { payload: message.payload, topic, ..Default::default() })),
        ..Default::default()
    }
}

/// A received packet.
#[derive(Debug, PartialEq)]
pub(crate) enum Received {
    /// A message for the user, after at most `missed` missing ones of the same sender.
    Message { message: DataReceived, missed: u32 },
    /// A packet that this version does not support.
    Unsupported { data: Unsupported, request: Option<RpcRequest> },
    /// Nothing for the user: a repetition, or a kind of packet that is ignored.
    Nothing,
    /// Not a packet.
    Garbage,
}

/// The last sequence number of each sender, by sid.
#[derive(Default)]
pub(crate) struct DataInbox {
    last: BTreeMap<String, Last>,
}

struct Last {
    sequence: u32,
    /// Whether our session has changed since: messages to the previous session are missing.
    stale: bool,
}

/// The meaning of a sequence number.
enum Seen {
    Already,
    New { missed: u32 },
}

impl DataInbox {
    /// Decodes one packet.
    pub(crate) fn receive(&mut self, channel: Channel, bytes: &Bytes) -> Received {
        let packet: proto::DataPacket = match decode(bytes, MAX_PACKET_LEN) {
            Ok(packet) => packet,
            Err(_) => return Received::Garbage,
        };
        let reliable = channel == Channel::Reliable;
        let missed = match self.see(&packet, reliable) {
            Seen::Already => return Received::Nothing,
            Seen::New { missed } => missed,
        };
        match packet.value {
            Some(Value::User(user)) => {
                // The outer fields are the newer ones; older servers set only the inner ones.
                let sender = [packet.participant_identity, user.participant_identity];
                let message = DataReceived {
                    payload: user.payload,
                    topic: user.topic.unwrap_or_default(),
                    sender: sender.into_iter().find(|identity| !identity.is_empty()),
                    reliable,
                };
                Received::Message { message, missed }
            }
            Some(other) => match unsupported::of(other, packet.participant_identity) {
                Some((data, request)) => Received::Unsupported { data, request },
                None => Received::Nothing,
            },
            None => Received::Nothing,
        }
    }

    fn see(&mut self, packet: &proto::DataPacket, reliable: bool) -> Seen {
        const NOTHING: Seen = Seen::New { missed: 0 };
        if !reliable || packet.sequence == 0 || packet.participant_sid.is_empty() {
            return NOTHING;
        }
        if let Some(last) = self.last.get_mut(&packet.participant_sid) {
            if packet.sequence <= last.sequence {
                return Seen::Already;
            }
            // Within a session a gap is a message for another recipient.
            let missed = if last.stale { packet.sequence - last.sequence - 1 } else { 0 };
            *last = Last { sequence: packet.sequence, stale: false };
            return Seen::New { missed };
        }
        if self.last.len() >= MAX_SENDERS {
            // More senders than a room has participants: only one who left long ago can be forgotten wrongly.
            self.last.pop_first();
        }
        self.last.insert(packet.participant_sid.clone(), Last { sequence: packet.sequence, stale: false });
        NOTHING
    }

    /// The last sequence number of each sender.
    pub(crate) fn received(&self) -> Vec<(String, u32)> {
        self.last.iter().map(|(sid, last)| (sid.clone(), last.sequence)).collect()
    }

    /// Our session is a new one from now on.
    pub(crate) fn another_session(&mut self) {
        for last in self.last.values_mut() {
            last.stale = true;
        }
    }

    /// Drops the sequence number of a participant who has left.
    pub(crate) fn forget(&mut self, sid: &str) {
        self.last.remove(sid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Limits {
        Limits { queued_packets: 2, queued_bytes: 100_000, ..Limits::default() }
    }

    fn lossy(payload: &'static [u8]) -> Publish {
        Publish { reliable: false, ..Publish::new("t", payload) }
    }

    fn sent(outbox: &mut DataOutbox) -> Vec<(Channel, u32)> {
        let mut packets = Vec::new();
        outbox.pump(|channel, bytes| {
            let packet: proto::DataPacket = decode(&bytes.to_vec().into(), MAX_PACKET_LEN).unwrap();
            packets.push((channel, packet.sequence));
            WriteResult::Accepted
        });
        packets
    }

    #[test]
    fn reliable_packets_are_numbered_and_keep_their_order() {
        let mut outbox = DataOutbox::new();
        for id in 0..2 {
            outbox.push(id, Publish::new("t", "r"), &small()).unwrap();
        }
        outbox.push(2, lossy(b"l"), &small()).unwrap();
        assert_eq!(sent(&mut outbox), [(Channel::Lossy, 0), (Channel::Reliable, 1), (Channel::Reliable, 2)]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_full_channel_keeps_the_rest_for_later() {
        let mut outbox = DataOutbox::new();
        outbox.push(7, Publish::new("t", "a"), &small()).unwrap();
        outbox.push(8, Publish::new("t", "b"), &small()).unwrap();
        let mut room_for = 1;
        let done = outbox.pump(|_, _| {
            room_for -= 1;
            if room_for >= 0 { WriteResult::Accepted } else { WriteResult::NotNow }
        });
        assert_eq!(done, [(7, Ok(()))]);
        assert_eq!(outbox.take_all(), [8]);
    }

    #[test]
    fn the_queues_are_bounded_by_number_and_bytes() {
        let mut outbox = DataOutbox::new();
        outbox.push(1, Publish::new("t", "a"), &small()).unwrap();
        outbox.push(2, Publish::new("t", "b"), &small()).unwrap();
        assert_eq!(outbox.push(3, Publish::new("t", "c"), &small()), Err(RoomError::QueueFull));
        // The other channel has a queue of its own.
        outbox.push(4, lossy(b"d"), &small()).unwrap();

        let mut outbox = DataOutbox::new();
        outbox.push(1, Publish::new("t", vec![0; 60_000]), &small()).unwrap();
        assert_eq!(outbox.push(2, Publish::new("t", vec![0; 60_000]), &small()), Err(RoomError::QueueFull));
        // A refused message gets no sequence number.
        outbox.push(3, Publish::new("t", "b"), &small()).unwrap();
        assert_eq!(sent(&mut outbox), [(Channel::Reliable, 1), (Channel::Reliable, 2)]);
        // A sent message no longer counts towards the limit.
        outbox.push(4, Publish::new("t", vec![0; 60_000]), &small()).unwrap();
    }

    #[test]
    fn too_large_is_refused_by_name() {
        let mut outbox = DataOutbox::new();
        outbox.push(1, Publish::new("t", vec![0; MAX_PAYLOAD_LEN]), &small()).unwrap();
        let error = outbox.push(2, Publish::new("t", vec![0; MAX_PAYLOAD_LEN + 1]), &small()).unwrap_err();
        assert_eq!(error, RoomError::PayloadTooLarge { len: 64_001 });
        assert!(error.to_string().contains("64000"), "{error}");
        let mut wide = Publish::new("t", vec![0; 30_000]);
        wide.destinations = vec!["x".repeat(250); 200];
        let error = outbox.push(3, wide, &small()).unwrap_err();
        assert!(matches!(error, RoomError::PacketTooLarge { len: 80_000.., limit: 65_535 }), "{error:?}");
    }

    fn packet(sid: &str, sequence: u32) -> Bytes {
        encode(&proto::DataPacket {
            participant_sid: sid.to_owned(),
            participant_identity: "ada".to_owned(),
            sequence,
            value: Some(Value::User(proto::UserPacket::default())),
            ..Default::default()
        })
    }

    #[test]
    fn a_repeated_reliable_packet_is_dropped() {
        let mut inbox = DataInbox::default();
        let mut taken = |channel, sid: &str, sequence| {
            matches!(inbox.receive(channel, &packet(sid, sequence)), Received::Message { .. })
        };
        assert!(taken(Channel::Reliable, "PA_1", 1));
        assert!(!taken(Channel::Reliable, "PA_1", 1));
        assert!(taken(Channel::Reliable, "PA_1", 3));
        assert!(!taken(Channel::Reliable, "PA_1", 2));
        assert!(taken(Channel::Reliable, "PA_2", 1), "each sender counts by itself");
        assert!(taken(Channel::Lossy, "PA_1", 1), "the lossy channel is not counted");
        for _ in 0..2 {
            assert!(taken(Channel::Reliable, "PA_1", 0), "the server API does not count");
        }
    }

    #[test]
    fn there_is_no_sender_for_the_server_api() {
        let mut inbox = DataInbox::default();
        let mut sender = |outer: &str, inner: &str| {
            let user = proto::UserPacket { participant_identity: inner.to_owned(), ..Default::default() };
            let packet = proto::DataPacket {
                participant_identity: outer.to_owned(),
                value: Some(Value::User(user)),
                ..Default::default()
            };
            match inbox.receive(Channel::Lossy, &encode(&packet)) {
                Received::Message { message, .. } => message.sender,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(sender("", ""), None);
        assert_eq!(sender("ada", ""), Some("ada".to_owned()));
        assert_eq!(sender("", "bob"), Some("bob".to_owned()));
    }

    #[test]
    fn other_packets_are_not_ours_and_garbage_is_garbage() {
        let mut inbox = DataInbox::default();
        let rpc =
            proto::DataPacket { value: Some(Value::RpcAck(proto::RpcAck::default())), ..Default::default() };
        assert_eq!(inbox.receive(Channel::Reliable, &encode(&rpc)), Received::Nothing);
        assert_eq!(inbox.receive(Channel::Reliable, &Bytes::from_static(b"\xff")), Received::Garbage);
        assert_eq!(inbox.receive(Channel::Reliable, &vec![0; 70_000].into()), Received::Garbage);
    }
}
