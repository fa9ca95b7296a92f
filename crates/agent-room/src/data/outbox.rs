//! The send queue of the data channels.

use std::collections::VecDeque;

use bytes::Bytes;

use agent_proto::{encode, livekit as proto};

use super::{Channel, WriteResult};
use crate::streams::StreamOut;
use crate::{CommandId, Limits, MAX_PACKET_LEN, MAX_PAYLOAD_LEN, Publish, RoomError};
use proto::data_packet::Value;

/// Who is notified when the channel has accepted a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PacketOwner {
    Command(CommandId),
    /// The stream of this number.
    Stream(u64),
    /// Nobody.
    Room,
}

impl PacketOwner {
    const fn command(self) -> Option<CommandId> {
        match self {
            Self::Command(id) => Some(id),
            Self::Stream(_) | Self::Room => None,
        }
    }
}

/// Packets that wait for their channel.
pub(crate) struct DataOutbox {
    /// Sent first, so that lossy packets do not wait behind many reliable ones.
    lossy: Queue,
    reliable: Queue,
    /// Packets of data tracks, after everything else.
    frames: Queue,
    sequence: u32,
    sent: Sent,
}

#[derive(Default)]
struct Queue {
    packets: VecDeque<Packet>,
    bytes: usize,
}

struct Packet {
    owner: PacketOwner,
    /// Whether it is repeated after a resume.
    resent: bool,
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
        Self {
            lossy: Queue::default(),
            reliable: Queue::default(),
            frames: Queue::default(),
            sequence: 0,
            sent: Sent::default(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        [&self.lossy, &self.reliable, &self.frames].iter().all(|queue| queue.packets.is_empty())
    }

    /// Queues one message, as `seal` leaves it.
    pub(crate) fn push(
        &mut self,
        id: CommandId,
        message: Publish,
        limits: &Limits,
        seal: impl FnOnce(Value) -> Result<Value, RoomError>,
    ) -> Result<(), RoomError> {
        let len = message.payload.len();
        if len > MAX_PAYLOAD_LEN {
            return Err(RoomError::PayloadTooLarge { len });
        }
        let Publish { payload, topic, destinations, reliable } = message;
        let topic = (!topic.is_empty()).then_some(topic);
        let value = Value::User(proto::UserPacket { payload, topic, ..Default::default() });
        self.queue(PacketOwner::Command(id), reliable, destinations, seal(value)?, limits)
    }

    /// Queues a reliable packet of one event.
    pub(crate) fn push_event(
        &mut self,
        id: CommandId,
        destinations: Vec<String>,
        value: Value,
        limits: &Limits,
    ) -> Result<(), RoomError> {
        self.queue(PacketOwner::Command(id), true, destinations, value, limits)
    }

    /// Queues a reliable packet of our own. `false`: the queue is full.
    pub(crate) fn push_own(&mut self, destination: &str, value: Value, limits: &Limits) -> bool {
        self.queue(PacketOwner::Room, true, vec![destination.to_owned()], value, limits).is_ok()
    }

    fn queue(
        &mut self,
        owner: PacketOwner,
        reliable: bool,
        destinations: Vec<String>,
        value: Value,
        limits: &Limits,
    ) -> Result<(), RoomError> {
        let queue = if reliable { &mut self.reliable } else { &mut self.lossy };
        if queue.packets.len() >= limits.queued_packets {
            return Err(RoomError::QueueFull);
        }
        let (kind, sequence) = match reliable {
            true => (proto::data_packet::Kind::Reliable, self.sequence.wrapping_add(1)),
            false => (proto::data_packet::Kind::Lossy, 0),
        };
        let bytes = encode(&proto::DataPacket {
            kind: kind as i32,
            destination_identities: destinations,
            sequence,
            value: Some(value),
            ..Default::default()
        });
        if bytes.len() > MAX_PACKET_LEN {
            return Err(RoomError::PacketTooLarge { len: bytes.len(), limit: MAX_PACKET_LEN });
        }
        if queue.bytes + bytes.len() > limits.queued_bytes {
            return Err(RoomError::QueueFull);
        }
        if reliable {
            self.sequence = sequence;
        }
        queue.bytes += bytes.len();
        queue.packets.push_back(Packet { owner, resent: false, sequence, bytes });
        Ok(())
    }

    /// Queues the packets of a frame of a data track; the command is completed with the last one.
    pub(crate) fn push_frame(
        &mut self,
        id: CommandId,
        packets: Vec<Bytes>,
        limits: &Limits,
    ) -> Result<(), RoomError> {
        let queue = &mut self.frames;
        let bytes: usize = packets.iter().map(Bytes::len).sum();
        if queue.packets.len() + packets.len() > limits.queued_packets
            || queue.bytes + bytes > limits.queued_bytes
        {
            return Err(RoomError::QueueFull);
        }
        queue.bytes += bytes;
        let last = packets.len();
        for (number, bytes) in (1..).zip(packets) {
            let owner = if number == last { PacketOwner::Command(id) } else { PacketOwner::Room };
            queue.packets.push_back(Packet { owner, resent: false, sequence: 0, bytes });
        }
        Ok(())
    }

    /// Drops the packets of data tracks; returns the commands that wait for them.
    pub(crate) fn drop_frames(&mut self) -> Vec<CommandId> {
        std::mem::take(&mut self.frames)
            .packets
            .into_iter()
            .filter_map(|packet| packet.owner.command())
            .collect()
    }

    /// Whether the next packet of a stream would be sent at once.
    pub(crate) fn has_room_for_streams(&self) -> bool {
        self.reliable.packets.is_empty()
    }

    /// Queues the packet of a stream, which is within the limits of a packet.
    pub(crate) fn push_stream(&mut self, packet: StreamOut) {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = encode(&proto::DataPacket {
            kind: proto::data_packet::Kind::Reliable as i32,
            destination_identities: packet.destinations,
            participant_identity: packet.sender,
            sequence: self.sequence,
            value: Some(packet.value),
            ..Default::default()
        });
        self.reliable.bytes += bytes.len();
        let owner = PacketOwner::Stream(packet.stream);
        self.reliable.packets.push_back(Packet { owner, resent: false, sequence: self.sequence, bytes });
    }

    /// Removes the packets of streams that failed.
    pub(crate) fn drop_streams(&mut self, streams: &[u64]) {
        let Queue { packets, bytes } = &mut self.reliable;
        packets.retain(|packet| {
            let dropped = matches!(packet.owner, PacketOwner::Stream(stream) if streams.contains(&stream));
            if dropped {
                *bytes = bytes.saturating_sub(packet.bytes.len());
            }
            !dropped
        });
    }

    /// Passes queued packets to `write` until it accepts no more; returns the owners of the completed ones.
    pub(crate) fn pump(
        &mut self,
        mut write: impl FnMut(Channel, &[u8]) -> WriteResult,
    ) -> Vec<(PacketOwner, Result<(), RoomError>)> {
        let mut done = Vec::new();
        let queues = [
            (Channel::Lossy, &mut self.lossy),
            (Channel::Reliable, &mut self.reliable),
            (Channel::DataTrack, &mut self.frames),
        ];
        for (channel, queue) in queues {
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
                    self.sent.unconfirmed += u64::from(packet.owner != PacketOwner::Room);
                    self.sent.packets.push_back((packet.sequence, packet.bytes.clone()));
                    self.sent.bytes += packet.bytes.len();
                }
                done.push((packet.owner, result));
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
            self.reliable.packets.push_front(Packet {
                owner: PacketOwner::Room,
                resent: true,
                sequence,
                bytes,
            });
        }
    }

