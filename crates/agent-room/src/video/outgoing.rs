//! Encoded video frames as they are sent.

use std::time::Duration;

use bytes::Bytes;

use agent_proto::QueueEntry;

use super::payload;
use crate::{EncodedVideoFrame, MAX_VIDEO_FRAME_LEN, RoomError, VideoCodec};

/// One encoded frame of a video track of ours: one picture.
///
/// ```
/// use std::time::Duration;
/// use agent_room::OutgoingVideoFrame;
///
/// // The third picture of 25 a second.
/// let frame = OutgoingVideoFrame::new(&[0x11, 2, 0][..], Duration::from_millis(80));
/// assert_eq!(frame.layer, 0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct OutgoingVideoFrame {
    /// The frame, in the form that its [codec](VideoCodec) names, of at most [`MAX_VIDEO_FRAME_LEN`] bytes.
    #[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::bytes"))]
    pub payload: Bytes,
    /// When the picture is to be shown: it begins anywhere, and grows. After a step back, or one of more than
    /// a minute, the frame follows the previous one in real time: so frames of another stream may follow with
    /// its timestamps.
    pub timestamp: Duration,
    /// For a track with [layers](crate::VideoTrackOptions::layers): the layer, from 0, the smallest. Frames
    /// of one picture have the same timestamp in all layers.
    pub layer: usize,
}

impl OutgoingVideoFrame {
    /// A frame of the first layer, or of a track without layers.
    #[must_use]
    pub fn new(payload: impl Into<Bytes>, timestamp: Duration) -> Self {
        Self { payload: payload.into(), timestamp, layer: 0 }
    }

    /// Sets its layer.
    #[must_use]
    pub fn layer(mut self, layer: usize) -> Self {
        self.layer = layer;
        self
    }

    /// Checks its length and form.
    ///
    /// # Errors
    /// [`RoomError::VideoFrameSize`], if the payload is empty or longer than [`MAX_VIDEO_FRAME_LEN`], and
    /// [`RoomError::NoVideoFrame`], if it cannot be one of this codec.
    pub fn check(&self, codec: VideoCodec) -> Result<(), RoomError> {
        match self.payload.len() {
            1..=MAX_VIDEO_FRAME_LEN if payload::is_frame(codec, &self.payload) => Ok(()),
            1..=MAX_VIDEO_FRAME_LEN => Err(RoomError::NoVideoFrame { codec }),
            len => Err(RoomError::VideoFrameSize { len }),
        }
    }
}

/// A received frame that is passed on as it is.
impl From<EncodedVideoFrame> for OutgoingVideoFrame {
    fn from(frame: EncodedVideoFrame) -> Self {
        Self::new(frame.payload, frame.timestamp)
    }
}

impl QueueEntry for OutgoingVideoFrame {
    fn bytes(&self) -> usize {
        self.payload.len()
    }
}
