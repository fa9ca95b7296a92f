//! Data tracks of a room.

use agent_room::{RoomCommand, RoomError};

use super::stream::DataTrackStream;
use super::writer::DataTrackWriter;
use crate::{Room, TrackError};

impl Room {
    /// Publishes a data track: frames for values of which only the newest matters, as positions or readings
    /// of a sensor. Each participant who reads the track gets the frames; those that are lost on the way are
    /// not repeated. A frame has at most [`MAX_DATA_FRAME_LEN`](crate::MAX_DATA_FRAME_LEN) bytes; one of more
    /// than some 100 KB is a burst of packets, of which one is often lost, and with it the frame. No other
    /// data track of ours may have the name, of 1 to 256 bytes.
    ///
    /// # Errors
    /// [`RoomError::InvalidTrackName`], [`RoomError::NotAllowed`] without the permission to publish data, and
    /// others.
    ///
    /// ```
    /// # async fn example(room: agent_worker::Room) -> Result<(), agent_worker::room::RoomError> {
    /// let mut position = room.publish_data_track("position").await?;
    /// position.push("51.5, -0.1").await?;
    /// position.unpublish().await
    /// # }
    /// ```
    pub async fn publish_data_track(&self, name: impl Into<String>) -> Result<DataTrackWriter, RoomError> {
        let (track, name) = (self.next_command(), name.into());
        // Before it is published: if this future is dropped, so is the track.
        let writer = DataTrackWriter::new(self.clone(), track, name.clone());
        self.command_as(track, RoomCommand::PublishDataTrack { name }).await?;
        Ok(writer)
    }

    /// The frames of a data track of another participant, by its sid, from now on. A track has one stream at
    /// a time.
    ///
    /// ```
    /// use agent_worker::{JobContext, JobResult, RoomEvent};
    ///
    /// async fn follow(ctx: JobContext) -> JobResult {
    ///     let mut events = ctx.room().events();
    ///     while let Some(event) = ctx.run_until_cancelled(events.next()).await.flatten() {
    ///         if let RoomEvent::DataTrackPublished { track, .. } = event
    ///             && track.name == "position"
    ///         {
    ///             let mut positions = ctx.room().data_track(&track.sid).await?;
    ///             ctx.spawn(async move {
    ///                 while let Some(frame) = positions.next().await {
    ///                     println!("{} bytes", frame.payload.len());
    ///                 }
    ///             });
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`TrackError`]: no other participant publishes such a track, it has a stream already,
    /// or the room or the attempt is over.
    pub async fn data_track(&self, sid: impl Into<String>) -> Result<DataTrackStream, TrackError> {
        let (subscription, sid) = (self.next_command(), sid.into());
        let stream = DataTrackStream::open(self, subscription, sid.clone())?;
        self.command_as(subscription, RoomCommand::SubscribeDataTrack { sid }).await?;
        Ok(stream)
    }
}
