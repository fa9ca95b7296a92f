//! Data packets: what waits to be sent, and what has been received already.
//!
//! Both are plain bookkeeping. A packet gets its sequence number when it is queued, because the reliable channel keeps the
//! order; a reliable packet that was seen already (the server repeats some after a resume) is dropped.

use crate::{CommandError, CommandId, DataReceived, Limits, MAX_PAYLOAD_LEN, Publish};
use agent_proto::{decode, encode, livekit as proto};
use bytes::Bytes;
use proto::data_packet::Value;
use std::collections::{BTreeMap, VecDeque};

/// The longest packet that the server takes, in bytes.
const MAX_PACKET_LEN: usize = 65_535;
/// Senders whose last sequence number is remembered.
const MAX_SENDERS: usize = 10_000;

/// The two data channels that user data goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Channel {
    /// In order, repeated until it arrives.
    Reliable,
    /// Sent once.
    Lossy,
}

/// What became of an attempt to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// Taken.
    Accepted,
    /// The channel is not open yet, or its buffer is full: later.
    NotNow,
    /// This packet can never be sent.
    Never,
}

/// Packets that wait for their channel.
pub(crate) struct Outbox {
    /// Lossy first: what is fresh does not wait behind what is many.
    lossy: Queue,
    reliable: Queue,
    sequence: u32,
}

#[derive(Default)]
struct Queue {
    packets: VecDeque<(CommandId, Bytes)>,
    bytes: usize,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self { lossy: Queue::default(), reliable: Queue::default(), sequence: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lossy.packets.is_empty() && self.reliable.packets.is_empty()
    }

    /// Queues one message.
    pub(crate) fn push(
        &mut self,
        id: CommandId,
        message: Publish,
        limits: &Limits,
    ) -> Result<(), CommandError> {
        let len = message.payload.len();
        if len > MAX_PAYLOAD_LEN {
            return Err(CommandError::PayloadTooLarge { len });
        }
        let reliable = message.reliable;
        let queue = if reliable { &mut self.reliable } else { &mut self.lossy };
        if queue.packets.len() >= limits.queued_packets || queue.bytes + len > limits.queued_bytes {
            return Err(CommandError::QueueFull);
        }
        let sequence = if reliable { self.sequence.wrapping_add(1) } else { 0 };
        let packet = encode(&packet(message, sequence));
        if packet.len() > MAX_PACKET_LEN {
            return Err(CommandError::PacketTooLarge { len: packet.len(), limit: MAX_PACKET_LEN });
        }
        if reliable {
            self.sequence = sequence;
        }
        queue.bytes += packet.len();
        queue.packets.push_back((id, packet));
        Ok(())
    }

    /// Gives `write` what waits until it takes no more; says which commands are done.
    pub(crate) fn pump(
        &mut self,
        mut write: impl FnMut(Channel, &[u8]) -> Written,
    ) -> Vec<(CommandId, Result<(), CommandError>)> {
        let mut done = Vec::new();
        for (channel, queue) in [(Channel::Lossy, &mut self.lossy), (Channel::Reliable, &mut self.reliable)] {
            while let Some((id, packet)) = queue.packets.front() {
                let result = match write(channel, packet) {
                    Written::Accepted => Ok(()),
                    Written::NotNow => break,
                    Written::Never => {
                        Err(CommandError::Refused { detail: "the data channel does not take it".to_owned() })
                    }
                };
                done.push((*id, result));
                queue.bytes = queue.bytes.saturating_sub(packet.len());
                queue.packets.pop_front();
            }
        }
        done
    }

    /// All commands that still wait.
    pub(crate) fn take_all(&mut self) -> Vec<CommandId> {
        self.lossy.bytes = 0;
        self.reliable.bytes = 0;
        let mut ids: Vec<CommandId> =
            self.lossy.packets.drain(..).chain(self.reliable.packets.drain(..)).map(|(id, _)| id).collect();
        ids.sort_unstable();
        ids
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

/// What came in.
#[derive(Debug, PartialEq)]
pub(crate) enum Received {
    /// A message for the user.
    Message(DataReceived),
    /// Nothing for the user: a repetition, or a kind of packet that is not ours to read.
    Nothing,
    /// Not a packet.
    Garbage,
}

/// The last sequence number of each sender.
#[derive(Default)]
pub(crate) struct Inbox {
    last: BTreeMap<String, u32>,
}

impl Inbox {
    /// Reads one packet.
    pub(crate) fn receive(&mut self, channel: Channel, bytes: &Bytes) -> Received {
        let packet: proto::DataPacket = match decode(bytes, MAX_PACKET_LEN) {
            Ok(packet) => packet,
            Err(_) => return Received::Garbage,
        };
        let reliable = channel == Channel::Reliable;
        if reliable && self.seen(&packet) {
            return Received::Nothing;
        }
        match packet.value {
            Some(Value::User(user)) => {
                // The outer fields are the newer ones; older servers fill in the inner ones only.
                let sender = [packet.participant_identity, user.participant_identity];
                Received::Message(DataReceived {
                    payload: user.payload,
                    topic: user.topic.unwrap_or_default(),
                    sender: sender.into_iter().find(|identity| !identity.is_empty()),
                    reliable,
                })
            }
            Some(_) | None => Received::Nothing,
        }
    }

    fn seen(&mut self, packet: &proto::DataPacket) -> bool {
        if packet.sequence == 0 || packet.participant_sid.is_empty() {
            return false;
        }
        if let Some(last) = self.last.get_mut(&packet.participant_sid) {
            let seen = packet.sequence <= *last;
            *last = packet.sequence.max(*last);
            return seen;
        }
        if self.last.len() >= MAX_SENDERS {
            // More senders than a room holds: only somebody long gone can be forgotten wrongly.
            self.last.pop_first();
        }
        self.last.insert(packet.participant_sid.clone(), packet.sequence);
        false
    }

    /// Somebody left: their numbers are not needed any more.
    pub(crate) fn forget(&mut self, sid: &str) {
        self.last.remove(sid);
    }
}
