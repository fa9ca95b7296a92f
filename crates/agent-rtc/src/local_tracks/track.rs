//! An audio track of ours.

use std::fmt;

use agent_room::{AudioTrackOptions, OutgoingFrame, RoomError};

use super::handle::LocalTrackHandle;
use crate::Room;

/// An audio track of ours that is fed with encoded frames, from
/// [`Room::publish_encoded_audio`](crate::Room::publish_encoded_audio). It is unpublished when this is
/// dropped, and at the end of the attempt.
///
/// Frames are sent as they are, at the time at which they are passed: the caller keeps the pace, for example
/// one frame of 20 ms every 20 ms. A frame that cannot be sent then is dropped, as it would be late: while
/// the track is muted, and while there is no connection.
///
/// When the connection to the room is re-established with a new session, the track is published again by
/// itself, with another [sid](Self::sid), and reported as
/// [`LocalTrackRepublished`](crate::RoomEvent::LocalTrackRepublished).
pub struct EncodedAudioTrack(LocalTrackHandle);

impl EncodedAudioTrack {
    pub(super) async fn publish(room: &Room, options: AudioTrackOptions) -> Result<Self, RoomError> {
        LocalTrackHandle::publish(room, options.into()).await.map(Self)
    }

    /// The track's current sid.
    #[must_use]
    pub fn sid(&self) -> String {
        self.0.sid()
    }

    /// The track's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Whether it is muted, by us or through the server's API.
    #[must_use]
    pub fn is_muted(&self) -> bool {
        self.0.is_muted()
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
        self.0.send(frame)
    }

    /// How many of its frames were dropped so far, as the network did not take them in time. Frames of a
    /// muted track and those without a connection are not counted.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.state().dropped()
    }

    /// Mutes the track: its frames are not sent until it is unmuted.
    ///
    /// # Errors
    /// [`RoomError::TrackUnpublished`] if the server has ended the track, and others.
    pub async fn mute(&self) -> Result<(), RoomError> {
        self.0.set_muted(true).await
    }

    /// Sends frames again.
    ///
    /// # Errors
    /// As [`mute`](Self::mute).
    pub async fn unmute(&self) -> Result<(), RoomError> {
        self.0.set_muted(false).await
    }

    /// As [`unpublish`](Self::unpublish), for a track that is shared.
    pub(crate) async fn end(&self) -> Result<(), RoomError> {
        self.0.end().await
    }

    /// Ends the track.
    ///
    /// # Errors
    /// [`RoomError::TrackUnpublished`] if the server has ended it already, and others.
    pub async fn unpublish(self) -> Result<(), RoomError> {
        self.end().await
    }
}

impl fmt::Debug for EncodedAudioTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug("EncodedAudioTrack", f)
    }
}
