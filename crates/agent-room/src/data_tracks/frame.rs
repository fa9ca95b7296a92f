//! The frames of data tracks.

use bytes::Bytes;

use agent_proto::QueueEntry;

/// Maximum length of a frame of a data track, in bytes.
pub const MAX_DATA_FRAME_LEN: usize = 2_000_000;

/// A frame of a data track: one value of a sensor, one message, one picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct DataTrackFrame {
    /// The payload, at most [`MAX_DATA_FRAME_LEN`] bytes.
    #[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::bytes"))]
    pub payload: Bytes,
    /// A number of the publisher's, usually when the frame was made, in milliseconds since 1970.
    pub user_timestamp: Option<u64>,
}

impl DataTrackFrame {
    /// A frame without a timestamp.
    #[must_use]
    pub fn new(payload: impl Into<Bytes>) -> Self {
        Self { payload: payload.into(), user_timestamp: None }
    }

    /// The frame with this timestamp, usually milliseconds since 1970.
    #[must_use]
    pub const fn with_user_timestamp(mut self, timestamp: u64) -> Self {
        self.user_timestamp = Some(timestamp);
        self
    }
}

impl QueueEntry for DataTrackFrame {
    fn bytes(&self) -> usize {
        self.payload.len()
    }
}

impl<T: Into<Bytes>> From<T> for DataTrackFrame {
    fn from(payload: T) -> Self {
        Self::new(payload)
    }
}
