//! Kinds of files, and what each can have.

use std::fmt;

use agent_proto::VideoCodec;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Container {
    /// One track of Opus (RFC 7845).
    OggOpus,
    /// Opus, VP8, VP9 and AV1.
    WebM,
    /// Fragmented MP4, which has all codecs.
    Mp4,
}

impl Container {
    /// Its name, such as `WebM`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OggOpus => "Ogg Opus",
            Self::WebM => "WebM",
            Self::Mp4 => "MP4",
        }
    }

    /// The extension of its files, such as `webm`.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::OggOpus => "ogg",
            Self::WebM => "webm",
            Self::Mp4 => "mp4",
        }
    }

    /// Whether it can have a track of this codec.
    #[must_use]
    pub const fn has(self, codec: VideoCodec) -> bool {
        match self {
            Self::OggOpus => false,
            Self::WebM => matches!(codec, VideoCodec::Vp8 | VideoCodec::Vp9 | VideoCodec::Av1),
            Self::Mp4 => true,
        }
    }

    /// The most tracks of a file.
    pub(super) const fn max_tracks(self) -> usize {
        match self {
            Self::OggOpus => 1,
            Self::WebM | Self::Mp4 => 16,
        }
    }
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
