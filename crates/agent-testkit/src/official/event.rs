//! Events and state as the participants of the official SDKs see them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::received::{
    OfficialByteStream, OfficialPictures, OfficialSegment, OfficialSound, OfficialTextStream, base64_bytes,
};

/// An event in the room of an [`OfficialClient`](super::OfficialClient).
///
/// The state when the client joined is in [`OfficialClient::state`](super::OfficialClient::state), not here.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClientEvent {
    /// Data were received.
    Data(OfficialData),
    /// A text stream was received, whole; its topic is one of
    /// [`register_text_streams`](super::OfficialClient::register_text_streams).
    TextStream(OfficialTextStream),
    /// A byte stream was received, whole; its topic is one of
    /// [`register_byte_streams`](super::OfficialClient::register_byte_streams).
    ByteStream(OfficialByteStream),
    /// A stream was begun and could not be received.
    StreamFailed {
        /// The sender's identity.
        identity: String,
        /// The stream's topic.
        topic: String,
        /// The stream's id.
        id: String,
        /// The SDK's error.
        error: String,
    },
    /// A method of [`register_rpc`](super::OfficialClient::register_rpc) was called.
    RpcCalled {
        /// The method.
        method: String,
        /// The caller's identity.
        caller: String,
        /// The length of the request's payload in bytes.
        payload_len: usize,
    },
    /// A participant sent a tone of a telephone's keys.
    Dtmf {
        /// The sender's identity; empty if the client does not know it.
        identity: String,
        /// The code of RFC 4733.
        code: u32,
        /// The key.
        digit: String,
    },
    /// A chat message was sent, in the form that is older than text streams; possibly the client's own. The
    /// Python SDKs do not report them.
    ChatMessage {
        /// The sender's identity.
        identity: String,
        /// The message's id.
        id: String,
        /// The text.
        message: String,
    },
    /// A transcription was received, in the form that is older than text streams. The Node.js SDK does not
    /// report them.
    TranscriptionReceived {
        /// The identity of the participant who spoke; empty if the client does not know it.
        identity: String,
        /// The track's sid; empty if the client does not know it.
        track_sid: String,
        /// The segments.
        segments: Vec<OfficialSegment>,
    },
    /// Another participant published a data track. Only the Python SDKs report them.
    DataTrackPublished {
        /// The track's sid.
        sid: String,
        /// The track's name.
        name: String,
        /// The publisher's identity.
        identity: String,
    },
    /// The file of a [`ClientSound`](super::ClientSound) was played; silence follows.
    SoundEnded {
        /// The track's sid.
        sid: String,
    },
    /// A data track was unpublished.
    DataTrackUnpublished {
        /// The track's sid.
        sid: String,
    },
    /// A frame of a data track that the client
    /// [subscribed to](super::OfficialClient::subscribe_data_track).
    DataFrame {
        /// The track's sid.
        sid: String,
        /// The payload.
        #[serde(deserialize_with = "base64_bytes")]
        payload: Vec<u8>,
        /// The publisher's number.
        user_timestamp: Option<u64>,
    },
    /// A second of a track that the client [listens to](super::OfficialClient::listen).
    Heard(OfficialSound),
    /// Pictures of a track that the client [watches](super::OfficialClient::watch).
    Seen(OfficialPictures),
    /// A participant joined.
    ParticipantConnected {
        /// The participant.
        participant: ClientParticipant,
    },
    /// A participant left.
    ParticipantDisconnected {
        /// The participant's identity.
        identity: String,
        /// The protocol's name of the reason, such as `CLIENT_INITIATED`; empty if none was sent.
        reason: String,
    },
    /// Attributes changed, possibly the client's own.
    AttributesChanged {
        /// The participant's identity.
        identity: String,
        /// The changed attributes; removed ones are empty.
        changed: BTreeMap<String, String>,
        /// All attributes.
        attributes: BTreeMap<String, String>,
    },
    /// A participant's metadata changed, possibly the client's own.
    MetadataChanged {
        /// The participant's identity.
        identity: String,
        /// The new metadata.
        metadata: String,
    },
    /// A participant's name changed, possibly the client's own.
    NameChanged {
        /// The participant's identity.
        identity: String,
        /// The new name.
        name: String,
    },
    /// The room's metadata changed.
    RoomMetadataChanged {
        /// The new metadata.
        metadata: String,
    },
    /// A participant published a track.
    TrackPublished {
        /// The publisher's identity.
        identity: String,
        /// The track.
        track: ClientTrack,
    },
    /// A participant unpublished a track.
    TrackUnpublished {
        /// The publisher's identity.
        identity: String,
        /// The track.
        track: ClientTrack,
    },
    /// The client subscribed to a track.
    TrackSubscribed {
        /// The publisher's identity.
        identity: String,
        /// The track.
        track: ClientTrack,
    },
    /// The client is no longer subscribed to a track.
    TrackUnsubscribed {
        /// The publisher's identity.
        identity: String,
        /// The track.
        track: ClientTrack,
    },
    /// A track was muted.
    TrackMuted {
        /// The publisher's identity.
        identity: String,
        /// The track.
        track: ClientTrack,
    },
    /// A track was unmuted.
    TrackUnmuted {
        /// The publisher's identity.
        identity: String,
        /// The track.
        track: ClientTrack,
    },
    /// The active speakers changed.
    ActiveSpeakers {
        /// The active speakers, loudest first.
        identities: Vec<String>,
    },
    /// The connection was lost and is being re-established.
    Reconnecting,
    /// The connection is re-established.
    Reconnected,
    /// The client is no longer in the room.
    Disconnected {
        /// The protocol's name of the reason, such as `ROOM_DELETED`.
        reason: String,
    },
}

/// Data that an official client received.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct OfficialData {
    /// The sender's identity; `None` if the server's API sent it.
    pub identity: Option<String>,
    /// The topic.
    pub topic: Option<String>,
    /// Whether it was sent reliably.
    pub reliable: bool,
    /// The payload.
    #[serde(deserialize_with = "base64_bytes")]
    pub payload: Vec<u8>,
}

/// A participant as an official client sees it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ClientParticipant {
    /// The identity, unique in the room.
    pub identity: String,
    /// The server's id (`PA_…`).
    pub sid: String,
    /// The display name.
    pub name: String,
    /// The metadata.
    pub metadata: String,
    /// The attributes.
    pub attributes: BTreeMap<String, String>,
    /// Whether it is an agent.
    pub agent: bool,
    /// The tracks that it publishes.
    pub tracks: Vec<ClientTrack>,
}

/// A track as an official client sees it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ClientTrack {
    /// The track's id (`TR_…`).
    pub sid: String,
    /// The track's name.
    pub name: String,
    /// `audio` or `video`.
    pub kind: String,
    /// Whether it is muted.
    pub muted: bool,
}

/// The room as an official client sees it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ClientState {
    /// The room's name.
    pub room: String,
    /// The room's metadata.
    pub metadata: String,
    /// The client itself.
    pub me: ClientParticipant,
    /// The other participants.
    pub others: Vec<ClientParticipant>,
}
