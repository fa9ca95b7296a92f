//! A client of a LiveKit server's HTTP API (Twirp): rooms, participants, and the dispatch of agents.
//!
//! Each call is one `POST` with a protobuf body and a token that permits only this call. The wire types stay
//! private. Which grant a call needs (`call`), when it is repeated (`retry`), what a response without success
//! means (`error`) and when an agent is dispatched again (`ensure`) are decided without I/O.

mod call;
mod client;
mod data;
mod dispatch;
mod ensure;
mod error;
mod participants;
mod permissions;
mod request;
mod retry;
mod room_api;
mod rooms;
mod sip;
#[cfg(test)]
mod tests;

pub use self::client::{ServerApi, worker_api};
pub use self::data::DataMessage;
pub use self::dispatch::{DispatchInfo, DispatchRequest, DispatchedJob, JobState};
pub use self::error::ApiError;
pub use self::participants::{ParticipantChange, ParticipantSummary, ParticipantSummaryKind};
pub use self::permissions::{ParticipantPermissions, PublishSource};
pub use self::room_api::RoomApi;
pub use self::rooms::{RoomRequest, RoomSummary};
pub use self::sip::SipTransfer;
