//! Video codecs.

use std::fmt;

/// A video codec. Frames are passed through: nothing here encodes or decodes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum VideoCodec {
    /// VP8 (RFC 6386).
    Vp8,
    /// VP9. A frame has all spatial layers of one picture.
    Vp9,
    /// H.264. A frame is NAL units with start codes (Annex B).
    H264,
    /// H.265. A frame is NAL units with start codes (Annex B).
    H265,
    /// AV1. A frame is a temporal unit: OBUs with their sizes, without a temporal delimiter.
    Av1,
}

impl VideoCodec {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Vp8, Self::Vp9, Self::H264, Self::H265, Self::Av1];

    /// Its name, for example `H.264`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::H264 => "H.264",
            Self::H265 => "H.265",
            Self::Av1 => "AV1",
        }
    }

    /// The codec as a track's MIME type has it, for example `video/VP8`.
    #[must_use]
    pub const fn mime_type(self) -> &'static str {
        match self {
            Self::Vp8 => "video/VP8",
            Self::Vp9 => "video/VP9",
            Self::H264 => "video/H264",
            Self::H265 => "video/H265",
            Self::Av1 => "video/AV1",
        }
    }

    /// The codec of a MIME type, in upper or lower case. `None`: another one.
    ///
    /// ```
    /// use agent_proto::VideoCodec;
    ///
    /// assert_eq!(VideoCodec::from_mime_type("video/h264"), Some(VideoCodec::H264));
    /// assert_eq!(VideoCodec::from_mime_type("audio/opus"), None);
    /// ```
    #[must_use]
    pub fn from_mime_type(mime_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.mime_type().eq_ignore_ascii_case(mime_type))
    }
}

/// Its [name](VideoCodec::name).
impl fmt::Display for VideoCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
