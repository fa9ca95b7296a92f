//! The SDK's own types of rooms, participants and tracks, so that no wire type is in the public API.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_proto::livekit as proto;
use agent_proto::{KindDetail, ParticipantKind, TrackSource};

use crate::{DataTrack, RoomError};

/// Maximum number of sources of a participant's permissions; there are fewer.
const MAX_SOURCES: usize = 16;

/// Description of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RoomInfo {
    /// The server's id of this instance of the room (`RM_…`). A room that is closed and opened again has a
    /// new one.
    pub sid: String,
    /// The name that tokens and dispatches use.
    pub name: String,
    /// Free text, set through the server API.
    pub metadata: String,
    /// Number of participants as the server counts them; it lags behind the participants that we know.
    pub num_participants: u32,
    /// Whether the room is being recorded.
    pub recording: bool,
    /// When the room was created, in milliseconds since 1970.
    pub created_at_ms: i64,
    /// How long the server keeps a room that nobody joined, in whole seconds; `None` if it did not send it.
    pub empty_timeout: Option<Duration>,
    /// How long after the last person left the server closes the room, in whole seconds; `None` if it did not
    /// send it.
    pub departure_timeout: Option<Duration>,
}

impl RoomInfo {
    /// A room with this id and name; everything else is empty.
    #[must_use]
    pub fn new(sid: impl Into<String>, name: impl Into<String>) -> Self {
        Self { sid: sid.into(), name: name.into(), ..Self::default() }
    }
}

impl From<proto::Room> for RoomInfo {
    fn from(room: proto::Room) -> Self {
        let created_at_ms = match room.creation_time_ms {
            0 => room.creation_time.saturating_mul(1000),
            ms => ms,
        };
        // The wire has no "unknown". A server that describes its rooms sets one of the two, usually both.
        let described = room.empty_timeout != 0 || room.departure_timeout != 0;
        let seconds = |seconds: u32| described.then(|| Duration::from_secs(seconds.into()));
        Self {
            empty_timeout: seconds(room.empty_timeout),
            departure_timeout: seconds(room.departure_timeout),
            sid: room.sid,
            name: room.name,
            metadata: room.metadata,
            num_participants: room.num_participants,
            recording: room.active_recording,
            created_at_ms,
        }
    }
}

/// The state of a participant, possibly ourselves, at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Participant {
    /// The server's id of this connection (`PA_…`).
    pub sid: String,
    /// The identity from the token, unique in the room.
    pub identity: String,
    /// The display name; may be empty.
    pub name: String,
    /// Free text, set by the participant or through the server API.
    pub metadata: String,
    /// Key-value pairs, set by the participant or through the server API.
    pub attributes: BTreeMap<String, String>,
    /// The kind of participant.
    pub kind: ParticipantKind,
    /// Details of its kind, if the server sends any; at most 16.
    pub kind_details: Vec<KindDetail>,
    /// Whether its media and data connection is established, so that it can receive data.
    pub active: bool,
    /// Its permissions, if the server has sent them.
    pub permissions: Permissions,
    /// Published tracks, keyed by sid.
    pub tracks: BTreeMap<String, Track>,
    /// Published data tracks, keyed by sid.
    pub data_tracks: BTreeMap<String, DataTrack>,
    /// When it joined, in milliseconds since 1970.
    pub joined_at_ms: i64,
}

impl Participant {
    /// A standard participant with this id and identity; everything else is empty.
    #[must_use]
    pub fn new(sid: impl Into<String>, identity: impl Into<String>) -> Self {
        Self { sid: sid.into(), identity: identity.into(), ..Self::default() }
    }
}

/// The permissions of a participant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Permissions {
    /// Whether it may receive tracks.
    pub can_subscribe: bool,
    /// Whether it may publish tracks.
    pub can_publish: bool,
    /// The sources of the tracks that it may publish; empty: all.
    pub can_publish_sources: Vec<TrackSource>,
    /// Whether it may publish data.
    pub can_publish_data: bool,
    /// Whether it may change its own metadata, name and attributes.
    pub can_update_metadata: bool,
    /// Whether it is not announced to others.
    pub hidden: bool,
}

impl Permissions {
    /// Whether they permit a track of this source.
    ///
    /// # Errors
    /// [`RoomError::NotAllowed`], with the missing permission.
    pub fn check_publish(&self, source: TrackSource) -> Result<(), RoomError> {
        let sources = &self.can_publish_sources;
        let detail = if !self.can_publish {
            "no permission to publish tracks (`can_publish`)".to_owned()
        } else if !sources.is_empty() && !sources.contains(&source) {
            format!("no permission to publish the source {source:?}, but {sources:?} (`can_publish_sources`)")
        } else {
            return Ok(());
        };
        Err(RoomError::NotAllowed { detail })
    }
}

