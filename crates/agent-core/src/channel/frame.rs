//! Wire format of a frame: a header line of JSON, then the payload.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// The longest publisher id, in bytes.
pub const MAX_PUBLISHER_LEN: usize = 128;
/// The longest header, in bytes.
pub const MAX_HEADER_LEN: usize = 1024;

/// The current version.
const VERSION: u32 = 1;

/// A frame that is sent over a topic.
///
/// ```
/// use agent_core::{Frame, FrameKind};
///
/// let frame = Frame { publisher: "AJ_1/7".to_owned(), kind: FrameKind::Message { number: 3 }, payload: "hello".into() };
/// assert_eq!(&frame.encode()[..], b"{\"v\":1,\"from\":\"AJ_1/7\",\"kind\":\"message\",\"number\":3}\nhello");
/// assert_eq!(Frame::decode(&frame.encode()).unwrap(), frame);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The publisher's id, unique among all publishers ever.
    pub publisher: String,
    /// The kind of frame.
    pub kind: FrameKind,
    /// The published payload; empty for other kinds.
    pub payload: Bytes,
}

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum FrameKind {
    /// A publisher that listens now, or again: all others answer with their presence.
    Hello {
        /// The number of the last message or announcement before this frame; 0 before the first.
        latest: u64,
    },
    /// The answer of a publisher that has announced nothing.
    Here {
        /// As in [`Hello`](Self::Hello).
        latest: u64,
    },
    /// A message.
    Message {
        /// Its number, from 1.
        number: u64,
    },
    /// An announcement, perhaps a repetition.
    Announcement {
        /// Its number, from the same sequence as the messages.
        number: u64,
        /// The number of the last message or announcement before this frame; `number` itself at first.
        latest: u64,
    },
}

#[derive(Serialize, Deserialize)]
struct Header {
    v: u32,
    from: String,
    #[serde(flatten)]
    kind: FrameKind,
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// No header line within the limit.
    #[error("no header line within {MAX_HEADER_LEN} bytes")]
    NoHeader,
    /// The header is not valid.
    #[error("its header is not valid")]
    Header,
    /// A newer version.
    #[error("its version is {0}, expected {VERSION}")]
    Version(u32),
    /// The publisher's id is empty or too long.
    #[error("its publisher's id is empty or longer than {MAX_PUBLISHER_LEN} bytes")]
    Publisher,
}

impl Frame {
    /// Encodes the frame: at most [`MAX_HEADER_LEN`] bytes more than the payload, if the publisher's id is
    /// not too long.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let header = Header { v: VERSION, from: self.publisher.clone(), kind: self.kind };
        // Strings and numbers are always JSON.
        let header = serde_json::to_vec(&header).unwrap_or_default();
        let mut bytes = BytesMut::with_capacity(header.len() + 1 + self.payload.len());
        bytes.put_slice(&header);
        bytes.put_u8(b'\n');
        bytes.put_slice(&self.payload);
        bytes.freeze()
    }

    /// Reads what [`encode`](Self::encode) wrote; the payload shares the memory.
    ///
    /// # Errors
    /// [`FrameError`] for anything else.
    pub fn decode(bytes: &Bytes) -> Result<Self, FrameError> {
        let end = bytes.iter().take(MAX_HEADER_LEN).position(|b| *b == b'\n').ok_or(FrameError::NoHeader)?;
        let line = bytes.get(..end).unwrap_or_default();
        let header: Header = serde_json::from_slice(line).map_err(|_| FrameError::Header)?;
        if header.v != VERSION {
            return Err(FrameError::Version(header.v));
        }
        if header.from.is_empty() || header.from.len() > MAX_PUBLISHER_LEN {
            return Err(FrameError::Publisher);
        }
        Ok(Self { publisher: header.from, kind: header.kind, payload: bytes.slice(end + 1..) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind() -> impl Strategy<Value = FrameKind> {
        prop_oneof![
            any::<u64>().prop_map(|latest| FrameKind::Hello { latest }),
            any::<u64>().prop_map(|latest| FrameKind::Here { latest }),
            any::<u64>().prop_map(|number| FrameKind::Message { number }),
            any::<(u64, u64)>().prop_map(|(number, latest)| FrameKind::Announcement { number, latest }),
        ]
    }

    proptest! {
        #[test]
        fn encoded_frames_are_decoded(
            publisher in "\\PC{1,32}|[\\x00-\\x7f]{1,100}",
            kind in kind(),
            payload in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let frame = Frame { publisher, kind, payload: payload.into() };
            let bytes = frame.encode();
            prop_assert!(bytes.len() <= frame.payload.len() + MAX_HEADER_LEN);
            prop_assert_eq!(Frame::decode(&bytes), Ok(frame));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Frame::decode(&bytes.into());
        }
    }

    #[test]
    fn invalid_bytes_are_refused_with_a_reason() {
        let check = |text: &str, error: FrameError| {
            assert_eq!(Frame::decode(&Bytes::from(text.to_owned())), Err(error), "{text}");
        };
        check("", FrameError::NoHeader);
        check(&" ".repeat(MAX_HEADER_LEN + 1), FrameError::NoHeader);
        check("{}\n", FrameError::Header);
        check("{\"v\":1,\"from\":\"a\",\"kind\":\"other\"}\n", FrameError::Header);
        check("{\"v\":2,\"from\":\"a\",\"kind\":\"hello\",\"latest\":0}\n", FrameError::Version(2));
        check("{\"v\":1,\"from\":\"\",\"kind\":\"hello\",\"latest\":0}\n", FrameError::Publisher);
    }
}
