//! Packets that wait, in the order of their numbers, and which numbers have come.

use std::collections::BTreeMap;

use bytes::Bytes;

use agent_proto::{QueueLimits, Time};

/// Far more than 2 s of packets of 2.5 ms, or than Opus' highest bitrate.
const LIMITS: QueueLimits = QueueLimits { entries: 1024, bytes: 1024 * 1024 };

/// A packet that waits.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) payload: Bytes,
    /// Where its sound begins, on a scale that does not wrap around.
    pub(super) timestamp: i64,
    /// How long its sound is; zero if it only has a number.
    pub(super) samples: u32,
    pub(super) received: Time,
}

/// Packets by their number, within limits.
#[derive(Clone, Debug, Default)]
pub(super) struct Reorder {
    packets: BTreeMap<u64, Waiting>,
    bytes: usize,
    seen: Seen,
}

impl Reorder {
    /// Removes everything, and returns how many packets waited.
    pub(super) fn clear(&mut self) -> u64 {
        let waiting = self.packets.len();
        *self = Self::default();
        waiting as u64
    }

    /// How much higher than the highest one so far the number of a packet is. `None` if there was no packet.
    pub(super) fn ahead(&self, sequence: u64) -> Option<i64> {
        Some(sequence.wrapping_sub(self.seen.highest?).cast_signed())
    }

    /// Records that a number has come; `false` if it had come before, or is too old to know.
    pub(super) fn is_new(&mut self, sequence: u64) -> bool {
        self.seen.insert(sequence)
    }

    /// Adds a packet, and drops the oldest ones if there are too many. Returns how many.
    pub(super) fn insert(&mut self, sequence: u64, packet: Waiting) -> u64 {
        self.bytes += packet.payload.len();
        if let Some(replaced) = self.packets.insert(sequence, packet) {
            self.bytes -= replaced.payload.len();
        }
        let mut dropped = 0;
        while LIMITS.exceeded(self.packets.len(), self.bytes) && self.pop().is_some() {
            dropped += 1;
        }
        dropped
    }

    /// The packet with the lowest number.
    pub(super) fn first(&self) -> Option<(u64, &Waiting)> {
        self.packets.first_key_value().map(|(sequence, packet)| (*sequence, packet))
    }

    /// The packets that have sound, in the order of their numbers.
    pub(super) fn with_sound(&self) -> impl DoubleEndedIterator<Item = &Waiting> {
        self.packets.values().filter(|packet| packet.samples > 0)
    }

    pub(super) fn pop(&mut self) -> Option<(u64, Waiting)> {
        let (sequence, packet) = self.packets.pop_first()?;
        self.bytes -= packet.payload.len();
        Some((sequence, packet))
    }
}

/// The highest number, and which of the 128 up to it have come.
#[derive(Clone, Debug, Default)]
struct Seen {
    highest: Option<u64>,
    /// Bit n: the highest number minus n.
    bits: u128,
}

impl Seen {
    fn insert(&mut self, sequence: u64) -> bool {
        let Some(highest) = self.highest else {
            *self = Self { highest: Some(sequence), bits: 1 };
            return true;
        };
        let ahead = sequence.wrapping_sub(highest).cast_signed();
        if ahead > 0 {
            let shifted = u32::try_from(ahead).ok().and_then(|ahead| self.bits.checked_shl(ahead));
            *self = Self { highest: Some(sequence), bits: shifted.unwrap_or(0) | 1 };
            return true;
        }
        let bit = u32::try_from(ahead.unsigned_abs()).ok().and_then(|back| 1_u128.checked_shl(back));
        let is_new = bit.is_some_and(|bit| self.bits & bit == 0);
        self.bits |= bit.unwrap_or(0);
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_once() {
        let mut seen = Seen::default();
        for (sequence, expected) in [
            (500, true),
            (499, true),
            (499, false),
            (500, false),
            (503, true),
            (501, true),
            (501, false),
            (376, true),
            (375, false),
            (630, true),
            (503, false),
            (502, false),
            (504, true),
            (u64::MAX / 2, true),
            (630, false),
        ] {
            assert_eq!(seen.insert(sequence), expected, "{sequence}");
        }
    }

    #[test]
    fn the_oldest_are_dropped() {
        let (samples, received) = (960, Time::ZERO);
        let packet = |len: usize| Waiting { payload: vec![0; len].into(), timestamp: 0, samples, received };
        let mut packets = Reorder::default();
        let dropped: u64 = (0..1_500).rev().map(|number| packets.insert(number, packet(1))).sum();
        assert_eq!(dropped, 1_500 - 1_024);
        assert_eq!(packets.insert(2_000, packet(1024 * 1024)), 1_024);
        assert_eq!(packets.first().map(|(sequence, _)| sequence), Some(2_000));
        packets.insert(2_000, packet(5));
        packets.pop();
        assert_eq!((packets.bytes, packets.clear()), (0, 0));
    }
}
