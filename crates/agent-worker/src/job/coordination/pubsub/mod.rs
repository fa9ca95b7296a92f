//! What jobs tell each other: topics, channels, and what carries them.
//!
//! Every publisher numbers what it sends (`agent_core::Sequencer`), so that each reader knows what it missed
//! (`agent_core::SequenceTracker`), whatever carries it. A [`PubSub`](crate::coordination::PubSub) only moves
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
