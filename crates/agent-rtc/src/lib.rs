//! LiveKit rooms: joining, events, and data.
//!
//! [`Room`] is a handle over a [backend](RoomBackend): commands go in, events come out, and the handle keeps
//! its own list of participants. Media frames have a lane of their own, with a queue for each track that is
//! read, and one for all that we publish. The implementation behind the backend is chosen by a
//! [`RoomConnector`]: [`WebRtc`] in production, a mock room in tests. A handler cannot distinguish them. A
//! [`RoomConnection`] gives each attempt of a job a handle of its own.
//!
//! The protocol is implemented by `agent_room`'s machine, which [`WebRtc`] drives. This crate is independent
//! of workers and jobs: a program joins a room with nothing but a token, as the example `join` does.

mod audio;
mod backend;
mod connection;
mod connector;
mod data;
mod data_tracks;
mod dtmf;
mod e2ee;
mod events;
mod frame_sender;
mod front_end;
mod handle;
mod id;
mod join_error;
mod join_session;
mod lane;
mod local_tracks;
#[cfg(feature = "media")]
mod media;
mod presence;
mod reader;
mod reconnect_gate;
mod relay;
mod request;
mod rpc;
mod shared;
mod socket;
mod streams;
mod subscriptions;
mod tcp;
#[cfg(test)]
mod tests;
mod trace;
mod track_error;
mod track_reader;
mod transcripts;
mod video;
mod webrtc;

pub use agent_proto::{BoxFuture, Time};
pub use agent_room::{
    AGENT_STATE_ATTRIBUTE, AddressKind, AgentState, AudioLevel, AudioTrackOptions, AutoSubscribe, CHAT_TOPIC,
    ChatMessage, CommandId, Connected, ConnectionQuality, DataReceived, DataTrack, DataTrackFrame,
    DisconnectReason, Dropped, E2eeError, E2eeKey, E2eeOptions, E2eeState, EncodedFrame, EncodedVideoFrame,
    IncomingStream, JoinFailure, KeyDerivation, KindDetail, MAX_AUDIO_FRAME_LEN, MAX_CHANGE_LEN,
    MAX_DATA_FRAME_LEN, MAX_PACKET_LEN, MAX_PAYLOAD_LEN, MAX_VIDEO_FRAME_LEN, MAX_VIDEO_LAYERS, MediaFrame,
    MethodError, Missed, MissedCause, MissedStreams, NetworkPath, OutgoingFrame, OutgoingMedia,
    OutgoingVideoFrame, Participant, ParticipantKind, PathTransport, Permissions, Publish, Reconnected,
    RoomCommand, RoomError, RoomEvent, RoomInfo, RpcCall, RpcError, RpcErrorCode, RpcRequest, RpcRequestId,
    Speaker, SpeechSegment, StreamError, StreamEvent, StreamInfo, StreamKind, StreamOptions, StreamProgress,
    SubscriptionChange, SubscriptionFailure, TRANSCRIPTION_TOPIC, TextOperation, TextStreamInfo, Track,
    TrackKind, TrackOptions, TrackSource, Transcription, TranscriptionSegment, VideoChoice, VideoCodec,
    VideoLayer, VideoQuality, VideoTrackOptions, View,
};
pub use audio::EncodedAudioStream;
pub use backend::RoomBackend;
pub use connection::RoomConnection;
pub use connector::{JoinRequest, RoomConnector};
pub use data::RoomData;
pub use data_tracks::{DataFrameSender, DataTrackStream, DataTrackWriter};
pub use dtmf::SendDtmf;
pub use events::RoomEvents;
pub use frame_sender::FrameSender;
pub use handle::{PublishData, Room};
pub use join_error::JoinError;
pub use join_session::JoinSession;
pub use local_tracks::{EncodedAudioTrack, EncodedVideoTrack, OutgoingFrames};
#[cfg(feature = "media")]
pub use media::{AudioError, AudioStream, AudioTrack, AudioTrackBuilder};
pub use presence::{ParticipantFilter, WaitError};
pub use request::{RoomReply, RoomRequest};
pub use rpc::{IntoRpcResponse, PerformRpc};
pub use streams::{
    ByteParts, ByteReader, ByteStreams, ByteWriter, FileError, StreamBuilder, StreamContent, TextParts,
    TextReader, TextStreams, TextWriter, WholeBytes, WholeFile, WholeText,
};
pub use trace::TRACE_TARGET;
pub use track_error::TrackError;
pub use transcripts::{OwnTranscript, SpeechTranscript, Transcript, Transcripts};
pub use video::EncodedVideoStream;
pub use webrtc::WebRtc;
