//! The frames of the cluster or fragment that is not written yet.

use std::time::Duration;

use super::frame::ContainerFrame;

/// The longest time that a cluster or fragment spans.
pub(super) const SPAN: Duration = Duration::from_secs(1);
/// The span from which on a key frame begins another one, as players can begin at key frames.
const SPAN_BEFORE_KEY: Duration = Duration::from_millis(500);
/// Maximum number of bytes that are kept, besides one frame.
pub(super) const MAX_BYTES: usize = 4 << 20;
/// Maximum number of frames that are kept: Opus has up to 400 a second.
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
    /// Whether the frames so far are to be written before this one is added.
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
