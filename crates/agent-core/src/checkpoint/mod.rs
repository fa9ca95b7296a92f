//! The rules of checkpoints: what a job saves of its progress, for the attempt, worker or machine that goes on with it.
//!
//! - [`CheckpointKey`]: which jobs go on with each other's checkpoint
//! - [`encode_checkpoint`], [`verify_checkpoint`], [`decode_checkpoint`]: the record, with version and checksum
//! - [`Slot`]: who may change what a store holds under a key (promise I13); [`ClaimSession`]: the same seen from the writer
//! - [`is_checkpoint_over`]: whether the end of a job is the end of its checkpoint
//!
//! What is never decided here: when to save, and how bytes get onto a disk.

mod claim;
mod error;
mod key;
mod record;
mod slot;
mod store;

pub use claim::{CheckpointChange, ClaimSession, Generation, StoreRequest};
pub use error::{CheckpointError, StoreError};
pub use key::{CheckpointKey, KeyBy, KeyError};
pub use record::{
    MAX_CHECKPOINT_LEN, checkpoint_epoch, decode_checkpoint, encode_checkpoint, verify_checkpoint,
};
pub use slot::{Claim, Epoch, Slot, Writer, slot_life};
pub use store::CheckpointStore;

use crate::error::JobErrorKind;
use crate::outcome::AttemptEnd;

/// Whether a job that ended so has no use for its checkpoint any more: it did its work, or can never do it.
///
/// A job that was told to stop has not done its work, whatever its handler returned and the server was told: the checkpoint is
/// for the one that goes on with it. So are those of a handler that panicked, whose error may go away, or that failed because of its
/// checkpoint ([`CheckpointError`]): another version of the agent, or a mended store, can go on with what was saved before.
///
/// ```
/// use agent_core::{AttemptEnd, JobErrorKind, is_checkpoint_over};
///
/// assert!(is_checkpoint_over(false, &AttemptEnd::Ok));
/// assert!(!is_checkpoint_over(true, &AttemptEnd::Ok), "a worker that drains: the next one goes on");
/// let fatal = AttemptEnd::Error { kind: JobErrorKind::Fatal { reason: "quota_exceeded".into() }, text: String::new() };
/// assert!(is_checkpoint_over(false, &fatal));
/// assert!(!is_checkpoint_over(false, &AttemptEnd::Panicked(String::new())));
/// ```
#[must_use]
pub fn is_checkpoint_over(told_to_stop: bool, end: &AttemptEnd) -> bool {
    if told_to_stop {
        return false;
    }
    match end {
        AttemptEnd::Ok => true,
        AttemptEnd::Error { kind, .. } => match kind {
            JobErrorKind::Fatal { reason } => !error::REASONS.contains(&&**reason),
            JobErrorKind::Invalid { .. } => true,
            JobErrorKind::Cancelled
            | JobErrorKind::Panicked
            | JobErrorKind::Retryable { .. }
            | JobErrorKind::TimedOut => false,
        },
        AttemptEnd::Cancelled | AttemptEnd::Panicked(_) | AttemptEnd::Aborted => false,
    }
}
