//! What jobs tell each other: topics, channels, and what carries them.
//!
//! Every publisher numbers what it sends (`agent_core::Outgoing`), so that each reader knows what it missed
//! (`agent_core::Publishers`), whatever carries it. A [`PubSub`] only moves bytes.

mod announcement;
mod channel;
mod inbox;
mod memory;
#[cfg(feature = "redis")]
mod outage;
#[cfg(feature = "redis")]
mod redis_streams;
mod room_data;
#[cfg(test)]
mod tests;

use bytes::Bytes;

pub use announcement::Announcement;
pub use channel::{Channel, Publisher};
pub use inbox::{ChannelEvent, Inbox, Message};
pub use memory::MemoryPubSub;
#[cfg(feature = "redis")]
pub use redis_streams::RedisPubSub;
pub use room_data::RoomData;

use super::CoordinationError;
use agent_rtc::{BoxFuture, Room};

/// A topic has at most so many bytes.
pub const MAX_TOPIC_LEN: usize = 512;
/// A message has at most so many bytes: as much as room data takes, so that what works with one backend works with all.
pub const MAX_MESSAGE_LEN: usize = 60_000;

/// Carries messages between jobs: in memory, as room data, over Redis, or your own.
pub trait PubSub: Send + Sync + 'static {
    /// Joins a topic. When it is done, everything that anybody sends there from then on comes to the inbox, in the order of
    /// each sender, until the carrier is dropped; one's own frames may come too. The topic is at most [`MAX_TOPIC_LEN`] bytes;
    /// the room is that of the job, if it is joined.
    fn join<'a>(
        &'a self,
        topic: &'a str,
        room: Option<&'a Room>,
        inbox: Inbox,
    ) -> BoxFuture<'a, Result<Box<dyn Carrier>, CoordinationError>>;
}

/// One job's place on a topic. Dropping it leaves.
pub trait Carrier: Send + Sync + 'static {
    /// Sends a frame to everybody on the topic. A frame is a message of at most [`MAX_MESSAGE_LEN`] bytes and a header of at most
    /// 1 KiB. One is sent at a time.
    fn send(&self, frame: Bytes) -> BoxFuture<'_, Result<(), CoordinationError>>;
}
