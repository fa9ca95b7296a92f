//! Events in a room.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use agent_proto::Secret;

use crate::{
    ChatMessage, ConnectionQuality, DataTrack, DisconnectReason, E2eeState, NetworkPath, Participant,
    RoomInfo, Speaker, SubscriptionFailure, Track, Transcription,
};

/// The room and its participants at the time of the join.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Connected {
    /// The room.
    pub room: RoomInfo,
    /// Ourselves.
    pub local: Arc<Participant>,
    /// The others, sorted by identity.
    pub participants: Vec<Arc<Participant>>,
    /// Version of the server, for example `1.13.5`.
    pub server_version: String,
    /// The path of our media and data to the server. `None`: it is not known.
    pub network_path: Option<NetworkPath>,
}

impl Connected {
    /// A room that we have just joined as `local`, alone.
    #[must_use]
    pub fn new(room: RoomInfo, local: impl Into<Arc<Participant>>) -> Self {
        Self {
            room,
            local: local.into(),
            participants: Vec::new(),
            server_version: String::new(),
            network_path: None,
        }
    }
}

/// A lost connection that was re-established.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Reconnected {
    /// `true`: the session was resumed, and no reliable message was lost in either direction. `false`: it is
    /// a new session of the same participant; others saw it leave and join.
    pub resumed: bool,
    /// Whether this is a new room of the same name: the old one is gone, for example because the server was
    /// restarted.
    pub room_changed: bool,
    /// Maximum number of our reliable messages that may not have arrived: those since the server had last
    /// received everything. 0 when resumed.
    pub unconfirmed: u64,
    /// How long there was no connection.
    pub after: Duration,
    /// The current state of the room.
    pub room: RoomInfo,
    /// Our own current state.
    pub local: Arc<Participant>,
}

/// A received data message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct DataReceived {
    /// The payload.
    #[cfg_attr(feature = "serde", serde(serialize_with = "agent_proto::recording::bytes::serialize"))]
    pub payload: Bytes,
    /// The topic; may be empty.
    pub topic: String,
    /// Identity of the sender; `None` if it was sent through the server API. The participant itself may be
    /// announced later.
    pub sender: Option<String>,
    /// Whether it arrived on the reliable channel.
    pub reliable: bool,
    /// Whether it was end-to-end encrypted: only a participant with the key can have sent it.
    pub encrypted: bool,
}

impl DataReceived {
    /// A reliable message, not encrypted.
    #[must_use]
    pub fn new(topic: impl Into<String>, payload: impl Into<Bytes>, sender: Option<String>) -> Self {
        Self { payload: payload.into(), topic: topic.into(), sender, reliable: true, encrypted: false }
    }
}

