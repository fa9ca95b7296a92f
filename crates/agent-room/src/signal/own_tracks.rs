//! Our own tracks in the list of participants, and what we may publish.

use std::sync::Arc;

use super::{Signal, SignalOutput};
use crate::{Participant, RoomError, Track, TrackSource};

impl Signal {
    /// Whether the server permits a track of this source.
    pub(crate) fn check_publish(&self, source: TrackSource) -> Result<(), RoomError> {
        let Some(permissions) = self.roster.own_permissions() else { return Ok(()) };
        if !permissions.can_publish {
            return Err(RoomError::NotAllowed {
                detail: "no permission to publish tracks (`can_publish`)".to_owned(),
            });
        }
        let sources = &permissions.can_publish_sources;
        if !sources.is_empty() && !sources.contains(&source) {
            let detail = format!(
                "no permission to publish the source {source:?}, but {sources:?} (`can_publish_sources`)"
            );
            return Err(RoomError::NotAllowed { detail });
        }
        Ok(())
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
        let mut events = Vec::new();
        self.roster.mute_local(&track.sid, track.muted, &mut events);
        self.outputs.extend(events.into_iter().map(SignalOutput::Event));
    }
}
