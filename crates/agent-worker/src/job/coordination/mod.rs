//! Jobs that know of each other: elections among them, and channels between them.

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
