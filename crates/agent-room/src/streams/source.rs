//! Content of ours, cut into chunks.

use bytes::Bytes;

use super::deflate::Deflate;
use super::text::whole_characters;

/// Maximum content of a chunk, in bytes.
pub(crate) const CHUNK: usize = 15_000;

/// Content that is sent in chunks.
#[derive(Debug)]
pub(super) enum Source {
    /// Text, cut between characters.
    Text(Bytes),
    Bytes(Bytes),
    /// Compressed as it is sent.
    Deflate(Bytes, Box<Deflate>),
}

impl Source {
    pub(super) fn deflate(content: Bytes) -> Self {
        Self::Deflate(content, Box::new(Deflate::new()))
    }

    /// Bytes that are not sent yet, before compression.
    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Text(rest) | Self::Bytes(rest) | Self::Deflate(rest, _) => rest.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Text(rest) | Self::Bytes(rest) => rest.is_empty(),
            Self::Deflate(_, deflate) => deflate.is_complete(),
        }
    }

    /// The next chunk, which is not empty; `None`: there is none.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        if self.is_empty() {
            return None;
        }
        match self {
            Self::Text(rest) => Some(rest.split_to(whole_characters(rest, CHUNK))),
            Self::Bytes(rest) => Some(rest.split_to(CHUNK.min(rest.len()))),
            Self::Deflate(rest, deflate) => deflate.next(rest, CHUNK).filter(|chunk| !chunk.is_empty()),
        }
    }
}
