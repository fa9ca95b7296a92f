//! Encoded media frames as they were received.

use bytes::Bytes;

use agent_proto::{QueueEntry, Time};

/// One encoded frame of an audio track: some 20 ms of sound.
///
/// Frames are in the order of arrival, each of them once: late and lost frames show in
/// [`sequence`](Self::sequence). Nothing is reordered, awaited or repaired here; that is the task of a jitter
/// buffer.
///
/// ```
/// use agent_room::EncodedFrame;
///
/// // The second frame of a stream, at 48 kHz and 20 ms each.
/// let frame = EncodedFrame::new(&b"\xf8\xff\xfe"[..], 1, 960);
/// assert_eq!((frame.clock_rate, frame.audio_level), (48_000, None));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct EncodedFrame {
    /// An Opus packet (RFC 6716).
    #[cfg_attr(feature = "serde", serde(serialize_with = "agent_proto::recording::bytes::serialize"))]
    pub payload: Bytes,
    /// Counts the frames of one [`source`](Self::source): the RTP sequence number, extended so that it does
    /// not wrap around. The first one is any number.
    pub sequence: u64,
    /// When its sound begins, in units of [`clock_rate`](Self::clock_rate) (RTP): 960 after the previous
    /// frame, for frames of 20 ms. It begins anywhere and wraps around: compare with
    /// [`wrapping_sub`](u32::wrapping_sub). A step larger than that of `sequence` is silence that was not
    /// sent (DTX).
    pub timestamp: u32,
    /// Units of `timestamp` per second. 48,000 for Opus, whatever the sample rate.
    pub clock_rate: u32,
    /// Names the stream in which `sequence` and `timestamp` count (its SSRC). Another one begins when the
    /// connection to the room was re-established, or when the server sends the track as another stream.
    pub source: u32,
    /// Set on the first frame after silence that was not sent, by publishers that set it.
    pub marker: bool,
    /// The audio level, if the server forwards the publisher's measurement; livekit-server 1.13 does not.
    pub audio_level: Option<AudioLevel>,
    /// Arrival time on the clock of the room's connection.
    pub received: Time,
}

impl EncodedFrame {
    /// An Opus frame of source 0 at time zero, without a level.
    #[must_use]
    pub fn new(payload: impl Into<Bytes>, sequence: u64, timestamp: u32) -> Self {
        Self {
            payload: payload.into(),
            sequence,
            timestamp,
            clock_rate: 48_000,
            source: 0,
            marker: false,
            audio_level: None,
            received: Time::ZERO,
        }
    }
}

impl QueueEntry for EncodedFrame {
    fn bytes(&self) -> usize {
        self.payload.len()
    }
}

/// The audio level of a frame, as measured by its publisher (RFC 6464).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct AudioLevel {
    /// From -127 (silence) to 0 (the maximum), in dBov.
    pub dbov: i8,
    /// Whether the publisher detected speech.
    pub voice: bool,
}

impl AudioLevel {
    /// A level in dBov, clamped to its range, and whether it is speech.
    #[must_use]
    pub fn new(dbov: i8, voice: bool) -> Self {
        Self { dbov: dbov.clamp(-127, 0), voice }
    }
}
