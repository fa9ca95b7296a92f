//! The frames of the cluster or fragment that is not written yet.

use std::time::Duration;

use super::frame::ContainerFrame;

/// What a cluster or fragment spans.
pub(super) const SPAN: Duration = Duration::from_secs(1);
/// From which span on a key frame begins another one, as that is where players can begin.
const SPAN_BEFORE_KEY: Duration = Duration::from_millis(500);
/// The bytes that are kept at most, besides one frame.
pub(super) const MAX_BYTES: usize = 4 << 20;
/// The frames that are kept at most: some 400 a second are possible of Opus.
pub(super) const MAX_FRAMES: usize = 4_096;

/// Frames of all tracks that belong together.
#[derive(Debug, Default)]
pub(super) struct Pending {
    frames: Vec<PendingFrame>,
    bytes: usize,
    /// The first and the last time among them.
    span: Option<(Duration, Duration)>,
}

/// A frame, and the number of its track.
#[derive(Debug)]
pub(super) struct PendingFrame {
    pub(super) track: usize,
    pub(super) frame: ContainerFrame,
}

impl Pending {
    /// Whether what is here is to be written before this frame comes.
    pub(super) fn ends_before(&self, frame: &ContainerFrame, is_video: bool) -> bool {
        let Some((first, last)) = self.span else { return false };
        let span = last.max(frame.timestamp).saturating_sub(first.min(frame.timestamp));
        let limit = if is_video && frame.is_key { SPAN_BEFORE_KEY } else { SPAN };
        span >= limit
            || self.bytes.saturating_add(frame.payload.len()) > MAX_BYTES
            || self.frames.len() >= MAX_FRAMES
    }

    pub(super) fn push(&mut self, track: usize, frame: ContainerFrame) {
        let at = frame.timestamp;
        self.span = Some(self.span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        self.bytes += frame.payload.len();
        self.frames.push(PendingFrame { track, frame });
    }

    /// Takes all frames, in the order of their times.
    pub(super) fn take(&mut self) -> Vec<PendingFrame> {
        let mut frames = std::mem::take(self).frames;
        frames.sort_by_key(|pending| pending.frame.timestamp);
        frames
    }
}
