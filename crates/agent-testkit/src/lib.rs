//! Test tools for LiveKit agents.
//!
//! - [`RealServer`]: a real livekit-server on loopback, installed if it must be, with its log understood
//! - [`ServerApi`]: a client of a server's API: rooms, participants, dispatch
//! - [`OfficialClient`]: participants of LiveKit's own Python SDK
//! - [`real_server`] and [`official_host`]: whether tests against these run on this machine, and the tools for them

mod api;
mod cache;
mod official;
mod real;
mod ring;

pub use api::{
    ApiError, DataMessage, DispatchInfo, DispatchRequest, DispatchedJob, JobState, ParticipantChange,
    ParticipantSummary, ParticipantSummaryKind, RoomRequest, RoomSummary, ServerApi,
};
pub use official::{
    ClientError, ClientEvent, ClientParticipant, ClientState, ClientTrack, OfficialClient, OfficialData,
    OfficialHost,
};
pub use real::{
    Assigned, JobEnd, JobEndStatus, LogTimeout, RealServer, RealServerBuilder, SERVER_VERSION, ServerError,
    ServerLog,
};
pub use ring::{official_host, real_server, real_server_with};
