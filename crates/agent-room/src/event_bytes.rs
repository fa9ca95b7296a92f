//! The memory that the server and the participants can make an event take.

use std::collections::BTreeMap;

use crate::{DataTrack, Participant, RoomEvent, RoomInfo, Speaker, Track};

/// The size of an event's parts that others control, in bytes. Several events may share the state of a
/// participant; it counts for each, as each may be the last one that keeps it.
#[deny(clippy::wildcard_enum_match_arm, reason = "each event is weighed, none falls through")]
pub(crate) fn event_bytes(event: &RoomEvent) -> usize {
    match event {
        RoomEvent::Connected(connected) => {
            let others = connected.participants.iter().map(|other| of_participant(other));
            of_room(&connected.room) + of_participant(&connected.local) + others.sum::<usize>()
        }
        RoomEvent::ParticipantJoined(participant)
        | RoomEvent::ParticipantActive(participant)
        | RoomEvent::MetadataChanged(participant)
        | RoomEvent::NameChanged(participant)
        | RoomEvent::PermissionsChanged(participant)
        | RoomEvent::ParticipantLeft { participant, .. } => of_participant(participant),
        RoomEvent::AttributesChanged { participant, changed } => {
            of_participant(participant) + of_attributes(changed)
        }
        RoomEvent::TrackPublished { participant, track }
        | RoomEvent::TrackUnpublished { participant, track }
        | RoomEvent::TrackMuted { participant, track }
        | RoomEvent::TrackUnmuted { participant, track }
        | RoomEvent::TrackSubscribed { participant, track }
        | RoomEvent::TrackStreamStateChanged { participant, track, .. }
        | RoomEvent::TrackSubscriptionPermissionChanged { participant, track, .. }
        | RoomEvent::LocalTrackPublished { participant, track }
        | RoomEvent::LocalTrackUnpublished { participant, track } => {
            of_participant(participant) + of_track(track)
        }
        RoomEvent::LocalTrackRepublished { participant, track, previous_sid } => {
            of_participant(participant) + of_track(track) + previous_sid.len()
        }
        RoomEvent::LocalTrackSubscribed { track } => of_track(track),
        RoomEvent::DataTrackPublished { participant, track }
        | RoomEvent::DataTrackUnpublished { participant, track } => {
            of_participant(participant) + of_data_track(track)
        }
        RoomEvent::TrackUnsubscribed { track_sid } | RoomEvent::TrackSubscriptionFailed { track_sid, .. } => {
            track_sid.len()
        }
        RoomEvent::DataReceived(message) => {
            message.payload.len() + message.topic.len() + message.sender.as_ref().map_or(0, String::len)
        }
        RoomEvent::DataMissed { sender, .. } | RoomEvent::DtmfReceived { sender, .. } => sender.len(),
        RoomEvent::ChatMessageReceived(chat) => chat.len(),
        RoomEvent::TranscriptionReceived(transcription) => transcription.len(),
        RoomEvent::SpeakersChanged(speakers) => {
            speakers.iter().map(|speaker| size_of::<Speaker>() + speaker.identity.len()).sum()
        }
        RoomEvent::ConnectionQualityChanged { identity, .. } => identity.len(),
        RoomEvent::E2eeStateChanged { identity, track_sid, .. } => {
            identity.len() + track_sid.as_ref().map_or(0, String::len)
        }
        RoomEvent::RoomMetadataChanged(room)
        | RoomEvent::RoomUpdated(room)
        | RoomEvent::RoomReplaced(room) => of_room(room),
        RoomEvent::RoomMoved { room, local } => of_room(room) + of_participant(local),
        RoomEvent::Reconnected(again) => of_room(&again.room) + of_participant(&again.local),
        RoomEvent::TokenRefreshed { token } => token.expose().len(),
        // Their texts are ours, or were shortened.
        RoomEvent::Reconnecting { .. }
        | RoomEvent::NetworkPathChanged(_)
        | RoomEvent::Lagged { .. }
        | RoomEvent::Disconnected { .. } => 0,
    }
}

fn of_participant(participant: &Participant) -> usize {
    let Participant { sid, identity, name, metadata, attributes, tracks, data_tracks, .. } = participant;
    sid.len()
        + identity.len()
        + name.len()
        + metadata.len()
        + of_attributes(attributes)
        + tracks.iter().map(|(sid, track)| sid.len() + of_track(track)).sum::<usize>()
        + data_tracks.iter().map(|(sid, track)| sid.len() + of_data_track(track)).sum::<usize>()
}

fn of_attributes(attributes: &BTreeMap<String, String>) -> usize {
    attributes.iter().map(|(key, value)| size_of::<(String, String)>() + key.len() + value.len()).sum()
}

fn of_track(track: &Track) -> usize {
    size_of::<Track>() + track.sid.len() + track.name.len() + track.mime_type.len()
}

fn of_data_track(track: &DataTrack) -> usize {
    size_of::<DataTrack>() + track.sid.len() + track.name.len()
}

fn of_room(room: &RoomInfo) -> usize {
    room.sid.len() + room.name.len() + room.metadata.len()
}
