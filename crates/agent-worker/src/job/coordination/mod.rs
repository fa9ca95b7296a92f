//! Coordination between jobs: elections and channels.

mod clock;
mod context;
mod election;
mod leadership;
mod pubsub;
mod releases;
#[cfg(test)]
mod tests;

pub use leadership::{Follower, Leadership, Lease};
pub use pubsub::{Announcement, Channel, ChannelEvent, Message, Publisher, RoomData};

pub(crate) use releases::Releases;
