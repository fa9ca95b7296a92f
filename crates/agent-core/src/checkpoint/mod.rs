//! The rules of checkpoints: the progress that a job saves for the attempt, worker or machine that continues
//! it.
//!
//! - [`CheckpointKey`]: which jobs share a checkpoint
//! - [`encode_checkpoint`], [`verify_checkpoint`], [`decode_checkpoint`]: the record, with version and
//!   checksum
//! - [`Slot`]: who may change what a store holds under a key (promise I13); [`ClaimSession`]: the same for
//!   the writer
//! - [`checkpoint_retention`]: whether a checkpoint outlives the attempt that wrote it
//! - [`SaveSchedule`]: when an auto-saved value is saved
//!
//! How bytes get onto a disk is up to the stores.

mod claim;
mod error;
mod key;
mod record;
mod retention;
mod schedule;
mod slot;
mod store;

pub use claim::{CheckpointChange, ClaimSession, Generation, StoreRequest};
#[cfg(test)]
pub(crate) use error::REASONS;
pub use error::{CheckpointError, KeyError, StoreError};
pub use key::{CheckpointKey, KeyBy};
pub use record::{
    MAX_CHECKPOINT_LEN, checkpoint_epoch, decode_checkpoint, encode_checkpoint, verify_checkpoint,
};
pub use retention::{CheckpointRetention, checkpoint_retention};
pub use schedule::{SaveFailure, SaveInput, SaveOutput, SaveReport, SaveSchedule};
pub use slot::{Claim, Epoch, Slot, Writer, slot_life};
pub use store::CheckpointStore;
