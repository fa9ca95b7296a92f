//! End-to-end encryption: the server forwards frames that it cannot read.
//!
//! Frames of tracks and packets of data are encrypted with AES-128-GCM, and keys are derived from secrets
//! that the participants share by other means. Each sender has a ring of 16 keys, and each frame contains the
//! index of the key that was used. A *ratchet* derives the next key from a key: everybody who has the first
//! can do it.

mod blank;
mod clear;
mod codec;
mod data;
mod error;
mod frame;
mod key;
mod keys;
mod nonce;
mod room;
mod state;
#[cfg(test)]
mod tests;

pub use error::E2eeError;
pub use key::{E2eeKey, KeyDerivation};
pub use keys::E2eeOptions;
pub(crate) use room::E2ee;
pub use state::E2eeState;