impl From<&proto::ParticipantPermission> for Permissions {
    fn from(p: &proto::ParticipantPermission) -> Self {
        Self {
            can_subscribe: p.can_subscribe,
            can_publish: p.can_publish,
            can_publish_sources: p
                .can_publish_sources
                .iter()
                .take(MAX_SOURCES)
                .map(|source| (*source).into())
                .collect(),
            can_publish_data: p.can_publish_data,
            can_update_metadata: p.can_update_metadata,
            hidden: p.hidden,
        }
    }
}

/// The state of a published track at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Track {
    /// The server's id of the track (`TR_…`).
    pub sid: String,
    /// The publisher's name for it.
    pub name: String,
    /// Audio, video or data.
    pub kind: TrackKind,
    /// The source.
    pub source: TrackSource,
    /// Whether the publisher muted it.
    pub muted: bool,
    /// The codec, for example `audio/opus`; empty before the publisher negotiated it.
    pub mime_type: String,
    /// Width in pixels; 0 for audio.
    pub width: u32,
    /// Height in pixels; 0 for audio.
    pub height: u32,
    /// Whether its publisher encrypts its frames end to end: without the key they are dropped.
    pub encrypted: bool,
}

impl Track {
    /// A track with this id and kind; everything else is empty.
    #[must_use]
    pub fn new(sid: impl Into<String>, kind: TrackKind) -> Self {
        Self { sid: sid.into(), kind, ..Self::default() }
    }
}

impl From<proto::TrackInfo> for Track {
    fn from(track: proto::TrackInfo) -> Self {
        Self {
            kind: track.r#type.into(),
            source: track.source.into(),
            sid: track.sid,
            name: track.name,
            muted: track.muted,
            mime_type: track.mime_type,
            width: track.width,
            height: track.height,
            encrypted: track.encryption != proto::encryption::Type::None as i32,
        }
    }
}

/// The kind of a track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum TrackKind {
    /// Sound.
    #[default]
    Audio,
    /// Pictures.
    Video,
    /// Data.
    Data,
    /// A kind that this version does not know: the number on the wire.
    Unknown(i32),
}

impl From<i32> for TrackKind {
    fn from(kind: i32) -> Self {
        match proto::TrackType::try_from(kind) {
            Ok(proto::TrackType::Audio) => Self::Audio,
            Ok(proto::TrackType::Video) => Self::Video,
            Ok(proto::TrackType::Data) => Self::Data,
            Err(_) => Self::Unknown(kind),
        }
    }
}

/// An active speaker.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Speaker {
    /// The participant's identity.
    pub identity: String,
    /// The level, from 0 (quiet) to 1 (loud).
    #[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::float"))]
    pub level: f32,
}

impl Speaker {
    /// A speaker with a level from 0 to 1.
    #[must_use]
    pub fn new(identity: impl Into<String>, level: f32) -> Self {
        Self { identity: identity.into(), level }
    }
}

/// Why the server cannot send a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum SubscriptionFailure {
    /// We have offered no codec in which it is published.
    CodecUnsupported,
    /// There is no such track.
    TrackNotFound,
    /// The server gives no reason, or one that this version does not know.
    Unknown,
}

impl SubscriptionFailure {
    pub(crate) fn from_wire(error: i32) -> Self {
        match proto::SubscriptionError::try_from(error) {
            Ok(proto::SubscriptionError::SeCodecUnsupported) => Self::CodecUnsupported,
            Ok(proto::SubscriptionError::SeTrackNotfound) => Self::TrackNotFound,
            Ok(proto::SubscriptionError::SeUnknown) | Err(_) => Self::Unknown,
        }
    }
}

/// The quality of a participant's connection, as the server rates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum ConnectionQuality {
    /// The connection is lost.
    Lost,
    /// Noticeable losses.
    Poor,
    /// Some losses.
    Good,
    /// No losses.
    Excellent,
}

impl ConnectionQuality {
    /// `None` for a number that is unknown to this version.
    pub(crate) fn from_wire(quality: i32) -> Option<Self> {
        match proto::ConnectionQuality::try_from(quality) {
            Ok(proto::ConnectionQuality::Lost) => Some(Self::Lost),
            Ok(proto::ConnectionQuality::Poor) => Some(Self::Poor),
            Ok(proto::ConnectionQuality::Good) => Some(Self::Good),
            Ok(proto::ConnectionQuality::Excellent) => Some(Self::Excellent),
            Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_without_timeouts_leaves_both_unknown() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (empty_timeout, departure_timeout, expected) in [
            (0, 0, (None, None)),
            (300, 20, (seconds(300), seconds(20))),
            (300, 0, (seconds(300), seconds(0))),
            (0, 20, (seconds(0), seconds(20))),
        ] {
            let room = RoomInfo::from(proto::Room { empty_timeout, departure_timeout, ..Default::default() });
            assert_eq!((room.empty_timeout, room.departure_timeout), expected);
        }
    }
}
