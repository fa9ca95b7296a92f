//! What the handles of our tracks have in common.

use std::fmt;
use std::sync::Arc;

use agent_room::{CommandId, Dropped, OutgoingMedia, RoomCommand, RoomError, TrackOptions};

use super::table::TrackState;
use crate::Room;

/// A track of ours. It is unpublished when this is dropped.
pub(super) struct LocalTrackHandle {
    room: Room,
    id: CommandId,
    name: String,
    state: Arc<TrackState>,
}

impl LocalTrackHandle {
    pub(super) async fn publish(room: &Room, options: TrackOptions) -> Result<Self, RoomError> {
        let id = room.next_command();
        let (room, name) = (room.clone(), options.name().to_owned());
        // Before it is published: if this future is dropped, so is the track.
        let state = room.shared().local_tracks.add(id, || room.is_over()).ok_or(RoomError::AttemptOver)?;
        let track = Self { room, id, name, state };
        track.room.command_as(id, RoomCommand::PublishTrack { options }).await?;
        Ok(track)
    }

    pub(super) fn state(&self) -> &TrackState {
        &self.state
    }

    pub(super) fn sid(&self) -> String {
        self.state.read(|track| track.sid.clone()).unwrap_or_default()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_muted(&self) -> bool {
        self.state.read(|track| track.muted).unwrap_or_default()
    }

    /// Sends a frame that was checked.
    pub(super) fn send(&self, frame: impl Into<OutgoingMedia>) -> Result<(), RoomError> {
        self.room.check()?;
        if self.state.is_ended() {
            return Err(RoomError::TrackUnpublished);
        }
        let frames = self.room.shared().local_tracks.push(self.id, frame);
        self.room.shared().report(Dropped { frames, ..Dropped::default() });
        Ok(())
    }

    pub(super) async fn set_muted(&self, muted: bool) -> Result<(), RoomError> {
        self.room.command(RoomCommand::MuteTrack { track: self.id, muted }).await
    }

    pub(super) async fn end(&self) -> Result<(), RoomError> {
        self.room.command(RoomCommand::UnpublishTrack { track: self.id }).await
    }

    pub(super) fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("name", &self.name)
            .field("sid", &self.sid())
            .field("muted", &self.is_muted())
            .finish_non_exhaustive()
    }
}

impl Drop for LocalTrackHandle {
    fn drop(&mut self) {
        self.room.shared().local_tracks.end(self.id);
    }
}
