//! Where frames of data tracks come in.

use std::fmt;
use std::sync::Arc;

use agent_room::{DataTrackFrame, Dropped};

use crate::lane::OpenLanes;
use crate::shared::Shared;

/// Where a room's backend puts the frames of data tracks, from
/// [`RoomBackend::data_frames`](crate::RoomBackend::data_frames). It may be moved to where the frames come
/// from.
pub struct DataFrameSender {
    shared: Arc<Shared>,
    open: OpenLanes<DataTrackFrame>,
}

impl DataFrameSender {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, open: OpenLanes::default() }
    }

    /// Sends a frame to the reader of the track with this sid, if there is one. It never waits: if the queue
    /// is full, the oldest frame is dropped.
    pub fn send(&mut self, track_sid: &str, frame: DataTrackFrame) {
        let frames = self.open.push(&self.shared.lanes.data, track_sid, frame).dropped;
        self.shared.report(Dropped { frames, ..Dropped::default() });
    }
}

impl fmt::Debug for DataFrameSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataFrameSender").field("open", &self.open.len()).finish_non_exhaustive()
    }
}
