//! Outputs and results of a sender.

use std::time::Duration;

use bytes::Bytes;

use crate::Level;

/// What the driver of an [`AudioSender`](super::AudioSender) carries out.
#[derive(Clone, Debug, PartialEq)]
pub enum AudioSenderOutput {
    /// Send this packet now.
    Packet(OutgoingPacket),
    /// Everything that was pushed has been sent, and the time of its last sound is over.
    PlayedOut,
}

/// An encoded packet, with what RTP needs to know of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OutgoingPacket {
    /// An Opus packet.
    pub payload: Bytes,
    /// When its sound begins, in units of 1/48,000 s from the first packet of the sender on; it wraps around.
    /// It follows the clock also when nothing is sent: receivers see how long a pause was.
    pub timestamp: u32,
    /// How long its sound lasts.
    pub duration: Duration,
    /// How loud it is.
    pub level: Level,
    /// Whether nothing was sent immediately before it: it is the first packet, or follows a pause.
    pub marker: bool,
}

/// What became of samples that were pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pushed {
    /// How many samples of each channel were taken: push the others later.
    pub frames: usize,
    /// How long until there is room for more, if not all samples were taken.
    pub room_in: Option<Duration>,
}

/// What a sender has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AudioSenderStats {
    /// Packets that were sent.
    pub packets: u64,
    /// Bytes of these packets.
    pub bytes: u64,
    /// Packets that were not sent as they were silence, or as the sender was muted.
    pub unsent: u64,
    /// Packets that could not be encoded.
    pub failed: u64,
    /// Silence that was left out, as it was nothing but delay.
    pub left_out: Duration,
}
