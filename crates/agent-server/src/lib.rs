//! The rules of a LiveKit server towards agents, and what makes a server of them.
//!
//! [`Server`] is the machine: workers, jobs, dispatches and rooms, without I/O. [`Hub`] drives it with tokio's clock and [`Hub::serve`] is its
//! network: HTTP, tokens, Twirp calls and workers' WebSockets over any stream of bytes. The mock server of `agent-testkit` is built of them.

mod accept;
mod backend;
mod event_log;
mod front;
mod hub;
mod machine;
mod token;

pub use accept::{Accept, accept_all};
pub use front::{JoinRefusal, ToWorker};
pub use hub::{Faults, Hub};
pub use machine::{
    Change, Grant, JobFlags, MAX_HISTORY_LEN, MemberId, Misdeed, NewMember, OfferAnswer, Output,
    RecordedStatus, RoomSettings, Rules, Sent, Server, ServerEvent, TrackSpec, WorkerId,
};
pub use token::read as read_token;
