//! The data channels below.

/// The data channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Channel {
    /// Ordered, and retransmitted until it arrives.
    Reliable,
    /// Sent once.
    Lossy,
    /// Sent once: packets of data tracks.
    DataTrack,
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
