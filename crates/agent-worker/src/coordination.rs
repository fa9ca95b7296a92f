//! Coordination between jobs: leader election, and messages.
//!
//! A [`Coordinator`] is a store of leases, in which the jobs of one room (or under any other key) elect a
//! leader: [`MemoryCoordinator`] for tests and one process, [`FileCoordinator`] for the processes of one
//! machine, `RedisCoordinator` for many. The rules are in `agent_core::Election` and
//! `agent_core::LeaseRecord`; this module drives them.
//!
//! A [`PubSub`] carries the messages and announcements of jobs on topics: [`RoomData`] unless set, which
//! needs no server but LiveKit's, [`MemoryPubSub`] for tests, `RedisPubSub` for jobs in different rooms. Room
//! data has no fencing, so it cannot elect a leader.
//!
//! Promise I13: a stale leader can change nothing. A lease can be lost without its holder noticing in time,
//! so a store accepts a write only with the last fencing token that it granted ([`Lease::write`]).

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
