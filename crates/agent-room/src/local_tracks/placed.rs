//! A frame of a track of ours, placed in its stream.

use bytes::Bytes;

use crate::{AudioLevel, VideoCodec};

/// A frame as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlacedFrame {
    pub(crate) payload: Bytes,
    pub(crate) timestamp: u32,
    pub(crate) form: PlacedForm,
}

/// What differs between the kinds of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlacedForm {
    /// One packet.
    Audio { marker: bool, level: AudioLevel },
    /// As many packets as it takes, in the stream of this layer.
    Video { codec: VideoCodec, layer: usize },
}