    /// Ends the session: returns the maximum number of reliable packets that it may have lost. Queued packets
    /// can still be sent in another session.
    pub(crate) fn forget_sent(&mut self) -> u64 {
        let resent = self.reliable.packets.iter().filter(|packet| packet.resent).count();
        let lost = std::mem::take(&mut self.sent).unconfirmed;
        for packet in self.reliable.packets.iter().take(resent) {
            self.reliable.bytes = self.reliable.bytes.saturating_sub(packet.bytes.len());
        }
        self.reliable.packets.drain(..resent);
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
            .filter_map(|packet| packet.owner.command())
            .collect();
        ids.extend(self.drop_frames());
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

#[cfg(test)]
mod tests {
    use agent_proto::decode;

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
            outbox.push(id, Publish::new("t", "r"), &small(), Ok).unwrap();
        }
        outbox.push(2, lossy(b"l"), &small(), Ok).unwrap();
        assert_eq!(sent(&mut outbox), [(Channel::Lossy, 0), (Channel::Reliable, 1), (Channel::Reliable, 2)]);
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_full_channel_keeps_the_rest_for_later() {
        let mut outbox = DataOutbox::new();
        outbox.push(7, Publish::new("t", "a"), &small(), Ok).unwrap();
        outbox.push(8, Publish::new("t", "b"), &small(), Ok).unwrap();
        let mut room_for = 1;
        let done = outbox.pump(|_, _| {
            room_for -= 1;
            if room_for >= 0 { WriteResult::Accepted } else { WriteResult::NotNow }
        });
        assert_eq!(done, [(PacketOwner::Command(7), Ok(()))]);
        assert_eq!(outbox.take_all(), [8]);
    }

    #[test]
    fn the_queues_are_bounded_by_number_and_bytes() {
        let mut outbox = DataOutbox::new();
        outbox.push(1, Publish::new("t", "a"), &small(), Ok).unwrap();
        outbox.push(2, Publish::new("t", "b"), &small(), Ok).unwrap();
        assert_eq!(outbox.push(3, Publish::new("t", "c"), &small(), Ok), Err(RoomError::QueueFull));
        // The other channel has a queue of its own.
        outbox.push(4, lossy(b"d"), &small(), Ok).unwrap();

        let mut outbox = DataOutbox::new();
        outbox.push(1, Publish::new("t", vec![0; 60_000]), &small(), Ok).unwrap();
        assert_eq!(
            outbox.push(2, Publish::new("t", vec![0; 60_000]), &small(), Ok),
            Err(RoomError::QueueFull)
        );
        // A refused message gets no sequence number.
        outbox.push(3, Publish::new("t", "b"), &small(), Ok).unwrap();
        assert_eq!(sent(&mut outbox), [(Channel::Reliable, 1), (Channel::Reliable, 2)]);
        // A sent message no longer counts towards the limit.
        outbox.push(4, Publish::new("t", vec![0; 60_000]), &small(), Ok).unwrap();
    }

    #[test]
    fn too_large_is_refused_by_name() {
        let mut outbox = DataOutbox::new();
        outbox.push(1, Publish::new("t", vec![0; MAX_PAYLOAD_LEN]), &small(), Ok).unwrap();
        let error =
            outbox.push(2, Publish::new("t", vec![0; MAX_PAYLOAD_LEN + 1]), &small(), Ok).unwrap_err();
        assert_eq!(error, RoomError::PayloadTooLarge { len: 64_001 });
        assert!(error.to_string().contains("64000"), "{error}");
        let mut wide = Publish::new("t", vec![0; 30_000]);
        wide.destinations = vec!["x".repeat(250); 200];
        let error = outbox.push(3, wide, &small(), Ok).unwrap_err();
        assert!(matches!(error, RoomError::PacketTooLarge { len: 80_000.., limit: 65_535 }), "{error:?}");
    }
}
