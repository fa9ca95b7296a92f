//! Message framing and sequence numbers for channels between jobs.
//!
//! Each publisher numbers its messages from 1. The transport may lose some, over a reconnect for example; the
//! next number that arrives shows how many, so that no loss is silent. A publisher that joins, or was
//! disconnected for a while, sends a hello, and the others answer: with their last announcement under its old
//! number, or just with their presence. Hello and answer contain the latest number, too: a loss is detected
//! even if nothing follows, and a newcomer starts counting there. No input makes this panic, and its memory
//! is bounded.

mod frame;
mod sender_filter;
mod sequence;

pub use frame::{Frame, FrameError, FrameKind, MAX_HEADER_LEN, MAX_PUBLISHER_LEN};
pub use sender_filter::{HeldFrames, SenderFilter, Trust};
pub use sequence::{Received, SequenceTracker, Sequencer};
