//! Files of encoded audio and video, and recordings of participants. Feature `recording`.
//!
//! A [`Recorder`] decides which frames are in which file, and when they are shown; a [`ContainerWriter`]
//! makes one file of frames. Both are without I/O, codec and clock.

pub use agent_media::container::{
    Container, ContainerError, ContainerFrame, ContainerWriter, FinishedFile, TrackFormat, VideoCodec,
    VideoFormat,
};
pub use agent_media::recorder::{
    RecordedAudio, RecordedVideo, Recorder, RecorderInput, RecorderOptions, RecorderOutput, RecorderStats,
};
