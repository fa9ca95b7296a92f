//! The frames of our tracks on their way to the backend.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use agent_room::{CommandId, OutgoingFrame};

/// Maximum number of frames that wait for the backend, of all tracks of a room. It takes them at once, unless
/// the machine is overloaded: then the oldest would be late.
const MAX_FRAMES: usize = 256;

/// The queue of a room.
#[derive(Default)]
pub(super) struct FrameQueue {
    frames: Mutex<VecDeque<(CommandId, OutgoingFrame)>>,
    filled: Notify,
}

impl FrameQueue {
    /// Appends a frame; returns the track of the frame that was dropped for it.
    pub(super) fn push(&self, track: CommandId, frame: OutgoingFrame) -> Option<CommandId> {
        let mut frames = self.lock();
        let dropped = if frames.len() >= MAX_FRAMES { frames.pop_front() } else { None };
        frames.push_back((track, frame));
        drop(frames);
        self.filled.notify_one();
        dropped.map(|(track, _)| track)
    }

    pub(super) fn pop(&self) -> Option<(CommandId, OutgoingFrame)> {
        self.lock().pop_front()
    }

    pub(super) async fn next(&self) -> (CommandId, OutgoingFrame) {
        loop {
            if let Some(frame) = self.pop() {
                return frame;
            }
            self.filled.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(CommandId, OutgoingFrame)>> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
