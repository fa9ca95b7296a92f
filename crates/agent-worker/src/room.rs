//! The room of a job: participants, received and sent data, and the interface for custom rooms.
//!
//! The handle is [`Room`](crate::Room), its events are [`RoomEvent`](crate::RoomEvent). A [`RoomConnector`]
//! provides the implementation: [`WebRtc`] unless set, or your own [`RoomBackend`].

pub use crate::job::join_options::JoinOptions;
pub use agent_core::AgentPermissions;
pub use agent_rtc::{
    AudioLevel, AutoSubscribe, ByteParts, ByteReader, ByteStreams, ByteWriter, ChatMessage, CommandId,
    Connected, ConnectionQuality, DataReceived, DataTrack, DisconnectReason, EncodedAudioStream,
    EncodedFrame, FileError, FrameSender, IncomingStream, IntoRpcResponse, JoinError, JoinFailure,
    JoinRequest, JoinSession, KindDetail, MAX_CHANGE_LEN, MAX_PACKET_LEN, MAX_PAYLOAD_LEN, MethodError,
    Missed, MissedCause, MissedStreams, Participant, ParticipantFilter, ParticipantKind, PerformRpc,
    Permissions, Publish, PublishData, Reconnected, RoomBackend, RoomCommand, RoomConnector, RoomData,
    RoomError, RoomEvents, RoomInfo, RoomReply, RoomRequest, RpcCall, RpcError, RpcErrorCode, RpcRequest,
    RpcRequestId, SendDtmf, Speaker, StreamBuilder, StreamContent, StreamError, StreamEvent, StreamInfo,
    StreamKind, StreamOptions, StreamProgress, SubscriptionFailure, TextOperation, TextParts, TextReader,
    TextStreamInfo, TextStreams, TextWriter, Time, Track, TrackError, TrackKind, TrackSource, Transcription,
    TranscriptionSegment, WaitError, WebRtc, WholeBytes, WholeFile, WholeText,
};
