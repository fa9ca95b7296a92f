//! Received data packets: those that are new.

use std::collections::BTreeMap;

use bytes::Bytes;

use agent_proto::{decode, livekit as proto};

use super::Channel;
use crate::streams::{PacketSender, StreamPacket};
use crate::{ChatMessage, DataReceived, MAX_PACKET_LEN, RoomEvent, Transcription, dtmf};
use proto::data_packet::Value;

/// Maximum number of senders whose last sequence number is kept.
const MAX_SENDERS: usize = 10_000;

/// A received packet.
#[derive(Debug, PartialEq)]
pub(crate) enum Received {
    /// A message for the user, after at most `missed` missing ones of the same sender.
    Message { message: DataReceived, missed: u32 },
    /// A packet of a stream, after at most `missed` missing packets of the same sender.
    Stream { sender: PacketSender, packet: StreamPacket, missed: u32 },
    /// A packet of a call, from this identity, after at most `missed` missing packets of the same sender.
    Rpc { sender: String, value: Box<Value>, missed: u32 },
    /// A packet that is one event for the user, after at most `missed` missing packets of the same sender.
    Event { sender: String, event: RoomEvent, missed: u32 },
    /// Nothing for the user: a repetition, or a kind of packet that is ignored.
    Nothing,
    /// Not a packet, or one whose content is invalid.
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
    /// Decodes one packet, whose content `open` decrypts: with the identity of its sender.
    pub(crate) fn receive(
        &mut self,
        channel: Channel,
        bytes: &Bytes,
        open: impl FnOnce(&str, proto::EncryptedPacket) -> Option<Value>,
    ) -> Received {
        let packet: proto::DataPacket = match decode(bytes, MAX_PACKET_LEN) {
            Ok(packet) => packet,
            Err(_) => return Received::Garbage,
        };
        let reliable = channel == Channel::Reliable;
        let missed = match self.see(&packet, reliable) {
            Seen::Already => return Received::Nothing,
            Seen::New { missed } => missed,
        };
        let encrypted = matches!(packet.value, Some(Value::EncryptedPacket(_)));
        let value = match packet.value {
            Some(Value::EncryptedPacket(sealed)) => open(&packet.participant_identity, sealed),
            value => value,
        };
        match value {
            Some(Value::User(user)) => {
                // The outer fields are the newer ones; older servers set only the inner ones.
                let sender = [packet.participant_identity, user.participant_identity];
                let message = DataReceived {
                    payload: user.payload,
                    topic: user.topic.unwrap_or_default(),
                    sender: sender.into_iter().find(|identity| !identity.is_empty()),
                    reliable,
                    encrypted,
                };
                Received::Message { message, missed }
            }
            Some(other) => match StreamPacket::of(other) {
                Ok(part) => {
                    let sender =
                        PacketSender { sid: packet.participant_sid, identity: packet.participant_identity };
                    Received::Stream { sender, packet: part, missed }
                }
                Err(value)
                    if matches!(*value, Value::RpcRequest(_) | Value::RpcAck(_) | Value::RpcResponse(_)) =>
                {
                    Received::Rpc { sender: packet.participant_identity, value, missed }
                }
                Err(other) => one_event(*other, packet.participant_identity, missed),
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

/// A packet that is one event.
fn one_event(value: Value, sender: String, missed: u32) -> Received {
    let event = match value {
        Value::SipDtmf(packet) => dtmf::event(&packet, &sender),
        Value::ChatMessage(chat) => {
            Some(RoomEvent::ChatMessageReceived(ChatMessage::from_wire(chat, sender.clone())))
        }
        Value::Transcription(transcription) => {
            Transcription::from_wire(transcription, sender.clone()).map(RoomEvent::TranscriptionReceived)
        }
        // Items for recorders and dashboards.
        _ => return Received::Nothing,
    };
    event.map_or(Received::Garbage, |event| Received::Event { sender, event, missed })
}

#[cfg(test)]
mod tests {
    use agent_proto::encode;

    use super::*;

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
            matches!(inbox.receive(channel, &packet(sid, sequence), |_, _| None), Received::Message { .. })
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
            match inbox.receive(Channel::Lossy, &encode(&packet), |_, _| None) {
                Received::Message { message, .. } => message.sender,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(sender("", ""), None);
        assert_eq!(sender("ada", ""), Some("ada".to_owned()));
        assert_eq!(sender("", "bob"), Some("bob".to_owned()));
    }

    #[test]
    fn packets_of_one_event_are_numbered_and_checked() {
        let mut inbox = DataInbox::default();
        let mut receive = |sequence, value| {
            let packet = proto::DataPacket {
                participant_sid: "PA_1".to_owned(),
                participant_identity: "ada".to_owned(),
                sequence,
                value: Some(value),
                ..Default::default()
            };
            inbox.receive(Channel::Reliable, &encode(&packet), |_, _| None)
        };
        let key = |code| Value::SipDtmf(proto::SipDtmf { code, ..Default::default() });
        let received = RoomEvent::DtmfReceived { sender: "ada".to_owned(), code: 10, digit: '*' };
        let event = |event| Received::Event { sender: "ada".to_owned(), event, missed: 0 };
        assert_eq!(receive(1, key(10)), event(received));
        assert_eq!(receive(1, key(10)), Received::Nothing, "a repetition");
        assert_eq!(receive(2, key(16)), Received::Garbage);

        let chat =
            proto::ChatMessage { edit_timestamp: Some(7), message: "hi".to_owned(), ..Default::default() };
        let expected = ChatMessage { edit_timestamp_ms: Some(7), ..ChatMessage::new("ada", "hi") };
        assert_eq!(receive(3, Value::ChatMessage(chat)), event(RoomEvent::ChatMessageReceived(expected)));

        let transcription = |segments| {
            let segment = proto::TranscriptionSegment { r#final: true, ..Default::default() };
            Value::Transcription(proto::Transcription {
                transcribed_participant_identity: "bob".to_owned(),
                segments: vec![segment; segments],
                ..Default::default()
            })
        };
        let Received::Event { event: RoomEvent::TranscriptionReceived(text), .. } =
            receive(4, transcription(256))
        else {
            panic!("a transcription")
        };
        assert_eq!(
            (text.sender.as_str(), text.participant.as_str(), text.segments.len()),
            ("ada", "bob", 256)
        );
        assert!(text.segments.iter().all(|segment| segment.is_final));
        assert_eq!(receive(5, transcription(257)), Received::Garbage);
    }

    #[test]
    fn other_packets_are_not_ours_and_garbage_is_garbage() {
        let mut inbox = DataInbox::default();
        let other = proto::DataPacket {
            value: Some(Value::Speaker(proto::ActiveSpeakerUpdate::default())),
            ..Default::default()
        };
        assert_eq!(inbox.receive(Channel::Reliable, &encode(&other), |_, _| None), Received::Nothing);
        assert_eq!(
            inbox.receive(Channel::Reliable, &Bytes::from_static(b"\xff"), |_, _| None),
            Received::Garbage
        );
        assert_eq!(inbox.receive(Channel::Reliable, &vec![0; 70_000].into(), |_, _| None), Received::Garbage);
    }
}
