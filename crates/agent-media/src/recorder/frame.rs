//! What a recorder takes, and what it returns.

use std::time::Duration;

use bytes::Bytes;

use crate::container::{Container, VideoCodec};

/// What happens to a [`Recorder`](super::Recorder).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecorderInput {
    /// What the participant publishes, at the beginning and whenever it changes: a file begins when frames of
    /// all that is published have come, or after two seconds with frames of one kind.
    Published {
        /// Whether there is audio.
        audio: bool,
        /// Whether there is video.
        video: bool,
    },
    /// A packet of audio.
    Audio(RecordedAudio),
    /// A frame of video.
    Video(RecordedVideo),
    /// The end of the recording.
    Finish,
}

/// A packet of audio, as it came from the room.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedAudio {
    /// A packet of Opus.
    pub payload: Bytes,
    /// When its sound begins, in units of 1/48,000 s: the RTP timestamp, which wraps around.
    pub timestamp: u32,
    /// Names the stream in which `timestamp` counts (its SSRC).
    pub source: u32,
    /// When it was captured, on the clock of its publisher, if that is known: so sound and pictures are in
    /// sync, whatever their delays are.
    pub captured: Option<Duration>,
}

impl RecordedAudio {
    /// A packet of this stream.
    #[must_use]
    pub fn new(payload: impl Into<Bytes>, timestamp: u32, source: u32) -> Self {
        Self { payload: payload.into(), timestamp, source, captured: None }
    }
}

/// A frame of video, as it came from the room.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedVideo {
    /// The frame, as a [`ContainerFrame`](crate::container::ContainerFrame) has it.
    pub payload: Bytes,
    /// How it is encoded.
    pub codec: VideoCodec,
    /// When it is shown, on a clock that begins anywhere.
    pub timestamp: Duration,
    /// Names the stream in which `timestamp` counts (its SSRC).
    pub source: u32,
    /// Whether it can be decoded without another one.
    pub is_key: bool,
    /// Width and height of the picture in pixels, if they are known: for VP9 with several spatial layers,
    /// whose key frames begin with the smallest. Otherwise they are read from the key frame.
    pub size: Option<(u16, u16)>,
    /// When it was captured, as that of [`RecordedAudio`].
    pub captured: Option<Duration>,
}

impl RecordedVideo {
    /// A frame of source 0, whose size is read from key frames.
    #[must_use]
    pub fn new(codec: VideoCodec, payload: impl Into<Bytes>, timestamp: Duration, is_key: bool) -> Self {
        Self { payload: payload.into(), codec, timestamp, source: 0, is_key, size: None, captured: None }
    }
}

/// What the driver of a [`Recorder`](super::Recorder) carries out, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecorderOutput {
    /// Create this file.
    Begin {
        /// Its name, without a folder.
        file_name: String,
        /// Its kind.
        container: Container,
    },
    /// Append this to the file.
    Append(Bytes),
    /// The file is complete. Write this over its beginning, if there is something, and close it.
    End {
        /// As long as what it replaces.
        header: Option<Bytes>,
        /// How long the file lasts.
        duration: Duration,
    },
    /// Request a key frame of the video.
    RequestKeyFrame,
    /// The recording has ended: nothing is taken any more.
    Finished,
}
