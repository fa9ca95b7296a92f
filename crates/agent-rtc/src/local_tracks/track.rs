//! An audio track of ours.

use std::fmt;
use std::sync::Arc;

use agent_room::{CommandId, Dropped, OutgoingFrame, RoomCommand, RoomError};

use super::table::TrackState;
use crate::Room;

/// An audio track of ours that is fed with encoded frames, from
/// [`Room::publish_encoded_audio`](crate::Room::publish_encoded_audio). It is unpublished when this is
/// dropped, and at the end of the attempt.
///
/// Frames are sent as they are, at the time at which they are given: whoever gives them keeps the pace, for
/// example one frame of 20 ms every 20 ms. A frame that cannot be sent then is dropped, as it would be late:
/// while the track is muted, and while there is no connection.
///
/// When the connection to the room is re-established with a new session, the track is published again by
/// itself, with another [sid](Self::sid), and reported as
/// [`LocalTrackRepublished`](crate::RoomEvent::LocalTrackRepublished).
pub struct EncodedAudioTrack {
    room: Room,
    id: CommandId,
    name: String,
    state: Arc<TrackState>,
}

impl EncodedAudioTrack {
    pub(super) fn new(room: Room, id: CommandId, name: String) -> Result<Self, RoomError> {
        let state = room.shared().local_tracks.add(id, || room.is_over()).ok_or(RoomError::AttemptOver)?;
        Ok(Self { room, id, name, state })
    }

    /// The track's current sid.
    #[must_use]
    pub fn sid(&self) -> String {
        self.state.read(|track| track.sid.clone()).unwrap_or_default()
    }

    /// The track's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is muted, by us or through the server's API.
    #[must_use]
    pub fn is_muted(&self) -> bool {
        self.state.read(|track| track.muted).unwrap_or_default()
    }

    /// Sends a frame, now or never. It never waits: at most 256 frames of all tracks of the room are queued
    /// for the network, which takes them at once unless the machine is overloaded; beyond that the oldest are
    /// [dropped](Self::dropped).
    ///
    /// # Errors
    /// [`RoomError::AudioFrameSize`], [`RoomError::TrackUnpublished`] if the server has ended the track, and
    /// those of a room or an attempt that is over.
    pub fn send(&self, frame: impl Into<OutgoingFrame>) -> Result<(), RoomError> {
        let frame = frame.into();
        frame.check()?;
        self.room.check()?;
        if self.state.is_ended() {
            return Err(RoomError::TrackUnpublished);
        }
        let frames = self.room.shared().local_tracks.push(self.id, frame);
        self.room.shared().report(Dropped { frames, ..Dropped::default() });
        Ok(())
    }

    /// How many of its frames were dropped so far, as the network did not take them in time. Frames of a
    /// muted track and those without a connection are not counted.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.state.dropped()
    }

    /// Mutes the track: its frames are not sent until it is unmuted.
    ///
    /// # Errors
    /// [`RoomError::TrackUnpublished`] if the server has ended the track, and others.
    pub async fn mute(&self) -> Result<(), RoomError> {
        self.room.command(RoomCommand::MuteTrack { track: self.id, muted: true }).await
    }

    /// Sends frames again.
    ///
    /// # Errors
    /// As [`mute`](Self::mute).
    pub async fn unmute(&self) -> Result<(), RoomError> {
        self.room.command(RoomCommand::MuteTrack { track: self.id, muted: false }).await
    }

    /// As [`unpublish`](Self::unpublish), for a track that is shared.
    pub(crate) async fn end(&self) -> Result<(), RoomError> {
        self.room.command(RoomCommand::UnpublishTrack { track: self.id }).await
    }

    /// Ends the track.
    ///
    /// # Errors
    /// [`RoomError::TrackUnpublished`] if the server has ended it already, and others.
    pub async fn unpublish(self) -> Result<(), RoomError> {
        self.end().await
    }
}

impl Drop for EncodedAudioTrack {
    fn drop(&mut self) {
        self.room.shared().local_tracks.end(self.id);
    }
}

impl fmt::Debug for EncodedAudioTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedAudioTrack")
            .field("name", &self.name)
            .field("sid", &self.sid())
            .field("muted", &self.is_muted())
            .finish_non_exhaustive()
    }
}
