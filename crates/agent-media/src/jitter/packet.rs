//! The input and output of a jitter buffer.

use std::time::Duration;

use bytes::Bytes;

use agent_proto::{QueueEntry, Time};

use super::units;

/// An encoded packet of an audio track, as it arrived.
///
/// ```
/// use agent_media::EncodedPacket;
///
/// // The second packet of a stream of 20 ms each.
/// let packet = EncodedPacket::new(&b"\xf8\xff\xfe"[..], 1, 960);
/// assert_eq!((packet.source, packet.payload.len()), (0, 3));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncodedPacket {
    /// An Opus packet. Without bytes it only has a number, and nothing is played for it.
    pub payload: Bytes,
    /// Counts the packets of a [`source`](Self::source), without wrapping around (an extended RTP sequence
    /// number). The first one is any number.
    pub sequence: u64,
    /// When its sound begins, in units of 48,000 per second; wraps around (RTP).
    pub timestamp: u32,
    /// The stream in which `sequence` and `timestamp` count (SSRC). Another value begins a new stream.
    pub source: u32,
    /// When it arrived, on the clock of the `now` arguments.
    pub received: Time,
}

impl EncodedPacket {
    /// A packet of source 0 that arrived at time zero.
    #[must_use]
    pub fn new(payload: impl Into<Bytes>, sequence: u64, timestamp: u32) -> Self {
        Self { payload: payload.into(), sequence, timestamp, source: 0, received: Time::ZERO }
    }
}

impl QueueEntry for EncodedPacket {
    fn bytes(&self) -> usize {
        self.payload.len()
    }
}

/// What to play next: one piece of a stream without holes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Playout {
    /// When it is due. The next piece is due when this one has been played, or later after a pause.
    pub due: Time,
    /// When its sound was made, counted from the beginning of the first packet that was played. It never goes
    /// back. Pauses count, and a new source continues by the clock.
    pub media_time: Duration,
    /// How long it lasts, in samples at 48 kHz: a multiple of 2.5 ms.
    pub samples: u32,
    /// Whether a new stream begins, so that the decoder's state is of no use.
    pub is_new_stream: bool,
    /// Where its sound comes from.
    pub sound: PlayoutSound,
}

impl Playout {
    /// How long it lasts.
    #[must_use]
    pub fn duration(&self) -> Duration {
        units::duration(self.samples)
    }
}

/// Where the sound of a [`Playout`] comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlayoutSound {
    /// A packet to be decoded.
    Packet {
        /// Its number.
        sequence: u64,
        /// Its bytes.
        payload: Bytes,
    },
    /// The packet is lost, but the next one has a copy of it (in-band FEC). The next one is played
    /// afterwards.
    Fec {
        /// The bytes of the next packet.
        next: Bytes,
    },
    /// The packet is lost or late: the decoder conceals it.
    Conceal,
    /// The sender sends nothing, or concealing has lasted long enough.
    Silence {
        /// Whether the sender announced it (DTX): then a decoder generates its background noise.
        is_dtx: bool,
    },
}
