//! Whether frames and data of a participant can be decrypted.

use super::error::E2eeError;

/// Whether frames and data of a participant can be decrypted, or our own encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum E2eeState {
    /// It can.
    Ok,
    /// It can, with a key that follows the one that was set: its sender has ratcheted it.
    Ratcheted,
    /// It cannot; it is dropped.
    Failed(E2eeError),
}
