//! Streams of encoded video, one for a track.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;

use agent_room::EncodedVideoFrame;

use super::handle::Room;
use super::shared::Shared;
use super::track_error::TrackError;
use super::track_reader::TrackReader;

impl Room {
    /// The encoded frames of a video track that the server sends us, by the track's sid, from now on: for an
    /// agent that forwards, records or decodes them. They begin with a key frame.
    ///
    /// When it may be opened, and what follows from that, is as for [`encoded_audio`](Self::encoded_audio).
    ///
    /// ```
    /// use agent_worker::room::TrackKind;
    /// use agent_worker::{JobContext, JobResult, RoomEvent};
    ///
    /// async fn watch(ctx: JobContext) -> JobResult {
    ///     let mut events = ctx.room().events();
    ///     while let Some(event) = ctx.run_until_cancelled(events.next()).await.flatten() {
    ///         if let RoomEvent::TrackSubscribed { track, .. } = event
    ///             && track.kind == TrackKind::Video
    ///         {
    ///             let mut frames = ctx.room().encoded_video(&track.sid)?;
    ///             ctx.spawn(async move {
    ///                 while let Some(frame) = frames.next().await {
    ///                     println!("{}: {} bytes", frame.codec, frame.payload.len());
    ///                 }
    ///             });
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`TrackError`]: no participant publishes such a track, it is not video, it has a stream already, or the
    /// room or the attempt is over.
    pub fn encoded_video(&self, track_sid: &str) -> Result<EncodedVideoStream, TrackError> {
        EncodedVideoStream::open(self.shared(), self.attempt(), track_sid)
    }
}

/// The encoded frames of one video track, from [`Room::encoded_video`].
///
/// Frames are whole and in order; nothing is decoded. If one is missing for good, whether it was lost in
/// transit or dropped here, those up to the next key frame are left out, a key frame is requested, and it is
/// marked as [`after_loss`](EncodedVideoFrame::after_loss). At most 60 frames (two seconds of 30 a second),
/// or [`capacity`](Self::capacity), are queued for a slow reader; beyond that the oldest are dropped up to a
/// key frame, and counted in [`dropped`](Self::dropped).
///
/// It ends after its queued frames when the track is unpublished, its publisher leaves, or the room or the
/// attempt that opened it ends. While a track is muted or not subscribed, no frames arrive, and the stream
/// continues; when a track is muted the server sends some black key frames of a few pixels. The stream also
/// continues after the connection to the room was re-established: the frames'
/// [`source`](EncodedVideoFrame::source) changes then.
pub struct EncodedVideoStream(TrackReader<EncodedVideoFrame>);

impl EncodedVideoStream {
    fn open(shared: &Arc<Shared>, attempt: u64, track_sid: &str) -> Result<Self, TrackError> {
        TrackReader::open(shared, attempt, track_sid).map(Self)
    }

    /// How many frames wait for a slow reader at most; at least one does. If more are waiting, the oldest are
    /// dropped.
    #[must_use]
    pub fn capacity(self, frames: usize) -> Self {
        self.0.set_capacity(frames);
        self
    }

    /// The track's sid.
    #[must_use]
    pub fn track_sid(&self) -> &str {
        self.0.track_sid()
    }

    /// How many frames were dropped so far, as they were not read in time.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.dropped()
    }

    /// Requests a key frame from the publisher: at most one a second, and again until one arrives. It is
    /// requested by itself after losses.
    pub fn request_key_frame(&self) {
        self.0.request_key_frame();
    }

    /// The next frame; `None` after the last one. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<EncodedVideoFrame> {
        self.0.next().await
    }
}

impl Stream for EncodedVideoStream {
    type Item = EncodedVideoFrame;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<EncodedVideoFrame>> {
        self.0.poll(cx)
    }
}

impl fmt::Debug for EncodedVideoStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug("EncodedVideoStream", f)
    }
}
