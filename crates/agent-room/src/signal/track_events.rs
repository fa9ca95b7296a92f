//! What the server reports of tracks that it sends us, or does not. A track that is not known here is
//! ignored.

use agent_proto::livekit as proto;

use super::roster::Roster;
use crate::{RoomEvent, SubscriptionFailure};

/// Maximum number of states of one message that are read: more than tracks that can be received.
const MAX_STATES: usize = 1024;

/// Tracks that the server pauses or continues.
pub(super) fn stream_states(
    roster: &Roster,
    update: &proto::StreamStateUpdate,
) -> impl Iterator<Item = RoomEvent> {
    update.stream_states.iter().take(MAX_STATES).filter_map(|info| {
        let state = proto::StreamState::try_from(info.state).ok()?;
        let (participant, track) = roster.track(&info.participant_sid, &info.track_sid)?;
        let paused = state == proto::StreamState::Paused;
        Some(RoomEvent::TrackStreamStateChanged { participant, track, paused })
    })
}

/// A publisher's decision on who receives a track.
pub(super) fn permission(roster: &Roster, update: &proto::SubscriptionPermissionUpdate) -> Option<RoomEvent> {
    let (participant, track) = roster.track(&update.participant_sid, &update.track_sid)?;
    let allowed = update.allowed;
    Some(RoomEvent::TrackSubscriptionPermissionChanged { participant, track, allowed })
}

/// A subscription that failed.
pub(super) fn failure(response: proto::SubscriptionResponse) -> RoomEvent {
    let reason = SubscriptionFailure::from_wire(response.err);
    RoomEvent::TrackSubscriptionFailed { track_sid: response.track_sid, reason }
}
