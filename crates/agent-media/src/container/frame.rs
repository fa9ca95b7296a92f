//! What is written: a frame of a track.

use std::time::Duration;

use bytes::Bytes;

/// An encoded frame, as a file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContainerFrame {
    /// Opus: a packet. H.264 and H.265: an access unit with start codes (Annex B). VP8 and VP9: a frame. AV1:
    /// a temporal unit, whose OBUs have sizes.
    pub payload: Bytes,
    /// When it is shown or played, from the beginning of the file on.
    pub timestamp: Duration,
    /// Whether it can be decoded without the frames before it. Always so for audio.
    pub is_key: bool,
}

impl ContainerFrame {
    /// A frame of audio.
    #[must_use]
    pub fn audio(payload: impl Into<Bytes>, timestamp: Duration) -> Self {
        Self { payload: payload.into(), timestamp, is_key: true }
    }

    /// A frame of video.
    #[must_use]
    pub fn video(payload: impl Into<Bytes>, timestamp: Duration, is_key: bool) -> Self {
        Self { payload: payload.into(), timestamp, is_key }
    }
}

/// The end of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FinishedFile {
    /// What is appended to the file.
    pub append: Bytes,
    /// What then replaces as many bytes at the beginning of the file: a header with what is known only at the
    /// end, such as the duration. `None` for Ogg. A file that keeps its first header can be played as well.
    pub header: Option<Bytes>,
}

impl FinishedFile {
    /// Completes a file in memory.
    pub fn complete(&self, file: &mut Vec<u8>) {
        file.extend_from_slice(&self.append);
        if let Some(header) = &self.header
            && let Some(begin) = file.get_mut(..header.len())
        {
            begin.copy_from_slice(header);
        }
    }
}
