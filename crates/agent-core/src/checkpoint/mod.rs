//! The rules of checkpoints: what a job saves of its progress, for the attempt, worker or machine that goes on with it.
//!
//! - [`CheckpointKey`]: which jobs go on with each other's checkpoint
//! - [`encode_checkpoint`], [`decode_checkpoint`]: the record, with version and checksum
//! - [`Slot`]: who may change what a store holds under a key (promise I13)
//! - [`is_checkpoint_over`]: whether the end of a job is the end of its checkpoint
//!
//! What is never decided here: when to save, and how bytes get onto a disk.

mod error;
mod key;
mod record;
mod slot;

pub use error::{CheckpointError, StoreError};
pub use key::{CheckpointKey, KeyBy, KeyError};
pub use record::{MAX_CHECKPOINT_LEN, decode_checkpoint, encode_checkpoint};
pub use slot::{Claim, Epoch, Slot, Writer, slot_life};

use crate::error::JobErrorKind;

/// Whether a job that ended so has no use for its checkpoint any more: it did its work, or can never do it.
///
/// A job that was told to stop has not done its work, whatever its handler returned and the server was told: the checkpoint is
/// for the one that goes on with it. So are those of a handler that panicked, or whose error may go away.
///
/// ```
/// use agent_core::{JobErrorKind, is_checkpoint_over};
///
/// assert!(is_checkpoint_over(false, None), "success");
/// assert!(!is_checkpoint_over(true, None), "a worker that drains: the next one goes on");
/// assert!(is_checkpoint_over(false, Some(&JobErrorKind::Fatal { reason: "quota_exceeded".into() })));
/// assert!(!is_checkpoint_over(false, Some(&JobErrorKind::Panicked)));
/// ```
#[must_use]
pub const fn is_checkpoint_over(told_to_stop: bool, failure: Option<&JobErrorKind>) -> bool {
    if told_to_stop {
        return false;
    }
    match failure {
        None | Some(JobErrorKind::Fatal { .. } | JobErrorKind::Invalid { .. }) => true,
        Some(
            JobErrorKind::Cancelled
            | JobErrorKind::Panicked
            | JobErrorKind::Retryable { .. }
            | JobErrorKind::TimedOut,
        ) => false,
    }
}
