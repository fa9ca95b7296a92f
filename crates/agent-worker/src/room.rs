//! The room of a job: participants, received and sent data, and the interface for custom rooms.
//!
//! The handle is [`Room`](crate::Room), its events are [`RoomEvent`](crate::RoomEvent). A [`RoomConnector`]
//! provides the implementation: [`WebRtc`] unless set, or your own [`RoomBackend`].

pub use crate::job::join_options::JoinOptions;
pub use agent_core::AgentPermissions;
pub use agent_rtc::{
    AudioLevel, AutoSubscribe, ChatMessage, Connected, ConnectionQuality, DataReceived, DisconnectReason,
    EncodedAudioStream, EncodedFrame, FrameSender, JoinError, JoinFailure, JoinRequest, JoinSession,
    MAX_CHANGE_LEN, MAX_PACKET_LEN, MAX_PAYLOAD_LEN, Missed, MissedCause, Participant, ParticipantFilter,
    ParticipantKind, Permissions, Publish, PublishData, Reconnected, RoomBackend, RoomCommand, RoomConnector,
    RoomData, RoomError, RoomEvents, RoomInfo, RoomReply, RoomRequest, SendDtmf, Speaker,
    SubscriptionFailure, Time, Track, TrackError, TrackKind, TrackSource, Transcription,
    TranscriptionSegment, WaitError, WebRtc,
};