/// An event in the room. Participants are shown in their state after it.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum RoomEvent {
    /// We have joined: data can be sent in both directions. Always the first event.
    Connected(Box<Connected>),
    /// A participant joined. Its tracks follow as [`TrackPublished`](Self::TrackPublished).
    ParticipantJoined(Arc<Participant>),
    /// A participant's connection is established: it can receive data.
    ParticipantActive(Arc<Participant>),
    /// A participant left, and its tracks with it.
    ParticipantLeft {
        /// Its last state.
        participant: Arc<Participant>,
        /// The reason.
        reason: DisconnectReason,
    },
    /// A participant's metadata changed, possibly our own.
    MetadataChanged(Arc<Participant>),
    /// A participant's name changed, possibly our own.
    NameChanged(Arc<Participant>),
    /// A participant's attributes changed, possibly our own.
    AttributesChanged {
        /// The participant.
        participant: Arc<Participant>,
        /// The changed keys with their new values; a deleted key has an empty one.
        changed: BTreeMap<String, String>,
    },
    /// A participant's permissions changed, possibly our own.
    PermissionsChanged(Arc<Participant>),
    /// A track was published.
    TrackPublished {
        /// The publisher.
        participant: Arc<Participant>,
        /// The track.
        track: Track,
    },
    /// A track is no longer published.
    TrackUnpublished {
        /// The publisher.
        participant: Arc<Participant>,
        /// Its last state.
        track: Track,
    },
    /// A track was muted by its publisher or by the server API, possibly one of ours.
    TrackMuted {
        /// The publisher.
        participant: Arc<Participant>,
        /// The track.
        track: Track,
    },
    /// A track is no longer muted, possibly one of ours.
    TrackUnmuted {
        /// The publisher.
        participant: Arc<Participant>,
        /// The track.
        track: Track,
    },
    /// An audio track of ours was published.
    LocalTrackPublished {
        /// Ourselves.
        participant: Arc<Participant>,
        /// The track.
        track: Track,
    },
    /// An audio track of ours is no longer published: at our request, or because the server has ended it.
    LocalTrackUnpublished {
        /// Ourselves.
        participant: Arc<Participant>,
        /// Its last state.
        track: Track,
    },
    /// An audio track of ours was published again by itself, as the connection was re-established with a new
    /// session. It has another sid.
    LocalTrackRepublished {
        /// Ourselves.
        participant: Arc<Participant>,
        /// The track.
        track: Track,
        /// Its sid in the previous session.
        previous_sid: String,
    },
    /// The first participant receives an audio track of ours.
    LocalTrackSubscribed {
        /// The track.
        track: Track,
    },
    /// A data track was published.
    DataTrackPublished {
        /// The publisher.
        participant: Arc<Participant>,
        /// The track.
        track: DataTrack,
    },
    /// A data track is no longer published.
    DataTrackUnpublished {
        /// The publisher.
        participant: Arc<Participant>,
        /// Its last state.
        track: DataTrack,
    },
    /// The server sends us this track from now on.
    TrackSubscribed {
        /// The publisher.
        participant: Arc<Participant>,
        /// The track.
        track: Track,
    },
    /// The server no longer sends us this track.
    TrackUnsubscribed {
        /// The track's sid; the track itself may be gone.
        track_sid: String,
    },
    /// The server cannot send us a track.
    TrackSubscriptionFailed {
        /// The track's sid; the track itself may be unknown.
        track_sid: String,
        /// The reason.
        reason: SubscriptionFailure,
    },
    /// The server paused a track that we receive, as the connection is too slow for it, or continued it.
    TrackStreamStateChanged {
        /// The publisher.
        participant: Arc<Participant>,
        /// The track.
        track: Track,
        /// Whether it is paused now.
        paused: bool,
    },
    /// A publisher allowed us to receive a track, or no longer allows it.
    TrackSubscriptionPermissionChanged {
        /// The publisher.
        participant: Arc<Participant>,
        /// The track.
        track: Track,
        /// Whether we may receive it now.
        allowed: bool,
    },
    /// A data message was received.
    DataReceived(DataReceived),
    /// A SIP participant pressed a telephone key.
    DtmfReceived {
        /// Identity of the sender.
        sender: String,
        /// The key's code: 0 to 9, 10 for `*`, 11 for `#`, 12 to 15 for `A` to `D` (RFC 4733).
        code: u32,
        /// The key: one of `0`–`9`, `*`, `#` and `A`–`D`.
        digit: char,
    },
    /// A message of the legacy chat was received.
    ChatMessageReceived(ChatMessage),
    /// A transcription was received in the legacy form.
    TranscriptionReceived(Transcription),
    /// The active speakers, loudest first; everybody else is silent.
    SpeakersChanged(Vec<Speaker>),
    /// A participant's connection became better or worse.
    ConnectionQualityChanged {
        /// The participant's identity.
        identity: String,
        /// The current quality.
        quality: ConnectionQuality,
    },
    /// The room's own metadata changed.
    RoomMetadataChanged(RoomInfo),
    /// The connection was lost and is being re-established. Data published meanwhile are queued.
    Reconnecting {
        /// The cause of the loss.
        reason: DisconnectReason,
    },
    /// The connection is re-established. After a new session, the changes among the participants follow.
    Reconnected(Box<Reconnected>),
    /// Media and data take another path to the server: another transport, relay or address. Never the first
    /// one, which is in [`Connected`].
    NetworkPathChanged(Box<NetworkPath>),
    /// Reliable messages of a participant are missing: a new session does not receive messages to the
    /// previous one. Reported with the first message that arrives after them.
    DataMissed {
        /// Identity of the sender.
        sender: String,
        /// Maximum number of missing messages, including messages for other recipients only.
        up_to: u32,
    },
    /// What a participant encrypts can be read from now on, or no longer; or what we encrypt ourselves.
    E2eeStateChanged {
        /// The participant's identity.
        identity: String,
        /// The track's sid. `None`: its data.
        track_sid: Option<String>,
        /// The current state.
        state: E2eeState,
    },
    /// A new session turns out to be in a new room of the same name, as in [`Reconnected::room_changed`]: the
    /// server sent the room's sid later.
    RoomReplaced(RoomInfo),
    /// Another property of the room changed: its recording state or its number of participants.
    RoomUpdated(RoomInfo),
    /// The server sent a fresh token, as it does at the start, when our permissions change, and before the
    /// old token expires. The room uses it automatically.
    TokenRefreshed {
        /// The token, which no log shows.
        token: Secret,
    },
    /// The server moved us to another room; its participants follow.
    RoomMoved {
        /// The new room.
        room: RoomInfo,
        /// Our own state in it.
        local: Arc<Participant>,
    },
    /// The reader was too slow, or the queue too small: events before the next one are lost. The room's list
    /// of participants is correct nevertheless.
    Lagged {
        /// Number of lost events.
        missed: u64,
    },
    /// We are no longer in the room. Always the last event.
    Disconnected {
        /// The reason.
        reason: DisconnectReason,
    },
}
