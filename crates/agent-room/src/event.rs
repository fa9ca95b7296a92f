//! What happens in a room.

use crate::{ConnectionQuality, DisconnectReason, Participant, RoomInfo, Speaker, Track};
use agent_proto::Secret;
use bytes::Bytes;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Who and what was there when we joined.
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
}

impl Connected {
    /// A room that we have just joined as `local`, alone.
    #[must_use]
    pub fn new(room: RoomInfo, local: Participant) -> Self {
        Self { room, local: Arc::new(local), participants: Vec::new(), server_version: String::new() }
    }
}

/// A connection that was lost and stands again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Reconnected {
    /// `true`: the session went on, and no reliable message was lost, in neither direction. `false`: it is another session of the
    /// same participant; others saw us leave and join.
    pub resumed: bool,
    /// Whether this is another room of the same name: the old one is gone, for example because the server was restarted.
    pub room_changed: bool,
    /// At most so many of the reliable messages that we published may not have arrived: those since the server last had everything. 0
    /// when resumed.
    pub unconfirmed: u64,
    /// How long there was no connection.
    pub after: Duration,
    /// The room, as it is now.
    pub room: RoomInfo,
    /// Ourselves, as we are now.
    pub local: Arc<Participant>,
}

/// A data message that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct DataReceived {
    /// What was sent.
    #[cfg_attr(feature = "serde", serde(serialize_with = "agent_proto::recording::bytes::serialize"))]
    pub payload: Bytes,
    /// What it is about; may be empty.
    pub topic: String,
    /// Identity of the sender; `None` when it came through the server API. The participant itself may be announced later.
    pub sender: Option<String>,
    /// Whether it came on the reliable channel.
    pub reliable: bool,
}

impl DataReceived {
    /// A reliable message.
    #[must_use]
    pub fn new(topic: impl Into<String>, payload: impl Into<Bytes>, sender: Option<String>) -> Self {
        Self { payload: payload.into(), topic: topic.into(), sender, reliable: true }
    }
}

/// What happened in the room. Participants are shown as they are after it.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum RoomEvent {
    /// We are in: data can go both ways. Always the first.
    Connected(Box<Connected>),
    /// A participant is there. Its tracks follow as [`TrackPublished`](Self::TrackPublished).
    ParticipantJoined(Arc<Participant>),
    /// A participant's connection stands: it can receive data.
    ParticipantActive(Arc<Participant>),
    /// A participant is gone, and its tracks with it.
    ParticipantLeft {
        /// As it was last.
        participant: Arc<Participant>,
        /// Why.
        reason: DisconnectReason,
    },
    /// Somebody's metadata changed, perhaps ours.
    MetadataChanged(Arc<Participant>),
    /// Somebody's name changed, perhaps ours.
    NameChanged(Arc<Participant>),
    /// Somebody's attributes changed, perhaps ours.
    AttributesChanged {
        /// Whose.
        participant: Arc<Participant>,
        /// The changed keys with their new values; a deleted key has an empty one.
        changed: BTreeMap<String, String>,
    },
    /// Somebody's permissions changed, perhaps ours.
    PermissionsChanged(Arc<Participant>),
    /// A track was published.
    TrackPublished {
        /// By whom.
        participant: Arc<Participant>,
        /// The track.
        track: Track,
    },
    /// A track is no longer published.
    TrackUnpublished {
        /// By whom.
        participant: Arc<Participant>,
        /// As it was last.
        track: Track,
    },
    /// A track was muted by its publisher or by the server API.
    TrackMuted {
        /// Whose.
        participant: Arc<Participant>,
        /// The track.
        track: Track,
    },
    /// A track is no longer muted.
    TrackUnmuted {
        /// Whose.
        participant: Arc<Participant>,
        /// The track.
        track: Track,
    },
    /// The server sends us this track from now on.
    TrackSubscribed {
        /// Whose.
        participant: Arc<Participant>,
        /// The track.
        track: Track,
    },
    /// The server sends us this track no longer.
    TrackUnsubscribed {
        /// Its sid; the track itself may be gone.
        track_sid: String,
    },
    /// A data message came in.
    DataReceived(DataReceived),
    /// Who speaks, loudest first; everybody else is silent.
    SpeakersChanged(Vec<Speaker>),
    /// A participant's connection became better or worse.
    ConnectionQualityChanged {
        /// Whose.
        identity: String,
        /// How it is now.
        quality: ConnectionQuality,
    },
    /// The room's own metadata changed.
    RoomMetadataChanged(RoomInfo),
    /// The connection is lost and is being restored. Data that is published meanwhile waits.
    Reconnecting {
        /// Why it was lost.
        reason: DisconnectReason,
    },
    /// The connection stands again. If the session is another one, the changes among the participants follow.
    Reconnected(Box<Reconnected>),
    /// Reliable messages of a participant are missing: another session of ours does not get what was sent to the one before. Told
    /// with the first message that arrives after them.
    DataMissed {
        /// Identity of the sender.
        sender: String,
        /// At most so many; messages that were meant for others only are among them.
        up_to: u32,
    },
    /// A session that was made anew turns out to be in another room of the same name, as in [`Reconnected::room_changed`]: the server told
    /// the room's sid later.
    RoomReplaced(RoomInfo),
    /// Something else of the room changed: its recording state or its count of participants.
    RoomUpdated(RoomInfo),
    /// The server gave us a fresh token, as it does at the start, when our permissions change, and before the old one is too old. The
    /// room uses it by itself.
    TokenRefreshed {
        /// The token; no log shows it.
        token: Secret,
    },
    /// The server moved us to another room; who is there follows.
    RoomMoved {
        /// The other room.
        room: RoomInfo,
        /// Ourselves, as we are there.
        local: Arc<Participant>,
    },
    /// The reader was too slow, or the queue too small: so many events before the next one are lost. The room's list of
    /// participants is right all the same.
    Lagged {
        /// How many.
        missed: u64,
    },
    /// We are no longer in the room. Always the last.
    Disconnected {
        /// Why.
        reason: DisconnectReason,
    },
}
