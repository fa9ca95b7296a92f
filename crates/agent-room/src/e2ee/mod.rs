//! End-to-end encryption: the server forwards what it cannot read.
//!
//! Frames of tracks and packets of data are encrypted with AES-128-GCM, and keys are derived of secrets that
//! the participants share by other means. Each sender has a ring of 16 keys, and says in each frame which one
//! it used. A *ratchet* is a step from a key to the next one that everybody can compute who has the first.

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
