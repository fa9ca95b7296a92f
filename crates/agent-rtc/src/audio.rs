//! Streams of encoded audio, one for a track.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;

use agent_room::{CommandId, Dropped, EncodedFrame, RoomCommand, SubscriptionChange};

use super::lane::Lane;
use super::shared::Shared;
use super::track_error::TrackError;

/// Default number of frames that are queued for a slow reader: one second of 20 ms each.
const DEFAULT_CAPACITY: usize = 50;

/// The encoded frames of one audio track, from [`Room::encoded_audio`](super::Room::encoded_audio).
///
/// Frames are Opus packets in the order of their arrival: nothing is decoded, reordered or repaired. At most
/// 50 frames (a second of 20 ms each), or [`capacity`](Self::capacity), are queued for a slow reader; beyond
/// that the oldest are dropped, and counted in [`dropped`](Self::dropped). Missing frames, whether dropped
/// here or lost in transit, are gaps in the frames' [`sequence`](EncodedFrame::sequence).
///
/// It ends after its queued frames when the track is unpublished, its publisher leaves, or the room or the
/// attempt that opened it ends. While a track is muted or not subscribed, no frames arrive, and the stream
/// continues; after a mute the server sends up to a second of silence. The stream also continues after the
/// connection to the room was re-established: the frames' [`source`](EncodedFrame::source) changes then.
pub struct EncodedAudioStream {
    shared: Arc<Shared>,
    lane: Arc<Lane<EncodedFrame>>,
    track_sid: String,
    /// By this number the room knows that the track is read.
    reader: CommandId,
}

impl EncodedAudioStream {
    pub(super) fn open(shared: &Arc<Shared>, attempt: u64, track_sid: &str) -> Result<Self, TrackError> {
        let lane = shared.open_lane(attempt, track_sid, DEFAULT_CAPACITY)?;
        let (shared, reader) = (shared.clone(), shared.next_command());
        let stream = Self { shared, lane, track_sid: track_sid.to_owned(), reader };
        stream.change_subscription(SubscriptionChange::Read(reader));
        Ok(stream)
    }

    fn change_subscription(&self, change: SubscriptionChange) {
        let track_sid = self.track_sid.clone();
        self.shared.send_later(RoomCommand::ChangeSubscription { track_sid, change });
    }

    /// How many frames wait for a slow reader at most; at least one does. If more are waiting, the oldest are
    /// dropped.
    #[must_use]
    pub fn capacity(self, frames: usize) -> Self {
        let frames = self.lane.set_capacity(frames);
        self.shared.report(Dropped { frames, ..Dropped::default() });
        self
    }

    /// The track's sid.
    #[must_use]
    pub fn track_sid(&self) -> &str {
        &self.track_sid
    }

    /// How many frames were dropped so far, as they were not read in time.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.lane.dropped()
    }

    /// The next frame; `None` after the last one. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<EncodedFrame> {
        std::future::poll_fn(|cx| self.lane.poll(cx)).await
    }
}

impl Stream for EncodedAudioStream {
    type Item = EncodedFrame;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<EncodedFrame>> {
        self.lane.poll(cx)
    }
}

impl Drop for EncodedAudioStream {
    fn drop(&mut self) {
        self.shared.lanes.media.close(&self.track_sid, &self.lane);
        self.change_subscription(SubscriptionChange::StopReading(self.reader));
    }
}

impl fmt::Debug for EncodedAudioStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedAudioStream")
            .field("track_sid", &self.track_sid)
            .field("waiting", &self.lane.waiting())
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}
