//! The traits of lease stores and pub/sub backends, which coordinate jobs.
//!
//! The rules are those of [`Election`](crate::Election), [`LeaseRecord`](crate::LeaseRecord),
//! [`Sequencer`](crate::Sequencer) and [`SequenceTracker`](crate::SequenceTracker); these traits connect them
//! to any backend.

mod coordinator;
mod error;
mod pubsub;

pub use coordinator::{Coordinator, FencedValue, MAX_KEY_LEN, MAX_VALUE_LEN, check_key, write_fenced};
pub use error::{CoordinationError, check_len, check_name};
pub use pubsub::{Inbox, MAX_MESSAGE_LEN, MAX_TOPIC_LEN, PubSub, Receive, Subscription};
