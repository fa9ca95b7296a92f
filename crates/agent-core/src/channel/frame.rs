//! One frame on the wire: a line of JSON, then the payload as it is.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// A publisher's id has at most so many bytes.
pub const MAX_PUBLISHER_LEN: usize = 128;
/// What a frame takes besides its payload, at most.
pub const MAX_HEADER_LEN: usize = 1024;

/// The only version there is.
const VERSION: u32 = 1;

/// What goes over a topic.
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
    /// Who sends it: another id for each publisher that ever was.
    pub publisher: String,
    /// What it is.
    pub kind: FrameKind,
    /// What was published; empty in the others.
    pub payload: Bytes,
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum FrameKind {
    /// Somebody listens now, or again: whoever else is there says so.
    Hello {
        /// The number of the last message or announcement before this frame; 0 before the first.
        latest: u64,
    },
    /// The answer of a publisher that has announced nothing.
    Here {
        /// As in a hello.
        latest: u64,
    },
    /// A message.
    Message {
        /// Its number, from 1.
        number: u64,
    },
    /// What a publisher announces, perhaps again.
    Announcement {
        /// Its number, among those of the messages.
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

/// Bytes that are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// There is no line that ends in time.
    #[error("no header line within {MAX_HEADER_LEN} bytes")]
    NoHeader,
    /// The line is not ours.
    #[error("its header is not one of ours")]
    Header,
    /// A later version.
    #[error("its version is {0}, we know {VERSION}")]
    Version(u32),
    /// Nobody has such an id.
    #[error("its publisher's id is empty or longer than {MAX_PUBLISHER_LEN} bytes")]
    Publisher,
}

impl Frame {
    /// Its bytes: at most [`MAX_HEADER_LEN`] more than the payload, if the publisher's id is not too long.
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
    use super::*;
    use proptest::prelude::*;

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
        fn what_is_written_is_read(
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
    fn what_is_no_frame_says_why() {
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
