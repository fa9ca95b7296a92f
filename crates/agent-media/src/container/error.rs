//! Errors of writing files.

use std::time::Duration;

use agent_proto::VideoCodec;

use super::kind::Container;

/// Why a file cannot be begun, or a frame cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// A file has at least one track.
    #[error("no tracks: name at least one")]
    NoTracks,
    /// More tracks than a file has.
    #[error("{count} tracks: {container} has at most {max}")]
    TooManyTracks {
        /// How many were named.
        count: usize,
        /// How many there can be.
        max: usize,
        /// The kind of file.
        container: Container,
    },
    /// The kind of file has no place for this codec.
    #[error("{container} has no {codec}: use MP4, which has all codecs")]
    UnsupportedCodec {
        /// The kind of file.
        container: Container,
        /// The codec of the track.
        codec: VideoCodec,
    },
    /// Opus in these files is mono or stereo.
    #[error("{0} channels: expected 1 or 2")]
    Channels(u8),
    /// A number that no track has.
    #[error("track {index}: expected a number below {count}")]
    UnknownTrack {
        /// The number.
        index: usize,
        /// How many tracks there are.
        count: usize,
    },
    /// A frame of no bytes.
    #[error("a frame of no bytes")]
    EmptyFrame,
    /// A frame that is longer than any valid one.
    #[error("a frame of {len} bytes: expected at most {max}")]
    FrameTooLong {
        /// Its length.
        len: usize,
        /// The most that is written.
        max: usize,
    },
    /// A frame that does not follow the previous one of its track.
    #[error("a frame at {timestamp:?}, after one at {previous:?}: expected a later one")]
    NotLater {
        /// When it is shown or played.
        timestamp: Duration,
        /// The same of the frame before it.
        previous: Duration,
    },
    /// A time beyond the longest recording.
    #[error("a frame at {timestamp:?}: expected at most {max:?}")]
    TooLate {
        /// When it is shown or played.
        timestamp: Duration,
        /// The latest time.
        max: Duration,
    },
    /// A pause that is too long for Ogg, where silence takes space.
    #[error("a pause of {pause:?}: expected at most {max:?}, so begin another file")]
    PauseTooLong {
        /// How long nothing came.
        pause: Duration,
        /// The longest pause.
        max: Duration,
    },
    /// The first frame of a video track is no key frame, so no player could show it.
    #[error("the first frame of a video track is no key frame: leave out what precedes one")]
    NoKeyFrame,
    /// A key frame whose size or settings differ from those in the file's header.
    #[error("a key frame with other settings than the track's: begin another file")]
    FormatChanged,
    /// The bytes are not what they should be.
    #[error("{codec}: {reason}")]
    Malformed {
        /// What they should be.
        codec: &'static str,
        /// What is wrong with them.
        reason: String,
    },
}
