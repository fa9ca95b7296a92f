//! What a track of ours carries.

use agent_proto::livekit as proto;

use super::options::AudioTrackOptions;
use super::video_options::VideoTrackOptions;
use crate::{RoomError, TrackSource, VideoCodec};

/// The description of a track of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum TrackOptions {
    /// An audio track.
    Audio(AudioTrackOptions),
    /// A video track.
    Video(VideoTrackOptions),
}

impl From<AudioTrackOptions> for TrackOptions {
    fn from(options: AudioTrackOptions) -> Self {
        Self::Audio(options)
    }
}

impl From<VideoTrackOptions> for TrackOptions {
    fn from(options: VideoTrackOptions) -> Self {
        Self::Video(options)
    }
}

impl TrackOptions {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Audio(options) => &options.name,
            Self::Video(options) => &options.name,
        }
    }

    /// Its source.
    #[must_use]
    pub const fn source(&self) -> TrackSource {
        match self {
            Self::Audio(options) => options.source,
            Self::Video(options) => options.source,
        }
    }

    /// Checks it.
    ///
    /// # Errors
    /// [`RoomError::TrackNameTooLong`] and [`RoomError::InvalidLayers`]
    pub fn check(&self) -> Result<(), RoomError> {
        match self {
            Self::Audio(options) => options.check(),
            Self::Video(options) => options.check(),
        }
    }

    pub(super) fn request(&self, cid: &str, muted: bool) -> proto::AddTrackRequest {
        match self {
            Self::Audio(options) => options.request(cid, muted),
            Self::Video(options) => options.request(cid, muted),
        }
    }

    /// What its section sends.
    pub(super) fn sends(&self) -> SectionKind {
        match self {
            Self::Audio(_) => SectionKind::Audio,
            Self::Video(options) => SectionKind::Video { codec: options.codec, streams: options.streams() },
        }
    }
}

/// What a media section sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SectionKind {
    /// Opus.
    Audio,
    /// Video of this codec, in one or several streams.
    Video { codec: VideoCodec, streams: usize },
}
