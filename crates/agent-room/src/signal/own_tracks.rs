//! Our own tracks in the list of participants, and what we may publish.

use std::sync::Arc;

use super::{Signal, SignalOutput};
use crate::{Participant, RoomError, Track, TrackSource};

impl Signal {
    /// Whether the server permits a track of this source.
    pub(crate) fn check_publish(&self, source: TrackSource) -> Result<(), RoomError> {
        self.roster.own_permissions().map_or(Ok(()), |permissions| permissions.check_publish(source))
    }

    /// We publish this track; returns our own state.
    pub(crate) fn own_track(&mut self, track: &Track) -> Option<Arc<Participant>> {
        self.roster.publish_local(track.clone())
    }

    /// We do not publish this track any more; returns our own state.
    pub(crate) fn own_track_gone(&mut self, sid: &str) -> Option<Arc<Participant>> {
        self.roster.unpublish_local(sid)
    }

    /// We have muted or unmuted this track.
    pub(crate) fn own_track_muted(&mut self, track: &Track) {
        if self.is_closed() {
            return;
        }
        let mut events = Vec::new();
        self.roster.mute_local(&track.sid, track.muted, &mut events);
        self.outputs.extend(events.into_iter().map(SignalOutput::Event));
    }
}
