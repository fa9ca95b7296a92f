//! Conversion of rooms, participants and tracks into the protocol's messages.

use std::time::Duration;

use agent_proto::livekit as wire;
use agent_room::{Participant, ParticipantKind, Permissions, RoomInfo, Track, TrackKind};

/// The protocol cannot clear these values: an empty one changes nothing.
pub(crate) fn filled(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

pub(crate) fn to_wire_room(info: &RoomInfo) -> wire::Room {
    wire::Room {
        sid: info.sid.clone(),
        name: info.name.clone(),
        metadata: info.metadata.clone(),
        num_participants: info.num_participants,
        creation_time: info.created_at_ms / 1000,
        creation_time_ms: info.created_at_ms,
        empty_timeout: whole_seconds(info.empty_timeout),
        departure_timeout: whole_seconds(info.departure_timeout),
        ..Default::default()
    }
}

fn whole_seconds(timeout: Option<Duration>) -> u32 {
    timeout.map_or(0, |timeout| u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX))
}

pub(crate) fn to_wire_participant(participant: &Participant) -> wire::ParticipantInfo {
    let kind = match participant.kind {
        ParticipantKind::Agent => wire::participant_info::Kind::Agent,
        _ => wire::participant_info::Kind::Standard,
    };
    wire::ParticipantInfo {
        sid: participant.sid.clone(),
        identity: participant.identity.clone(),
        name: participant.name.clone(),
        metadata: participant.metadata.clone(),
        attributes: participant.attributes.clone(),
        kind: kind.into(),
        state: wire::participant_info::State::Active.into(),
        joined_at: participant.joined_at_ms / 1000,
        joined_at_ms: participant.joined_at_ms,
        tracks: participant.tracks.values().map(to_wire_track).collect(),
        permission: Some(to_wire_permission(&participant.permissions)),
        ..Default::default()
    }
}

pub(super) fn to_wire_permission(may: &Permissions) -> wire::ParticipantPermission {
    wire::ParticipantPermission {
        can_subscribe: may.can_subscribe,
        can_publish: may.can_publish,
        can_publish_data: may.can_publish_data,
        can_update_metadata: may.can_update_metadata,
        hidden: may.hidden,
        ..Default::default()
    }
}

pub(crate) fn to_wire_track(track: &Track) -> wire::TrackInfo {
    let kind = match track.kind {
        TrackKind::Video => wire::TrackType::Video,
        TrackKind::Data => wire::TrackType::Data,
        _ => wire::TrackType::Audio,
    };
    wire::TrackInfo {
        sid: track.sid.clone(),
        name: track.name.clone(),
        r#type: kind.into(),
        muted: track.muted,
        ..Default::default()
    }
}
