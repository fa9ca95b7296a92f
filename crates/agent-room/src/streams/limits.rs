//! Limits of received streams.

/// Limits of the memory of streams that others send us.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct StreamLimits {
    /// Maximum number of open streams of one sender; more of them fail. Default 256.
    pub open_per_sender: usize,
    /// Maximum number of open streams of all senders; more of them fail. Default 4,096.
    pub open: usize,
    /// Maximum unread content of one stream, in bytes as received; then the stream fails. Default 16 MiB.
    pub unread: usize,
    /// Maximum unread content of all streams, in bytes as received; then the stream that exceeds it fails.
    /// Default 64 MiB.
    pub unread_in_room: usize,
    /// Maximum content of one stream, in bytes after decompression. Default 5,000,000,000.
    pub content: u64,
    /// Maximum number of streams of one topic that were not taken yet; beyond it the oldest are
    /// dropped. Default 256.
    pub untaken: usize,
    /// Maximum number of streams without a receiver of their topic that are kept for one that opens later;
    /// beyond it the oldest are dropped. Default 64.
    pub unclaimed: usize,
    /// Maximum content of those, in bytes as received. Default 1 MiB.
    pub unclaimed_bytes: usize,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            open_per_sender: 256,
            open: 4096,
            unread: 16 * 1024 * 1024,
            unread_in_room: 64 * 1024 * 1024,
            content: 5_000_000_000,
            untaken: 256,
            unclaimed: 64,
            unclaimed_bytes: 1024 * 1024,
        }
    }
}
