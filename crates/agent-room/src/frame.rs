//! Encoded media frames, as they were received and as they are sent.

use std::time::Duration;

use bytes::Bytes;

use agent_proto::{QueueEntry, Time};

use crate::{EncodedVideoFrame, MAX_AUDIO_FRAME_LEN, OutgoingVideoFrame, RoomError};

/// An encoded frame of a track, as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum MediaFrame {
    /// Of an audio track.
    Audio(EncodedFrame),
    /// Of a video track.
    Video(EncodedVideoFrame),
}

impl From<EncodedFrame> for MediaFrame {
    fn from(frame: EncodedFrame) -> Self {
        Self::Audio(frame)
    }
}

impl From<EncodedVideoFrame> for MediaFrame {
    fn from(frame: EncodedVideoFrame) -> Self {
        Self::Video(frame)
    }
}

/// An encoded frame of a track of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum OutgoingMedia {
    /// Of an audio track.
    Audio(OutgoingFrame),
    /// Of a video track.
    Video(OutgoingVideoFrame),
}

impl From<OutgoingFrame> for OutgoingMedia {
    fn from(frame: OutgoingFrame) -> Self {
        Self::Audio(frame)
    }
}

impl From<OutgoingVideoFrame> for OutgoingMedia {
    fn from(frame: OutgoingVideoFrame) -> Self {
        Self::Video(frame)
    }
}

impl QueueEntry for OutgoingMedia {
    fn bytes(&self) -> usize {
        match self {
            Self::Audio(frame) => frame.bytes(),
            Self::Video(frame) => frame.bytes(),
        }
    }
}

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
    /// When it was captured, on the clock of its publisher, since 1970: the same clock for all its tracks, so
    /// that sound and pictures can be played in sync. `None` before the publisher's first report, which comes
    /// after some seconds.
    pub captured: Option<Duration>,
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
            captured: None,
            received: Time::ZERO,
        }
    }
}

impl QueueEntry for EncodedFrame {
    fn bytes(&self) -> usize {
        self.payload.len()
    }
}

/// One encoded frame of an audio track of ours.
///
/// ```
/// use agent_room::{AudioLevel, OutgoingFrame};
///
/// // The second frame of a stream of 20 ms each.
/// let frame = OutgoingFrame::new(&b"\xf8\xff\xfe"[..], 960).level(AudioLevel::new(-30, true));
/// assert_eq!(frame.timestamp, 960);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct OutgoingFrame {
    /// An Opus packet (RFC 6716) of at most [`MAX_AUDIO_FRAME_LEN`] bytes.
    #[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::bytes"))]
    pub payload: Bytes,
    /// When its sound begins, in units of 1/48,000 s: 960 after the previous frame, for frames of 20 ms. It
    /// begins anywhere, wraps around, and continues through pauses, which others then hear as silence. After
    /// a step back, or one of more than a minute, the frame follows the previous one in real time: so frames
    /// of another stream may follow with its timestamps.
    pub timestamp: u32,
    /// Its audio level: from it the server computes who speaks. Without one the frame counts as silence.
    pub audio_level: Option<AudioLevel>,
    /// Set on the first frame after silence that was not sent. The first frame of a track and the first one
    /// after frames that could not be sent are marked in any case.
    pub marker: bool,
}

impl OutgoingFrame {
    /// A frame without a level and a marker.
    #[must_use]
    pub fn new(payload: impl Into<Bytes>, timestamp: u32) -> Self {
        Self { payload: payload.into(), timestamp, audio_level: None, marker: false }
    }

    /// Sets its audio level.
    #[must_use]
    pub fn level(mut self, level: AudioLevel) -> Self {
        self.audio_level = Some(level);
        self
    }

    /// Checks its length.
    ///
    /// # Errors
    /// [`RoomError::AudioFrameSize`], if the payload is empty or longer than [`MAX_AUDIO_FRAME_LEN`].
    pub fn check(&self) -> Result<(), RoomError> {
        match self.payload.len() {
            1..=MAX_AUDIO_FRAME_LEN => Ok(()),
            len => Err(RoomError::AudioFrameSize { len }),
        }
    }
}

/// A received frame that is passed on as it is.
impl From<EncodedFrame> for OutgoingFrame {
    fn from(frame: EncodedFrame) -> Self {
        let EncodedFrame { payload, timestamp, audio_level, marker, .. } = frame;
        Self { payload, timestamp, audio_level, marker }
    }
}

impl QueueEntry for OutgoingFrame {
    fn bytes(&self) -> usize {
        self.payload.len()
    }
}

/// The audio level of a frame, as measured by its publisher (RFC 6464).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct AudioLevel {
    /// From -127 (silence) to 0 (the maximum), in dBov.
    pub dbov: i8,
    /// Whether the publisher detected speech.
    pub voice: bool,
}

impl AudioLevel {
    /// No sound.
    pub const SILENCE: Self = Self { dbov: -127, voice: false };

    /// A level in dBov, clamped to its range, and whether it is speech.
    #[must_use]
    pub fn new(dbov: i8, voice: bool) -> Self {
        Self { dbov: dbov.clamp(-127, 0), voice }
    }
}
