//! Messages between jobs: topics, channels, and the room-data backend.
//!
//! Every publisher numbers its messages (`agent_core::Sequencer`), so that each reader detects losses
//! (`agent_core::SequenceTracker`) over every backend. A [`PubSub`](crate::coordination::PubSub) only moves
//! bytes.

mod announcement;
mod channel;
mod mailbox;
mod room_data;
#[cfg(test)]
mod tests;

pub use announcement::Announcement;
pub use channel::{Channel, Publisher};
pub use mailbox::{ChannelEvent, Message};
pub use room_data::RoomData;
