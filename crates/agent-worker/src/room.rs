//! The room of a job: participants, received and sent data, and the interface for custom rooms.
//!
//! The handle is [`Room`](crate::Room), its events are [`RoomEvent`](crate::RoomEvent). A [`RoomConnector`]
//! provides the implementation: [`WebRtc`] unless set, or your own [`RoomBackend`].

pub use crate::job::join_options::JoinOptions;
pub use agent_core::AgentPermissions;
pub use agent_rtc::{
    AGENT_STATE_ATTRIBUTE, AddressKind, AgentState, AudioLevel, AudioTrackOptions, AutoSubscribe, ByteParts,
    ByteReader, ByteStreams, ByteWriter, CHAT_TOPIC, ChatMessage, CommandId, Connected, ConnectionQuality,
    DataFrameSender, DataReceived, DataTrack, DataTrackFrame, DataTrackStream, DataTrackWriter,
    DisconnectReason, E2eeError, E2eeKey, E2eeOptions, E2eeState, EncodedAudioStream, EncodedAudioTrack,
    EncodedFrame, EncodedVideoFrame, EncodedVideoStream, EncodedVideoTrack, FileError, FrameSender,
    IncomingStream, IntoRpcResponse, JoinError, JoinFailure, JoinRequest, JoinSession, KeyDerivation,
    KindDetail, MAX_AUDIO_FRAME_LEN, MAX_CHANGE_LEN, MAX_DATA_FRAME_LEN, MAX_PACKET_LEN, MAX_PAYLOAD_LEN,
    MAX_VIDEO_FRAME_LEN, MAX_VIDEO_LAYERS, MediaFrame, MethodError, Missed, MissedCause, MissedStreams,
    NetworkPath, OutgoingFrame, OutgoingFrames, OutgoingMedia, OutgoingVideoFrame, OwnTranscript,
    Participant, ParticipantFilter, ParticipantKind, PathTransport, PerformRpc, Permissions, Publish,
    PublishData, Reconnected, RoomBackend, RoomCommand, RoomConnector, RoomData, RoomError, RoomEvents,
    RoomInfo, RoomReply, RoomRequest, RpcCall, RpcError, RpcErrorCode, RpcRequest, RpcRequestId, SendDtmf,
    Speaker, SpeechSegment, SpeechTranscript, StreamBuilder, StreamContent, StreamError, StreamEvent,
    StreamInfo, StreamKind, StreamOptions, StreamProgress, SubscriptionChange, SubscriptionFailure,
    TRANSCRIPTION_TOPIC, TextOperation, TextParts, TextReader, TextStreamInfo, TextStreams, TextWriter, Time,
    Track, TrackError, TrackKind, TrackOptions, TrackSource, Transcript, Transcription, TranscriptionSegment,
    Transcripts, VideoChoice, VideoCodec, VideoLayer, VideoQuality, VideoTrackOptions, WaitError, WebRtc,
    WholeBytes, WholeFile, WholeText,
};
