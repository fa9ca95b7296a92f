//! Data packets: the send queue, and detection of packets received before.
//!
//! A packet gets its sequence number when it is queued, because the reliable channel keeps the order; a
//! reliable packet that was received before (some are repeated after a resume) is dropped. Sent reliable
//! packets are kept until the server has acknowledged them: a resume repeats those that the server has not
//! received, and those left when a session ends may be lost.

mod channel;
mod inbox;
mod outbox;

pub(crate) use channel::{Channel, WriteResult};
pub(crate) use inbox::{DataInbox, Received};
pub(crate) use outbox::{DataOutbox, PacketOwner};
