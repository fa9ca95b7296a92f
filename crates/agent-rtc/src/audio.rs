//! Streams of encoded audio, one for a track.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;

use agent_room::EncodedFrame;

use super::shared::Shared;
use super::track_error::TrackError;
use super::track_reader::TrackReader;

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
pub struct EncodedAudioStream(TrackReader<EncodedFrame>);

impl EncodedAudioStream {
    pub(super) fn open(shared: &Arc<Shared>, attempt: u64, track_sid: &str) -> Result<Self, TrackError> {
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

    /// The next frame; `None` after the last one. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<EncodedFrame> {
        self.0.next().await
    }
}

impl Stream for EncodedAudioStream {
    type Item = EncodedFrame;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<EncodedFrame>> {
        self.0.poll(cx)
    }
}

impl fmt::Debug for EncodedAudioStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug("EncodedAudioStream", f)
    }
}
