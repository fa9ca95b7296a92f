//! Encoded video frames, as they were received.

use std::time::Duration;

use bytes::Bytes;

use agent_proto::{QueueEntry, Time};

use crate::VideoCodec;

/// One encoded frame of a video track: one picture.
///
/// Frames are whole, and in the order in which a decoder needs them: packets were put in order, and lost ones
/// requested again. If one is missing for good, or cannot be decrypted, frames are left out up to the next
/// key frame, which is requested, and has [`after_loss`](Self::after_loss).
///
/// ```
/// use std::time::Duration;
/// use agent_room::{EncodedVideoFrame, VideoCodec};
///
/// let frame = EncodedVideoFrame::new(VideoCodec::Vp8, &[0x10, 2, 0][..], Duration::from_millis(40));
/// assert!(frame.key_frame);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct EncodedVideoFrame {
    /// The frame, in the form that its codec names.
    #[cfg_attr(feature = "serde", serde(serialize_with = "agent_proto::recording::bytes::serialize"))]
    pub payload: Bytes,
    /// The codec. A publisher may change it; a key frame follows.
    pub codec: VideoCodec,
    /// When the picture is to be shown, on the clock of its [`source`](Self::source): it begins anywhere, and
    /// never wraps around. From the RTP timestamp, of 1/90,000 s.
    pub timestamp: Duration,
    /// Whether it can be decoded without another one.
    pub key_frame: bool,
    /// Width in pixels, of a key frame that contains it. It changes when the server sends another layer.
    pub width: Option<u32>,
    /// Height in pixels, as `width`.
    pub height: Option<u32>,
    /// Whether frames are missing before this one: lost, or dropped as they were not read in time or could
    /// not be decrypted. Then it is a key frame. The first frame is not marked.
    pub after_loss: bool,
    /// Names the stream in which `timestamp` counts (its SSRC). Another one begins when the connection to the
    /// room was re-established, or when the server sends the track as another stream.
    pub source: u32,
    /// When it was captured, on the clock of its publisher, since 1970: the same clock for all its tracks, so
    /// that sound and pictures can be played in sync. `None` before the publisher's first report, which comes
    /// after some seconds.
    pub captured: Option<Duration>,
    /// When its last packet arrived, on the clock of the room's connection.
    pub received: Time,
}

impl EncodedVideoFrame {
    /// A frame of source 0, received at time zero. Whether it is a key frame is read from it.
    #[must_use]
    pub fn new(codec: VideoCodec, payload: impl Into<Bytes>, timestamp: Duration) -> Self {
        let payload = payload.into();
        Self {
            key_frame: super::payload::is_key_frame(codec, &payload),
            payload,
            codec,
            timestamp,
            width: None,
            height: None,
            after_loss: false,
            source: 0,
            captured: None,
            received: Time::ZERO,
        }
    }
}

impl QueueEntry for EncodedVideoFrame {
    fn bytes(&self) -> usize {
        self.payload.len()
    }
}
