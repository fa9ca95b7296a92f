//! The seams between jobs that know of each other and what they are coordinated by: stores of leases and carriers of messages.
//!
//! The rules are those of [`Election`](crate::Election), [`Seat`](crate::Seat), [`Outgoing`](crate::Outgoing) and
//! [`Publishers`](crate::Publishers); what is in here lets them be carried out by anything.

mod coordinator;
mod error;
mod pubsub;

pub use coordinator::{Coordinator, FencedValue, MAX_KEY_LEN, MAX_VALUE_LEN, check_key, write_fenced};
pub use error::{CoordinationError, check_len, check_name};
pub use pubsub::{Carrier, Inbox, MAX_MESSAGE_LEN, MAX_TOPIC_LEN, PubSub, Receive};
