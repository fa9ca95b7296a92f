//! Packets of streams that wait for the event that must precede them.

use std::collections::VecDeque;
use std::mem;

use agent_proto::{QueueLimits, encode};

use super::{PacketSender, StreamPacket};

/// Received packets, limited like the messages of a slow reader. One that does not fit is missing in its
/// stream, which fails then.
#[derive(Default)]
pub(crate) struct EarlyPackets {
    packets: VecDeque<(PacketSender, StreamPacket)>,
    bytes: usize,
}

impl EarlyPackets {
    /// Adds a packet. `false`: it does not fit.
    pub(crate) fn push(&mut self, sender: PacketSender, packet: StreamPacket) -> bool {
        let bytes = self.bytes.saturating_add(bytes(&sender, &packet));
        if QueueLimits::default().exceeded(self.packets.len() + 1, bytes) {
            return false;
        }
        self.packets.push_back((sender, packet));
        self.bytes = bytes;
        true
    }

    /// Takes all packets.
    pub(crate) fn take(&mut self) -> VecDeque<(PacketSender, StreamPacket)> {
        mem::take(self).packets
    }
}

fn bytes(sender: &PacketSender, packet: &StreamPacket) -> usize {
    let attribute = size_of::<(String, String)>();
    let packet = match packet {
        StreamPacket::Header(header) => encode(header).len() + header.attributes.len() * attribute,
        StreamPacket::Chunk(chunk) => chunk.content.len() + chunk.stream_id.len(),
        StreamPacket::Trailer(trailer) => encode(trailer).len() + trailer.attributes.len() * attribute,
    };
    sender.sid.len() + sender.identity.len() + packet
}

#[cfg(test)]
mod tests {
    use agent_proto::livekit::data_stream::{Chunk, Header, Trailer};

    use super::*;

    fn fits(packet: &StreamPacket, early: &mut EarlyPackets) -> bool {
        early.push(PacketSender::default(), packet.clone())
    }

    #[test]
    fn packets_are_bounded_in_number_and_bytes_of_any_part() {
        let text = "x".repeat(64 * 1024);
        let attributes = || [("key".to_owned(), text.clone())].into();
        let large = [
            StreamPacket::Chunk(Chunk { content: text.clone().into(), ..Default::default() }),
            StreamPacket::Header(Header { topic: text.clone(), ..Default::default() }),
            StreamPacket::Header(Header { attributes: attributes(), ..Default::default() }),
            StreamPacket::Trailer(Trailer { attributes: attributes(), ..Default::default() }),
        ];
        for packet in large {
            let mut early = EarlyPackets::default();
            let taken = (0..100).filter(|_| fits(&packet, &mut early)).count();
            assert!((62..=64).contains(&taken), "{taken}");
            assert_eq!(early.take().len(), taken);
            assert!(fits(&packet, &mut early), "there is space again");
        }
        let mut early = EarlyPackets::default();
        let small = StreamPacket::Chunk(Chunk::default());
        assert_eq!((0..2000).filter(|_| fits(&small, &mut early)).count(), 1024);
    }
}
