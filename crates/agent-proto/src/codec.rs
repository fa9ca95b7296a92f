//! Encoding and decoding of one message per frame.

use bytes::Bytes;
use prost::Message;

/// The largest frame that we take or send, in bytes (2 MiB, the limit that newer servers set for agent
/// frames).
pub const MAX_FRAME_LEN: usize = 2 * 1024 * 1024;

/// Why a frame could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The frame is longer than the limit; its content was not read.
    #[error("frame of {len} bytes is over the limit of {limit} bytes")]
    TooLarge {
        /// Length of the frame, in bytes.
        len: usize,
        /// The limit that was given, in bytes.
        limit: usize,
    },
    /// The frame is not a valid protobuf encoding of the message.
    #[error("not a valid {message}: {reason}")]
    Malformed {
        /// The Rust name of the message that was expected.
        message: &'static str,
        /// The decoder's message.
        reason: String,
    },
}

/// Reads one message from a frame of at most `limit` bytes.
///
/// Unknown fields are skipped, as protobuf asks for; `bytes` fields share the frame's memory.
///
/// # Errors
/// [`DecodeError::TooLarge`] without reading the content, [`DecodeError::Malformed`] for anything that is not
/// an encoding of `M`.
///
/// ```
/// use agent_proto::{decode, livekit::WorkerPing, DecodeError};
///
/// let err = decode::<WorkerPing>(&vec![0; 11].into(), 10).unwrap_err();
/// assert_eq!(err, DecodeError::TooLarge { len: 11, limit: 10 });
/// ```
pub fn decode<M: Message + Default>(frame: &Bytes, limit: usize) -> Result<M, DecodeError> {
    check_len(frame, limit)?;
    M::decode(frame.clone()).map_err(|error| malformed::<M>(&error))
}

/// Reads one message from a frame that is borrowed: as [`decode`], which costs more for a message without
/// `bytes` fields. Such fields are copied.
///
/// # Errors
/// The same.
///
/// ```
/// use agent_proto::{decode_borrowed, encode, livekit::WorkerPing};
///
/// let ping = WorkerPing { timestamp: 7 };
/// assert_eq!(decode_borrowed(&encode(&ping), 10), Ok(ping));
/// ```
pub fn decode_borrowed<M: Message + Default>(frame: &[u8], limit: usize) -> Result<M, DecodeError> {
    check_len(frame, limit)?;
    M::decode(frame).map_err(|error| malformed::<M>(&error))
}

const fn check_len(frame: &[u8], limit: usize) -> Result<(), DecodeError> {
    if frame.len() > limit {
        return Err(DecodeError::TooLarge { len: frame.len(), limit });
    }
    Ok(())
}

fn malformed<M>(error: &prost::DecodeError) -> DecodeError {
    DecodeError::Malformed {
        message: std::any::type_name::<M>().rsplit("::").next().unwrap_or("message"),
        reason: error.to_string(),
    }
}

/// Writes one message as a frame.
#[must_use]
pub fn encode<M: Message>(message: &M) -> Bytes {
    message.encode_to_vec().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::livekit::{WorkerMessage, WorkerPing, worker_message};

    #[test]
    fn garbage_names_the_message() {
        let err = decode::<WorkerMessage>(&Bytes::from_static(b"\xff\xff"), 10).unwrap_err();
        assert!(err.to_string().starts_with("not a valid WorkerMessage: "), "{err}");
    }

    #[test]
    fn the_limit_is_inclusive() {
        let message =
            WorkerMessage { message: Some(worker_message::Message::Ping(WorkerPing { timestamp: 1 << 40 })) };
        let frame = encode(&message);
        assert_eq!(decode(&frame, frame.len()), Ok(message));
        assert!(decode::<WorkerMessage>(&frame, frame.len() - 1).is_err());
    }
}
