//! Where frames come in.

use std::fmt;
use std::sync::Arc;

use agent_room::{Dropped, EncodedFrame, EncodedVideoFrame, MediaFrame, RoomCommand};

use super::lane::OpenLanes;
use super::shared::Shared;

/// Where a room's backend puts the frames of its tracks, from
/// [`RoomBackend::frames`](super::RoomBackend::frames). It may be moved to where the frames come from.
pub struct FrameSender {
    shared: Arc<Shared>,
    audio: OpenLanes<EncodedFrame>,
    video: OpenLanes<EncodedVideoFrame>,
}

impl FrameSender {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, audio: OpenLanes::default(), video: OpenLanes::default() }
    }

    /// Sends a frame to the reader of the track with this sid, if there is one. It never waits: if the queue
    /// is full, the oldest frame is dropped; of video, the oldest ones up to a key frame, and if there is
    /// none, those to come are, and one is requested with [`RoomCommand::RequestKeyFrame`]. This is the time
    /// at which the frame was [received](EncodedFrame::received).
    pub fn send(&mut self, track_sid: &str, frame: impl Into<MediaFrame>) {
        let lanes = &self.shared.lanes;
        let received = self.shared.now();
        let pushed = match frame.into() {
            MediaFrame::Audio(mut frame) => {
                frame.received = received;
                self.audio.push(&lanes.audio, track_sid, frame)
            }
            MediaFrame::Video(mut frame) => {
                frame.received = received;
                self.video.push(&lanes.video, track_sid, frame)
            }
        };
        self.shared.report(Dropped { frames: pushed.dropped, ..Dropped::default() });
        if pushed.interrupted {
            self.shared.send_later(RoomCommand::RequestKeyFrame { track_sid: track_sid.to_owned() });
        }
    }

    /// Waits until somebody reads the track with this sid: frames that are sent from then on arrive. Without
    /// a reader it waits without end.
    pub fn reader(&self, track_sid: &str) -> impl Future<Output = ()> + Send + use<> {
        let (shared, track_sid) = (Arc::clone(&self.shared), track_sid.to_owned());
        async move {
            tokio::select! {
                biased;
                () = shared.lanes.audio.opened(&track_sid) => {}
                () = shared.lanes.video.opened(&track_sid) => {}
            }
        }
    }
}

impl fmt::Debug for FrameSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.audio.len() + self.video.len();
        f.debug_struct("FrameSender").field("open", &open).finish_non_exhaustive()
    }
}
