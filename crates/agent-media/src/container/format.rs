//! The description of a track in the header of a file.

use bytes::Bytes;
use shiguredo_mp4::boxes::SampleEntry;

use agent_proto::VideoCodec;

use super::bitstream;
use super::error::ContainerError;
use super::kind::Container;

/// What a decoder has to know before the first frame of a video track: codec, size, profile and parameter
/// sets. Two formats that are not equal need two files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoFormat {
    codec: VideoCodec,
    width: u16,
    height: u16,
    entry: Box<SampleEntry>,
}

impl VideoFormat {
    /// Reads it from a key frame, which has to be as a [`ContainerFrame`](super::ContainerFrame) has it. The
    /// size is in pixels; that of AV1 is the largest that may come.
    ///
    /// # Errors
    /// [`ContainerError::Malformed`]: it is no key frame of this codec, or one without parameter sets.
    ///
    /// ```
    /// use agent_media::container::{VideoCodec, VideoFormat};
    ///
    /// // The first ten bytes of a key frame of VP8, and the byte that they announce.
    /// let format = VideoFormat::of_key_frame(VideoCodec::Vp8, b"\x30\0\0\x9d\x01\x2a\x40\x01\xf0\0\0")?;
    /// assert_eq!((format.width(), format.height()), (320, 240));
    /// # Ok::<(), agent_media::container::ContainerError>(())
    /// ```
    pub fn of_key_frame(codec: VideoCodec, payload: &[u8]) -> Result<Self, ContainerError> {
        let entry = bitstream::sample_entry(codec, payload).map_err(|reason| malformed(codec, reason))?;
        let (width, height) = bitstream::size(&entry);
        Ok(Self { codec, width, height, entry: Box::new(entry) })
    }

    /// With another size, in pixels, if that of the key frame is not that of the picture: a key frame of VP9
    /// with several spatial layers begins with the smallest.
    #[must_use]
    pub fn with_size(mut self, width: u16, height: u16) -> Self {
        (self.width, self.height) = (width, height);
        self
    }

    /// The codec.
    #[must_use]
    pub fn codec(&self) -> VideoCodec {
        self.codec
    }

    /// Width of the picture in pixels.
    #[must_use]
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Height of the picture in pixels.
    #[must_use]
    pub fn height(&self) -> u16 {
        self.height
    }

    /// Fails if this key frame needs another header. A key frame without parameter sets does not.
    pub(super) fn check_key_frame(&self, payload: &[u8]) -> Result<(), ContainerError> {
        if bitstream::lacks_parameter_sets(self.codec, payload) {
            return Ok(());
        }
        let entry =
            bitstream::sample_entry(self.codec, payload).map_err(|reason| malformed(self.codec, reason))?;
        if entry == *self.entry { Ok(()) } else { Err(ContainerError::FormatChanged) }
    }

    /// A frame in the form that files store.
    pub(super) fn sample(&self, payload: Bytes) -> Result<Bytes, ContainerError> {
        bitstream::sample(self.codec, payload).map_err(|reason| malformed(self.codec, reason))
    }

    /// The entry of the tables of MP4, with this format's size.
    pub(super) fn sample_entry(&self) -> SampleEntry {
        bitstream::with_size((*self.entry).clone(), self.width, self.height)
    }

    /// What WebM stores beside the codec's name.
    pub(super) fn codec_private(&self) -> Vec<u8> {
        bitstream::codec_private(&self.entry)
    }
}

fn malformed(codec: VideoCodec, reason: String) -> ContainerError {
    ContainerError::Malformed { codec: codec.name(), reason }
}

/// A track of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrackFormat {
    /// Audio: Opus.
    Opus {
        /// 1 or 2: how many channels decoders should play. The packets of a track may have either.
        channels: u8,
    },
    /// Video.
    Video(VideoFormat),
}

impl TrackFormat {
    pub(super) fn check(&self, container: Container) -> Result<(), ContainerError> {
        match self {
            Self::Opus { channels: 1 | 2 } => Ok(()),
            Self::Opus { channels } => Err(ContainerError::Channels(*channels)),
            Self::Video(format) if container.has(format.codec) => Ok(()),
            Self::Video(format) => Err(ContainerError::UnsupportedCodec { container, codec: format.codec }),
        }
    }

    pub(super) fn is_video(&self) -> bool {
        matches!(self, Self::Video(_))
    }
}
