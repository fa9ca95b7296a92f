//! Limits of data tracks.

/// Limits of the data tracks of one room.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct DataTrackLimits {
    /// Maximum number of data tracks that we publish. Default 256.
    pub published: usize,
    /// Maximum number of subscriptions to data tracks. Default 1,024.
    pub subscribed: usize,
    /// Maximum size of incomplete frames of all of them, in bytes; beyond that such a frame is dropped.
    /// Default 32 MiB.
    pub incomplete_bytes: usize,
}

impl Default for DataTrackLimits {
    fn default() -> Self {
        Self { published: 256, subscribed: 1024, incomplete_bytes: 32 * 1024 * 1024 }
    }
}
