//! A client of a LiveKit server's HTTP API (Twirp): rooms, participants, and the dispatch of agents.
//!
//! Each call is one `POST` with a protobuf body and a token that permits only this call. The wire types stay
//! private.

mod client;
mod dispatch;
mod error;
mod http;
mod rooms;

pub use self::client::ServerApi;
pub use self::dispatch::{DispatchInfo, DispatchRequest, DispatchedJob, JobState};
pub use self::error::ApiError;
pub use self::rooms::{
    DataMessage, ParticipantChange, ParticipantSummary, ParticipantSummaryKind, RoomRequest, RoomSummary,
};
