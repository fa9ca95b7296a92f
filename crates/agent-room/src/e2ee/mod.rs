//! End-to-end encryption: the server forwards what it cannot read.
//!
//! Frames of tracks and packets of data are encrypted with AES-128-GCM, and keys are derived of secrets that
//! the participants share by other means. Each sender has a ring of 16 keys, and says in each frame which one
//! it used. A *ratchet* is a step from a key to the next one that everybody can compute who has the first.

mod blank;
mod clear;
mod data;
mod frame;
mod key;
mod keys;
mod nonce;
mod rbsp;
mod room;
mod state;
#[cfg(test)]
mod tests;

pub use key::{E2eeKey, KeyDerivation};
pub use keys::{E2eeError, E2eeOptions};
pub(crate) use room::E2ee;
pub use state::E2eeState;

/// What a frame of a track contains, as far as it matters for its encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum EncryptedCodec {
    Opus,
    Vp8,
    Vp9,
    Av1,
    H264,
    H265,
}

impl EncryptedCodec {
    #[cfg(test)]
    const ALL: [Self; 6] = [Self::Opus, Self::Vp8, Self::Vp9, Self::Av1, Self::H264, Self::H265];

    const fn is_escaped(self) -> bool {
        matches!(self, Self::H264 | Self::H265)
    }
}
