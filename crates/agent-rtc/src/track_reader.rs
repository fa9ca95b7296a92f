//! The place of one reader of a track's frames, of any kind.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use agent_room::{CommandId, Dropped, RoomCommand, SubscriptionChange};

use super::lane::{Lane, MediaFrame, Pushed};
use super::shared::Shared;
use super::track_error::TrackError;

/// Reads the frames of one track. While it exists the room knows that the track is read.
pub(super) struct TrackReader<F: MediaFrame> {
    shared: Arc<Shared>,
    lane: Arc<Lane<F>>,
    track_sid: String,
    /// By this number the room knows that the track is read.
    reader: CommandId,
}

impl<F: MediaFrame> TrackReader<F> {
    pub(super) fn open(shared: &Arc<Shared>, attempt: u64, track_sid: &str) -> Result<Self, TrackError> {
        let lane = shared.open_lane(attempt, track_sid)?;
        let (shared, reader) = (shared.clone(), shared.next_command());
        let stream = Self { shared, lane, track_sid: track_sid.to_owned(), reader };
        stream.change_subscription(SubscriptionChange::Read(reader));
        Ok(stream)
    }

    fn change_subscription(&self, change: SubscriptionChange) {
        let track_sid = self.track_sid.clone();
        self.shared.send_later(RoomCommand::ChangeSubscription { track_sid, change });
    }

    pub(super) fn set_capacity(&self, frames: usize) {
        let Pushed { dropped, interrupted } = self.lane.set_capacity(frames);
        self.shared.report(Dropped { frames: dropped, ..Dropped::default() });
        if interrupted {
            self.request_key_frame();
        }
    }

    pub(super) fn request_key_frame(&self) {
        let track_sid = self.track_sid.clone();
        self.shared.send_later(RoomCommand::RequestKeyFrame { track_sid });
    }

    pub(super) fn track_sid(&self) -> &str {
        &self.track_sid
    }

    pub(super) fn dropped(&self) -> u64 {
        self.lane.dropped()
    }

    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<Option<F>> {
        self.lane.poll(cx)
    }

    pub(super) async fn next(&self) -> Option<F> {
        std::future::poll_fn(|cx| self.lane.poll(cx)).await
    }

    pub(super) fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("track_sid", &self.track_sid)
            .field("waiting", &self.lane.waiting())
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

impl<F: MediaFrame> Drop for TrackReader<F> {
    fn drop(&mut self) {
        F::lanes(&self.shared.lanes).close(&self.track_sid, &self.lane);
        self.change_subscription(SubscriptionChange::StopReading(self.reader));
    }
}
