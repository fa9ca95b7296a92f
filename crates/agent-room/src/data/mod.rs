//! Data packets: the send queue, and detection of packets received before.
//!
//! A packet gets its sequence number when it is queued, because the reliable channel keeps the order; a
//! reliable packet that was received before (some are repeated after a resume) is dropped. Sent reliable
//! packets are kept until the server has acknowledged them: a resume repeats those that the server has not
//! received, and those left when a session ends may be lost.

mod inbox;
mod outbox;

pub(crate) use inbox::{DataInbox, Received};
pub(crate) use outbox::{DataOutbox, PacketOwner};

/// The two data channels for user data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Channel {
    /// Ordered, and retransmitted until it arrives.
    Reliable,
    /// Sent once.
    Lossy,
}

/// The result of a write to a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteResult {
    /// The channel accepted the packet.
    Accepted,
    /// The channel is not open yet, or its buffer is full: retry later.
    NotNow,
    /// This packet can never be sent.
    Never,
}
