//! Why a received stream failed.

/// Why a stream has no (more) content. What was read before it is correct, but not complete.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum StreamError {
    /// Content is missing: chunks were lost, or the stream is shorter than announced.
    #[error("the stream is incomplete: {detail}")]
    Incomplete {
        /// What is missing.
        detail: String,
    },
    /// More content than announced.
    #[error("the stream has more than the {announced} bytes that its header announced")]
    LengthExceeded {
        /// The announced length, in bytes.
        announced: u64,
    },
    /// The sender ended the stream early.
    #[error("the sender ended the stream: {reason}")]
    Aborted {
        /// The sender's reason, shortened.
        reason: String,
    },
    /// The sender left the room before the end of the stream.
    #[error("the sender left the room before the end of the stream")]
    SenderLeft,
    /// Our connection was replaced by a new session, which does not receive what was sent to the old one.
    #[error("the connection was re-established with a new session, which does not receive the rest")]
    Interrupted,
    /// The room ended before the stream.
    #[error("the room ended before the stream")]
    RoomEnded,
    /// The attempt of the job that read the stream is over.
    #[error("the attempt that read the stream is over")]
    AttemptOver,
    /// The unread content exceeds the limit of a stream or of the room.
    #[error(
        "{unread} bytes of the stream were unread, over the limit of {limit} bytes; read it while it is received"
    )]
    BufferFull {
        /// Unread bytes, in the form in which they were received.
        unread: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The content exceeds the limit of a whole stream.
    #[error("the content of the stream is over the limit of {limit} bytes")]
    PayloadTooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The sender has too many streams open.
    #[error("the sender has {limit} streams open already")]
    TooManyStreams {
        /// The limit.
        limit: usize,
    },
    /// The content is compressed in a way that this version does not know.
    #[error("the compression {number} of the stream is not supported")]
    UnknownCompression {
        /// The number on the wire.
        number: i32,
    },
    /// The compressed content is damaged.
    #[error("the compressed content of the stream is damaged")]
    Decompression,
    /// A text stream whose content is not UTF-8.
    #[error("the content of the text stream is not UTF-8")]
    InvalidUtf8,
}

impl StreamError {
    pub(super) fn incomplete(detail: impl Into<String>) -> Self {
        Self::Incomplete { detail: detail.into() }
    }
}
