//! A data track of ours.

use agent_room::{CommandId, DataTrackFrame, RoomCommand, RoomError};

use crate::Room;

/// A data track of ours, from [`Room::publish_data_track`]. It is unpublished when this is dropped.
///
/// When the connection to the room is re-established with a new session, the track is published again by
/// itself; frames that are pushed before that are dropped.
#[derive(Debug)]
pub struct DataTrackWriter {
    room: Room,
    track: CommandId,
    name: String,
}

impl DataTrackWriter {
    pub(super) const fn new(room: Room, track: CommandId, name: String) -> Self {
        Self { room, track, name }
    }

    /// The track's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sends a frame. It completes when the frame was passed to the network; a slow connection delays that.
    ///
    /// # Errors
    /// [`RoomError::FrameTooLarge`], [`RoomError::TrackUnpublished`] if the server has ended the track, and
    /// others.
    pub async fn push(&mut self, frame: impl Into<DataTrackFrame>) -> Result<(), RoomError> {
        let (track, frame) = (self.track, frame.into());
        self.room.command(RoomCommand::PushDataFrame { track, frame }).await
    }

    /// Ends the track.
    ///
    /// # Errors
    /// [`RoomError::TrackUnpublished`] if the server has ended it already, and others.
    pub async fn unpublish(self) -> Result<(), RoomError> {
        self.room.command(RoomCommand::UnpublishDataTrack { track: self.track }).await
    }
}

impl Drop for DataTrackWriter {
    fn drop(&mut self) {
        // Nothing happens if it was unpublished.
        self.room.shared().send_later(RoomCommand::UnpublishDataTrack { track: self.track });
    }
}
