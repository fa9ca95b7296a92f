//! Publishing audio in a room.

use agent_room::{AudioTrackOptions, RoomError};

use super::track::EncodedAudioTrack;
use crate::Room;

impl Room {
    /// Publishes an audio track from encoded frames: Opus packets, for an agent that forwards sound, plays
    /// files of Opus, or encodes itself. It completes when frames can be sent; the first of them makes others
    /// see the track.
    ///
    /// ```
    /// use std::time::Duration;
    /// use agent_worker::Room;
    /// use agent_worker::room::{AudioLevel, AudioTrackOptions, OutgoingFrame, RoomError};
    ///
    /// /// Plays Opus packets of 20 ms each.
    /// async fn play(room: &Room, packets: Vec<Vec<u8>>) -> Result<(), RoomError> {
    ///     let track = room.publish_encoded_audio(AudioTrackOptions::new("music")).await?;
    ///     let mut pace = tokio::time::interval(Duration::from_millis(20));
    ///     for (timestamp, packet) in (0..).step_by(960).zip(packets) {
    ///         pace.tick().await;
    ///         track.send(OutgoingFrame::new(packet, timestamp).level(AudioLevel::new(-20, true)))?;
    ///     }
    ///     track.unpublish().await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`RoomError::NotAllowed`] without the permission to publish tracks of this source,
    /// [`RoomError::OverLimit`] with too many tracks, [`RoomError::TimedOut`] without an answer of the server
    /// within 10 s, and others.
    pub async fn publish_encoded_audio(
        &self,
        options: AudioTrackOptions,
    ) -> Result<EncodedAudioTrack, RoomError> {
        EncodedAudioTrack::publish(self, options).await
    }
}
