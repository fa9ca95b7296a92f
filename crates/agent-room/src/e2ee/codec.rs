//! What a frame contains, as far as it matters for its encryption.

use crate::VideoCodec;

/// What a frame of a track contains, as far as it matters for its encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum EncryptedCodec {
    Opus,
    Vp8,
    Vp9,
    Av1,
    H264,
    H265,
}

impl EncryptedCodec {
    #[cfg(test)]
    pub(super) const ALL: [Self; 6] = [Self::Opus, Self::Vp8, Self::Vp9, Self::Av1, Self::H264, Self::H265];

    pub(super) const fn is_escaped(self) -> bool {
        matches!(self, Self::H264 | Self::H265)
    }
}

impl From<VideoCodec> for EncryptedCodec {
    fn from(codec: VideoCodec) -> Self {
        match codec {
            VideoCodec::Vp8 => Self::Vp8,
            VideoCodec::Vp9 => Self::Vp9,
            VideoCodec::Av1 => Self::Av1,
            VideoCodec::H264 => Self::H264,
            VideoCodec::H265 => Self::H265,
        }
    }
}
