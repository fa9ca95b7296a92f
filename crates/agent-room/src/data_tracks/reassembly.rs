//! Puts the frames of one data track together from its packets.
//!
//! Packets may be lost, repeated and out of order. One frame at a time is incomplete: the first packet of a
//! later frame ends it, as readers of a data track need the newest frame and not all of them.

use std::collections::BTreeMap;
use std::mem;

use bytes::{Bytes, BytesMut};

use super::DataTrackFrame;
use super::packet::{Extensions, FrameEncryption, Packet};

/// Maximum number of packets of a frame, as in LiveKit's SDKs: 2 MB.
const MAX_PACKETS: usize = 128;
/// The size for which a waiting packet is counted in addition to its payload, in bytes.
const PACKET_BYTES: usize = 64;
/// A packet that is fewer frames behind the newest one is late. One that is farther behind is from a
/// publisher that has restarted its count, or came after a gap in which the numbers wrapped around.
const LATE: u16 = 256;

/// The frames of one track.
#[derive(Debug, Default)]
pub(super) struct Reassembly {
    partial: Option<Partial>,
    /// The number of the last frame that is complete or was given up.
    done: Option<u16>,
    /// The number of frames that were given up.
    dropped: u64,
}

/// A frame of which packets are missing.
#[derive(Debug)]
struct Partial {
    frame: u16,
    start: Option<u16>,
    last: Option<u16>,
    extensions: Extensions,
    /// By sequence number.
    payloads: BTreeMap<u16, Bytes>,
    bytes: usize,
}

/// A complete frame.
#[derive(Debug, PartialEq)]
pub(super) struct Reassembled {
    pub(super) frame: DataTrackFrame,
    /// How its payload is encrypted.
    pub(super) encryption: Option<FrameEncryption>,
}

impl Reassembly {
    /// Takes a packet; returns the frame that it completes.
    pub(super) fn push(&mut self, packet: Packet) -> Option<Reassembled> {
        let newest = self.partial.as_ref().map(|partial| partial.frame).or(self.done);
        let current = self.partial.as_ref().is_some_and(|partial| partial.frame == packet.frame);
        if !current {
            // A packet of an earlier frame, or another one of a frame that is complete.
            if newest.is_some_and(|newest| newest.wrapping_sub(packet.frame) < LATE) {
                return None;
            }
            self.give_up();
            self.done = Some(packet.frame);
            if packet.start && packet.last {
                return Some(reassembled(packet.extensions, packet.payload));
            }
            self.partial = Some(Partial::new(packet.frame));
        }
        let partial = self.partial.as_mut()?;
        partial.add(packet);
        if partial.payloads.len() > MAX_PACKETS {
            self.give_up();
        } else if partial.is_complete() {
            let partial = self.partial.take()?;
            return Some(partial.whole());
        }
        None
    }

    /// The length of what waits for more packets, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.bytes)
    }

    /// Drops the incomplete frame.
    pub(super) fn give_up(&mut self) {
        if let Some(partial) = self.partial.take() {
            self.done = Some(partial.frame);
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// The number of frames that were given up since the last call.
    pub(super) const fn take_dropped(&mut self) -> u64 {
        mem::replace(&mut self.dropped, 0)
    }
}

impl Partial {
    fn new(frame: u16) -> Self {
        Self {
            frame,
            start: None,
            last: None,
            extensions: Extensions::default(),
            payloads: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Adds a packet; of two with the same number the first counts.
    fn add(&mut self, packet: Packet) {
        if self.payloads.contains_key(&packet.sequence) {
            return;
        }
        if packet.start {
            self.start = Some(packet.sequence);
            self.extensions = packet.extensions;
        }
        if packet.last {
            self.last = Some(packet.sequence);
        }
        // A copy: a small payload would keep the memory of a large message.
        let payload = Bytes::copy_from_slice(&packet.payload);
        self.bytes += PACKET_BYTES + payload.len();
        self.payloads.insert(packet.sequence, payload);
    }

    /// The sequence numbers from the first to the last packet, if both have arrived.
    fn numbers(&self) -> Option<impl Iterator<Item = u16> + use<>> {
        let (start, last) = (self.start?, self.last?);
        Some((0..=last.wrapping_sub(start)).map(move |offset| start.wrapping_add(offset)))
    }

    fn is_complete(&self) -> bool {
        self.numbers().is_some_and(|numbers| {
            let (mut numbers, count) = (numbers, self.payloads.len());
            // Short of the last number there are at most as many as packets.
            numbers.size_hint().0 <= count && numbers.all(|number| self.payloads.contains_key(&number))
        })
    }

    fn whole(self) -> Reassembled {
        let mut payload = BytesMut::with_capacity(self.bytes);
        for number in self.numbers().into_iter().flatten() {
            if let Some(part) = self.payloads.get(&number) {
                payload.extend_from_slice(part);
            }
        }
        reassembled(self.extensions, payload.freeze())
    }
}

fn reassembled(extensions: Extensions, payload: Bytes) -> Reassembled {
    let frame = DataTrackFrame { payload, user_timestamp: extensions.user_timestamp };
    Reassembled { frame, encryption: extensions.encryption }
}
