//! Jobs that know of each other: who leads, and what they tell each other.
//!
//! A [`Coordinator`] is a store of leases, in which the jobs of one room (or of anything else with a name)
//! elect a leader: [`MemoryCoordinator`] for tests and one process, [`FileCoordinator`] for the processes of
//! one machine, `RedisCoordinator` for many. The rules are those of `agent_core::Election` and
//! `agent_core::LeaseRecord`; here is what carries them out.
//!
//! A [`PubSub`] carries what jobs publish on a topic and announce about themselves: [`RoomData`] unless set,
//! which needs no server but LiveKit's, [`MemoryPubSub`] for tests, `RedisPubSub` for jobs that share no
//! room. Room data cannot fence, so it elects no leader.
//!
//! Promise I13: a stale leader can change nothing. A lease can be lost without its holder noticing in time,
//! so a store takes no write but under the last fencing token that it gave ([`Lease::write`]).

pub use crate::job::coordination::{
    Announcement, Channel, ChannelEvent, Follower, Leadership, Lease, Message, Publisher, RoomData,
};
pub use agent_backends::{FileCoordinator, MemoryCoordinator, MemoryPubSub};
#[cfg(feature = "redis")]
pub use agent_backends::{RedisCoordinator, RedisPubSub};
pub use agent_core::{
    AcquireResult, CoordinationError, Coordinator, FencedValue, Inbox, LeaseLoss, LeaseRecord, MAX_KEY_LEN,
    MAX_MESSAGE_LEN, MAX_TOPIC_LEN, MAX_VALUE_LEN, PubSub, Receive, Subscription,
};
