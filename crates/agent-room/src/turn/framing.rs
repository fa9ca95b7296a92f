//! Messages in a stream of bytes: to a TURN server over TCP or TLS each begins where the one before ended.

use bytes::{Buf, Bytes, BytesMut};

use super::message::HEADER_LEN;

/// Maximum length of a message, in bytes; packets of WebRTC are below 1,500.
const MAX_MESSAGE_LEN: usize = 8192;

/// Takes messages out of a stream. Holds at most one incomplete message and what was pushed last.
#[derive(Debug, Default)]
pub(super) struct Deframer {
    buffer: BytesMut,
}

/// The bytes are no messages of TURN, and where the next one begins is unknown.
#[derive(Debug, PartialEq)]
pub(super) struct NoMessages;

impl Deframer {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete message. A channel's message is followed by padding, which is left out.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, NoMessages> {
        let Some([kind, _, len @ ..]) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let len = usize::from(u16::from_be_bytes(*len));
        let (len, padding) = match kind >> 6 {
            0 => (HEADER_LEN + len, 0),
            1 => (4 + len, len.wrapping_neg() % 4),
            _ => return Err(NoMessages),
        };
        if len > MAX_MESSAGE_LEN {
            return Err(NoMessages);
        }
        if self.buffer.len() < len + padding {
            return Ok(None);
        }
        let message = self.buffer.split_to(len).freeze();
        self.buffer.advance(padding);
        Ok(Some(message))
    }
}
