//! What a room receives of the tracks of others, and what is known of speakers and connections.

use std::sync::atomic::Ordering;

use agent_room::{ConnectionQuality, RoomCommand, RoomError, Speaker, SubscriptionChange, VideoChoice};

use crate::Room;

impl Room {
    /// Subscribes to a track of another participant by hand, or unsubscribes from it: the server sends it to
    /// us, or no longer does, whatever [`auto_subscribe`](super::JoinRequest::auto_subscribe) is.
    ///
    /// It completes when the request was sent; [`TrackSubscribed`](super::RoomEvent::TrackSubscribed),
    /// [`TrackUnsubscribed`](super::RoomEvent::TrackUnsubscribed) or
    /// [`TrackSubscriptionFailed`](super::RoomEvent::TrackSubscriptionFailed) follows. The choice remains
    /// while the track is published, also when the connection is re-established, until the end of the
    /// attempt. A participant that joins again publishes other tracks, without a choice.
    ///
    /// ```
    /// use agent_worker::room::TrackSource;
    /// use agent_worker::{JobContext, JobResult, RoomEvent};
    ///
    /// /// Receives microphones, and not the sound of shared screens.
    /// async fn listen(ctx: JobContext) -> JobResult {
    ///     let mut events = ctx.room().events();
    ///     while let Some(event) = ctx.run_until_cancelled(events.next()).await.flatten() {
    ///         if let RoomEvent::TrackPublished { track, .. } = event
    ///             && track.source == TrackSource::ScreenShareAudio
    ///         {
    ///             ctx.room().set_subscribed(&track.sid, false).await?;
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`RoomError::TrackNotFound`] if no other participant publishes the track, [`RoomError::NotAllowed`]
    /// without the permission to subscribe, and others.
    pub async fn set_subscribed(&self, track_sid: &str, subscribed: bool) -> Result<(), RoomError> {
        self.change_subscription(track_sid, SubscriptionChange::Subscribe(subscribed)).await
    }

    /// Pauses a track of another participant, which stays subscribed, or continues it: for short pauses, as
    /// it continues at once. The choice remains as that of [`set_subscribed`](Self::set_subscribed) does.
    ///
    /// # Errors
    /// As [`set_subscribed`](Self::set_subscribed).
    pub async fn set_track_enabled(&self, track_sid: &str, enabled: bool) -> Result<(), RoomError> {
        self.change_subscription(track_sid, SubscriptionChange::Enable(enabled)).await
    }

    /// Chooses the size of a video track of another participant that the server sends us, if its publisher
    /// sends several, and how many pictures a second. A key frame of that size follows. The choice remains as
    /// that of [`set_subscribed`](Self::set_subscribed) does.
    ///
    /// ```
    /// use agent_worker::Room;
    /// use agent_worker::room::{RoomError, VideoChoice, VideoQuality};
    ///
    /// /// Looks at a camera now and then: a small picture will do.
    /// async fn glance(room: &Room, camera: &str) -> Result<(), RoomError> {
    ///     room.set_video_choice(camera, VideoChoice::quality(VideoQuality::Low)).await
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`set_subscribed`](Self::set_subscribed).
    pub async fn set_video_choice(&self, track_sid: &str, choice: VideoChoice) -> Result<(), RoomError> {
        self.change_subscription(track_sid, SubscriptionChange::Choose(choice)).await
    }

    async fn change_subscription(&self, sid: &str, change: SubscriptionChange) -> Result<(), RoomError> {
        self.shared().chosen_by_hand.store(true, Ordering::Release);
        self.command(RoomCommand::ChangeSubscription { track_sid: sid.to_owned(), change }).await
    }

    /// Whether the server sends us this track of another participant.
    #[must_use]
    pub fn is_subscribed(&self, track_sid: &str) -> bool {
        self.shared().lock().view.is_subscribed(track_sid)
    }

    /// Who speaks now, loudest first, as the last [`SpeakersChanged`](super::RoomEvent::SpeakersChanged)
    /// reported it; possibly with ourselves.
    #[must_use]
    #[doc(alias = "is_speaking")]
    #[doc(alias = "audio_level")]
    pub fn active_speakers(&self) -> Vec<Speaker> {
        self.shared().lock().view.speakers().to_vec()
    }

    /// The quality of a participant's connection, possibly our own, as the server rated it last; `None`
    /// before its first rating.
    #[must_use]
    pub fn connection_quality(&self, identity: &str) -> Option<ConnectionQuality> {
        self.shared().lock().view.connection_quality(identity)
    }
}
