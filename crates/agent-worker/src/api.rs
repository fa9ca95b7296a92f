//! The server's HTTP API: rooms, participants, and the dispatch of agents.
//!
//! A handler has it as [`JobContext::api`](crate::JobContext::api), a [`RoomApi`] with the worker's
//! credentials. A [`ServerApi`] is for programs that have credentials, or a token, of their own.

pub use agent_net::{
    ApiError, DataMessage, DispatchInfo, DispatchRequest, DispatchedJob, JobState, ParticipantChange,
    ParticipantPermissions, ParticipantSummary, ParticipantSummaryKind, PublishSource, RoomApi, RoomRequest,
    RoomSummary, ServerApi, SipTransfer,
};
