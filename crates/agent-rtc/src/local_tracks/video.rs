//! A video track of ours.

use std::fmt;

use agent_room::{OutgoingVideoFrame, RoomError, VideoCodec, VideoTrackOptions};

use super::handle::LocalTrackHandle;
use crate::Room;

impl Room {
    /// Publishes a video track from encoded frames: of an encoder, a file, or another track. It completes
    /// when frames can be sent; the first of them makes others see the track.
    ///
    /// ```
    /// use std::time::Duration;
    /// use agent_worker::Room;
    /// use agent_worker::room::{OutgoingVideoFrame, RoomError, VideoCodec, VideoTrackOptions};
    ///
    /// /// Shows frames of VP8 of 640 × 480 pixels, 25 a second.
    /// async fn show(room: &Room, frames: Vec<Vec<u8>>) -> Result<(), RoomError> {
    ///     let options = VideoTrackOptions::new("film", VideoCodec::Vp8, 640, 480);
    ///     let track = room.publish_encoded_video(options).await?;
    ///     let step = Duration::from_millis(40);
    ///     let mut pace = tokio::time::interval(step);
    ///     for (number, frame) in (0..).zip(frames) {
    ///         pace.tick().await;
    ///         track.send(OutgoingVideoFrame::new(frame, step * number))?;
    ///     }
    ///     track.unpublish().await
    /// }
    /// ```
    ///
    /// # Errors
    /// [`RoomError::NotAllowed`] without the permission to publish tracks of this source,
    /// [`RoomError::OverLimit`] with too many tracks, [`RoomError::TimedOut`] without an answer of the server
    /// within 10 s, and others.
    pub async fn publish_encoded_video(
        &self,
        options: VideoTrackOptions,
    ) -> Result<EncodedVideoTrack, RoomError> {
        let (codec, layers) = (options.codec, options.layers.len().max(1));
        let handle = LocalTrackHandle::publish(self, options.into()).await?;
        Ok(EncodedVideoTrack { handle, codec, layers })
    }
}

/// A video track of ours that is fed with encoded frames, from
/// [`Room::publish_encoded_video`](crate::Room::publish_encoded_video). It is unpublished when this is
/// dropped, and at the end of the attempt.
///
/// Frames are sent at the time at which they are passed: the caller keeps the pace. A frame that cannot be
/// sent then is dropped: while the track is muted, and while there is no connection. The track begins with a
/// key frame, and continues with one after such a pause; other frames are not sent before it. Participants
/// who begin to watch need a key frame, too: send one when it is [requested](Self::key_frame_requested).
///
/// When the connection to the room is re-established with a new session, the track is published again by
/// itself, with another [sid](Self::sid), and reported as
/// [`LocalTrackRepublished`](crate::RoomEvent::LocalTrackRepublished).
pub struct EncodedVideoTrack {
    handle: LocalTrackHandle,
    codec: VideoCodec,
    layers: usize,
}

impl EncodedVideoTrack {
    /// The track's current sid.
    #[must_use]
    pub fn sid(&self) -> String {
        self.handle.sid()
    }

    /// The track's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.handle.name()
    }

    /// The codec of its frames.
    #[must_use]
    pub const fn codec(&self) -> VideoCodec {
        self.codec
    }

    /// Whether it is muted, by us or through the server's API.
    #[must_use]
    pub fn is_muted(&self) -> bool {
        self.handle.is_muted()
    }

    /// Sends a frame, now or never. It never waits: at most 256 frames of all tracks of the room, of at most
    /// 16 MiB, are queued for the network, which takes them at once unless the machine is overloaded; beyond
    /// that the oldest are [dropped](Self::dropped), and a key frame is requested.
    ///
    /// # Errors
    /// [`RoomError::VideoFrameSize`], [`RoomError::NoVideoFrame`] and [`RoomError::NoSuchLayer`],
    /// [`RoomError::TrackUnpublished`] if the server has ended the track, and those of a room or an attempt
    /// that is over.
    pub fn send(&self, frame: impl Into<OutgoingVideoFrame>) -> Result<(), RoomError> {
        let frame = frame.into();
        frame.check(self.codec)?;
        if frame.layer >= self.layers {
            return Err(RoomError::NoSuchLayer { layer: frame.layer, layers: self.layers });
        }
        self.handle.send(frame)
    }

    /// Waits until somebody needs a key frame: the next frame, of each layer, should be one. Requests that
    /// come before this is called again are one. `false`: the track has ended. Cancel-safe.
    pub async fn key_frame_requested(&self) -> bool {
        self.handle.state().key_frame_requested().await
    }

    /// As [`key_frame_requested`](Self::key_frame_requested), without waiting: whether somebody has needed a
    /// key frame since the last call.
    #[must_use]
    pub fn take_key_frame_request(&self) -> bool {
        self.handle.state().take_key_frame_request()
    }

    /// How many of its frames were dropped so far, as the network did not take them in time. Frames of a
    /// muted track and those without a connection are not counted.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.handle.state().dropped()
    }

    /// Mutes the track: its frames are not sent until it is unmuted.
    ///
    /// # Errors
    /// [`RoomError::TrackUnpublished`] if the server has ended the track, and others.
    pub async fn mute(&self) -> Result<(), RoomError> {
        self.handle.set_muted(true).await
    }

    /// Sends frames again, from the next key frame on.
    ///
    /// # Errors
    /// As [`mute`](Self::mute).
    pub async fn unmute(&self) -> Result<(), RoomError> {
        self.handle.set_muted(false).await
    }

    /// Ends the track.
    ///
    /// # Errors
    /// [`RoomError::TrackUnpublished`] if the server has ended it already, and others.
    pub async fn unpublish(self) -> Result<(), RoomError> {
        self.handle.end().await
    }
}

impl fmt::Debug for EncodedVideoTrack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.debug("EncodedVideoTrack", f)
    }
}
