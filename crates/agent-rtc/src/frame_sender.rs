//! Where frames come in.

use std::fmt;
use std::sync::Arc;

use agent_room::{Dropped, EncodedFrame};

use super::lane::OpenLanes;
use super::shared::Shared;

/// Where a room's backend puts the frames of its tracks, from
/// [`RoomBackend::frames`](super::RoomBackend::frames). It may be moved to where the frames come from.
pub struct FrameSender {
    shared: Arc<Shared>,
    open: OpenLanes<EncodedFrame>,
}

impl FrameSender {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, open: OpenLanes::default() }
    }

    /// Sends a frame to the reader of the track with this sid, if there is one. It never waits: if the queue
    /// is full, the oldest frame is dropped. This is the time at which it was
    /// [received](EncodedFrame::received).
    pub fn send(&mut self, track_sid: &str, mut frame: EncodedFrame) {
        frame.received = self.shared.now();
        let frames = self.open.push(&self.shared.lanes.media, track_sid, frame);
        self.shared.report(Dropped { frames, ..Dropped::default() });
    }

    /// Waits until somebody reads the track with this sid: frames that are sent from then on arrive. Without
    /// a reader it waits without end.
    pub fn reader(&self, track_sid: &str) -> impl Future<Output = ()> + Send + use<> {
        let (shared, track_sid) = (Arc::clone(&self.shared), track_sid.to_owned());
        async move { shared.lanes.media.opened(&track_sid).await }
    }
}

impl fmt::Debug for FrameSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameSender").field("open", &self.open.len()).finish_non_exhaustive()
    }
}
