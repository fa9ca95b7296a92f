//! Where the backend gets the frames of our tracks.

use std::fmt;
use std::sync::Arc;

use agent_room::{CommandId, OutgoingMedia};

use crate::shared::Shared;

/// Where a room's backend gets the frames of our tracks, from
/// [`RoomBackend::outgoing_frames`](crate::RoomBackend::outgoing_frames).
///
/// At most 256 frames are queued, of at most 16 MiB; beyond that the oldest are dropped.
pub struct OutgoingFrames {
    shared: Arc<Shared>,
}

impl OutgoingFrames {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Waits for the next frame; with it comes the command that published its track. Cancel-safe.
    pub async fn next(&mut self) -> (CommandId, OutgoingMedia) {
        self.shared.local_tracks.queue.next().await
    }

    /// The next frame, if there is one.
    pub fn try_next(&mut self) -> Option<(CommandId, OutgoingMedia)> {
        self.shared.local_tracks.queue.pop()
    }
}

impl fmt::Debug for OutgoingFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingFrames").finish_non_exhaustive()
    }
}
