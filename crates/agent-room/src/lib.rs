//! A LiveKit room client without I/O: signalling, participants, data packets and WebRTC as one state machine.
//!
//! [`Room`] receives inputs ([`Input`]) and returns outputs ([`Output`]). It has no socket, task, clock or
//! environment of its own: a driver (in `agent-rtc`) owns those, and a test can replace any of them.
//!
//! # The contract
//! After each [`Room::handle_input`] and [`Room::handle_timeout`] the caller drains [`Room::poll_output`] to
//! `None`, carries out the outputs **in order**, and then waits for the next input or for
//! [`Room::poll_timeout`], which also returns the reason. [`Time`](agent_proto::Time) counts from the
//! creation of the room. Early and repeated timeouts do nothing. After a drain the timeout is later than the
//! last `now`. [`Output::Closed`] is the last output.
//!
//! Nothing that a server or a network sends can make the machine fail: invalid messages are counted
//! ([`Room::violations`]) and skipped.
//!
//! ```
//! use agent_room::{Config, Input, Output, Room};
//! use agent_proto::Time;
//! use std::time::Instant;
//!
//! # fn main() {
//! let mut room = Room::new(Config::new("wss://example.test", "token"), Instant::now());
//! room.handle_input(Input::UdpBound { port: 50_000 }, Time::ZERO);
//! let Some(Output::ConnectSignal { url, .. }) = room.poll_output() else { panic!("first of all it connects") };
//! assert!(url.starts_with("wss://example.test/rtc/v1?join_request="));
//! # }
//! ```
//!
//! # Recordings
//! With the feature `serde`, [`Config`] and [`Input`] can be serialized and deserialized, and [`Output`]
//! serialized. **A recording contains what is sent and received**, and the token of the configuration, so
//! keep it as a secret. Outputs show tokens as `[redacted]`. WebRTC draws keys and passwords of its own: a
//! replayed [`Room`] gives the same outputs up to its first offer.
//!
//! # Inside
//! `signal` implements the protocol and is deterministic: the same inputs give the same bytes. `transport` is
//! the only module that uses str0m; `connection` is its interface. `machine` connects the two, which do not
//! know each other. [`Room`] is the machine over str0m. Events that must not precede [`RoomEvent::Connected`]
//! or [`RoomEvent::Reconnected`] wait in `held`, whichever of the two they come from. `data` numbers the
//! packets of the data channels, and `streams` carries texts and bytes of any length in them; `rpc` calls
//! methods of others and passes on their requests. `dtmf` and `legacy` are the packets that are one event
//! each; `data_tracks` publishes frames of bytes, and puts those of others together. `local_tracks` are the
//! tracks that we publish. `turn` is the protocol of relays. `video` makes frames of the packets of video
//! tracks, and packets of frames. Media frames have a separate path: from `transport` to [`Output::Frame`],
//! and from [`Input::SendFrame`] to `transport`, past signalling and all queues. Beside them `inbox`
//! distributes events to a room's event and data streams, `StreamReaders` the content of text and byte
//! streams, and `view` applies events to the list of participants.

mod agent_state;
mod command;
mod config;
mod connection;
mod data;
mod data_tracks;
mod dtmf;
mod e2ee;
mod event;
mod event_bytes;
mod frame;
mod held;
mod inbox;
mod io;
mod legacy;
mod local_tracks;
mod machine;
mod network_path;
mod rbsp;
mod reason;
mod refusal;
mod room;
mod room_error;
mod rpc;
mod server_requests;
mod signal;
mod streams;
mod subscription;
mod transcript;
mod transport;
mod turn;
mod types;
mod unknown_method;
mod video;
mod view;

pub use agent_proto::{KindDetail, ParticipantKind, TrackSource, VideoCodec};
pub use agent_state::{AGENT_STATE_ATTRIBUTE, AgentState};
pub use command::{CommandId, Publish, RoomCommand};
pub use config::{AutoSubscribe, Config, Limits};
pub use data_tracks::{DataTrack, DataTrackFrame, DataTrackLimits, MAX_DATA_FRAME_LEN};
pub use e2ee::{E2eeError, E2eeKey, E2eeOptions, E2eeState, KeyDerivation};
pub use event::{Connected, DataReceived, Reconnected, RoomEvent};
pub use frame::{AudioLevel, EncodedFrame, MediaFrame, OutgoingFrame, OutgoingMedia};
pub use inbox::{DataFilter, Dropped, Inbox, Missed, MissedCause, StreamId};
pub use io::{Input, Output, Protocol, Timer};
pub use legacy::{ChatMessage, Transcription, TranscriptionSegment};
pub use local_tracks::{AudioTrackOptions, TrackOptions, VideoLayer, VideoTrackOptions};
pub use network_path::{AddressKind, NetworkPath, PathTransport};
pub use reason::{DisconnectReason, JoinFailure};
pub use room::Room;
pub use room_error::{
    MAX_AUDIO_FRAME_LEN, MAX_CHANGE_LEN, MAX_PACKET_LEN, MAX_PAYLOAD_LEN, MAX_VIDEO_FRAME_LEN,
    MAX_VIDEO_LAYERS, RoomError,
};
pub use rpc::{
    MAX_RPC_MESSAGE_LEN, MAX_RPC_PACKET_PAYLOAD, MethodError, RpcCall, RpcError, RpcErrorCode, RpcLimits,
    RpcRequest, RpcRequestId,
};
pub use streams::{
    IncomingStream, MissedStreams, OpenedStream, StreamError, StreamEvent, StreamInfo, StreamKind,
    StreamLimits, StreamOptions, StreamProgress, StreamReaders, TextOperation, TextStreamInfo, UnreadStream,
};
pub use subscription::{SubscriptionChange, SubscriptionChoice};
pub use transcript::{CHAT_TOPIC, SpeechSegment, TRANSCRIPTION_TOPIC, final_attributes, is_final};
pub use turn::RelayTransport;
pub use types::{
    ConnectionQuality, Participant, Permissions, RoomInfo, Speaker, SubscriptionFailure, Track, TrackKind,
};
pub use unknown_method::UnknownMethod;
pub use video::{EncodedVideoFrame, OutgoingVideoFrame, VideoChoice, VideoQuality};
pub use view::{View, ViewChange};
