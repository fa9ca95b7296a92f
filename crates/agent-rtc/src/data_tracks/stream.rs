//! A data track of another participant.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;

use agent_room::{CommandId, DataTrackFrame, Dropped, RoomCommand};

use crate::lane::Lane;
use crate::{Room, TrackError};

/// Default number of frames that are queued for a slow reader.
const DEFAULT_CAPACITY: usize = 16;

/// The frames of one data track, from [`Room::data_track`].
///
/// At most 16 frames, or [`capacity`](Self::capacity), and 4 MiB or 256 KiB for each of them, are queued for
/// a slow reader; beyond that the oldest are dropped, and counted in [`dropped`](Self::dropped). Frames that
/// were lost on the way are not counted.
///
/// It ends after its queued frames when the track is unpublished, its publisher leaves or joins again, or the
/// room or the attempt that opened it ends.
pub struct DataTrackStream {
    room: Room,
    lane: Arc<Lane<DataTrackFrame>>,
    subscription: CommandId,
    sid: String,
}

impl DataTrackStream {
    pub(super) fn open(room: &Room, subscription: CommandId, sid: String) -> Result<Self, TrackError> {
        let lane = room.shared().open_data_lane(room.attempt(), &sid, DEFAULT_CAPACITY)?;
        Ok(Self { room: room.clone(), lane, subscription, sid })
    }

    /// How many frames wait for a slow reader at most; at least one does. If more are waiting, the oldest are
    /// dropped.
    #[must_use]
    pub fn capacity(self, frames: usize) -> Self {
        let frames = self.lane.set_capacity(frames).dropped;
        self.room.shared().report(Dropped { frames, ..Dropped::default() });
        self
    }

    /// The track's sid.
    #[must_use]
    pub fn track_sid(&self) -> &str {
        &self.sid
    }

    /// How many frames were dropped so far, as they were not read in time.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.lane.dropped()
    }

    /// The next frame; `None` after the last one. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<DataTrackFrame> {
        std::future::poll_fn(|cx| self.lane.poll(cx)).await
    }
}

impl Stream for DataTrackStream {
    type Item = DataTrackFrame;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<DataTrackFrame>> {
        self.lane.poll(cx)
    }
}

impl Drop for DataTrackStream {
    fn drop(&mut self) {
        self.room.shared().lanes.data.close(&self.sid, &self.lane);
        self.room.shared().send_later(RoomCommand::UnsubscribeDataTrack { subscription: self.subscription });
    }
}

impl fmt::Debug for DataTrackStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataTrackStream")
            .field("track_sid", &self.sid)
            .field("waiting", &self.lane.waiting())
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}
