//! UTF-8 in pieces.

use bytes::Bytes;

use super::StreamError;

/// Number of bytes at the start that are at most `limit` and end with a whole character. `limit` is at least
/// the length of a character; of text that is not UTF-8 it returns a prefix of that length at most.
pub(crate) fn whole_characters(bytes: &[u8], limit: usize) -> usize {
    if bytes.len() <= limit {
        return bytes.len();
    }
    let is_start = |at: &usize| bytes.get(*at).is_none_or(|byte| byte & 0xc0 != 0x80);
    (limit.saturating_sub(3)..=limit).rev().find(is_start).unwrap_or(limit)
}

/// The start of a character that the next piece continues.
#[derive(Debug, Default)]
pub(super) struct Utf8 {
    /// At most three bytes.
    rest: Vec<u8>,
}

impl Utf8 {
    /// The whole characters of the earlier rest and this piece; the start of another one is kept.
    pub(super) fn push(&mut self, piece: Bytes) -> Result<Bytes, StreamError> {
        let piece = if self.rest.is_empty() {
            piece
        } else {
            let mut joined = std::mem::take(&mut self.rest);
            joined.extend_from_slice(&piece);
            joined.into()
        };
        match std::str::from_utf8(&piece) {
            Ok(_) => Ok(piece),
            Err(error) if error.error_len().is_none() => {
                let whole = error.valid_up_to();
                self.rest = piece.slice(whole..).to_vec();
                Ok(piece.slice(..whole))
            }
            Err(_) => Err(StreamError::InvalidUtf8),
        }
    }

    /// The text is complete.
    pub(super) fn finish(&self) -> Result<(), StreamError> {
        if self.rest.is_empty() { Ok(()) } else { Err(StreamError::InvalidUtf8) }
    }
}
