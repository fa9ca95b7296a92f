//! What the participants of the official SDK see.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// Something that happened in the room of an [`OfficialClient`](super::OfficialClient).
///
/// What was there when the client joined is in [`OfficialClient::state`](super::OfficialClient::state), not here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClientEvent {
    /// Data came.
    Data(OfficialData),
    /// Somebody joined.
    ParticipantConnected {
        /// Who.
        participant: ClientParticipant,
    },
    /// Somebody left.
    ParticipantDisconnected {
        /// Who.
        identity: String,
        /// Why, in the protocol's words, such as `CLIENT_INITIATED`; empty if it was not told.
        reason: String,
    },
    /// Attributes changed, one's own too.
    AttributesChanged {
        /// Whose.
        identity: String,
        /// Those that changed; removed ones are empty.
        changed: BTreeMap<String, String>,
        /// All of them.
        attributes: BTreeMap<String, String>,
    },
    /// A participant's metadata changed, one's own too.
    MetadataChanged {
        /// Whose.
        identity: String,
        /// The new metadata.
        metadata: String,
    },
    /// A participant's name changed, one's own too.
    NameChanged {
        /// Whose.
        identity: String,
        /// The new name.
        name: String,
    },
    /// The room's metadata changed.
    RoomMetadataChanged {
        /// The new metadata.
        metadata: String,
    },
    /// Somebody published a track.
    TrackPublished {
        /// Who.
        identity: String,
        /// The track.
        track: ClientTrack,
    },
    /// Somebody took a track back.
    TrackUnpublished {
        /// Who.
        identity: String,
        /// The track.
        track: ClientTrack,
    },
    /// We receive a track.
    TrackSubscribed {
        /// Whose.
        identity: String,
        /// The track.
        track: ClientTrack,
    },
    /// We no longer receive a track.
    TrackUnsubscribed {
        /// Whose.
        identity: String,
        /// The track.
        track: ClientTrack,
    },
    /// A track was muted.
    TrackMuted {
        /// Whose.
        identity: String,
        /// The track.
        track: ClientTrack,
    },
    /// A track was unmuted.
    TrackUnmuted {
        /// Whose.
        identity: String,
        /// The track.
        track: ClientTrack,
    },
    /// Others speak than before.
    ActiveSpeakers {
        /// Who speaks now, the loudest first.
        identities: Vec<String>,
    },
    /// The connection is lost and being mended.
    Reconnecting,
    /// The connection stands again.
    Reconnected,
    /// The client is out of the room.
    Disconnected {
        /// Why, in the protocol's words, such as `ROOM_DELETED`.
        reason: String,
    },
}

/// Data that an official client received.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct OfficialData {
    /// Who sent it; `None` if the server's API did.
    pub identity: Option<String>,
    /// Its topic.
    pub topic: Option<String>,
    /// Whether it was sent reliably.
    pub reliable: bool,
    /// The data.
    #[serde(deserialize_with = "base64_bytes")]
    pub payload: Vec<u8>,
}

/// A participant as an official client sees it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ClientParticipant {
    /// Unique in the room.
    pub identity: String,
    /// `PA_…`
    pub sid: String,
    /// The name to be shown.
    pub name: String,
    /// Metadata.
    pub metadata: String,
    /// Attributes.
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
    /// `TR_…`
    pub sid: String,
    /// Its name.
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
    /// Everybody else.
    pub others: Vec<ClientParticipant>,
}

fn base64_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    use base64::Engine;
    let text = String::deserialize(deserializer)?;
    base64::prelude::BASE64_STANDARD.decode(text).map_err(serde::de::Error::custom)
}
