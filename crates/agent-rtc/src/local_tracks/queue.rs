//! The frames of our tracks on their way to the backend.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use agent_proto::QueueEntry;
use agent_room::{CommandId, OutgoingMedia};

/// Maximum number of frames that wait for the backend, of all tracks of a room. It takes them at once, unless
/// the machine is overloaded: then the oldest would be late.
const MAX_FRAMES: usize = 256;
/// Maximum number of bytes of these frames.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// What waits.
#[derive(Default)]
struct Waiting {
    frames: VecDeque<(CommandId, OutgoingMedia)>,
    bytes: usize,
}

/// The queue of a room.
#[derive(Default)]
pub(super) struct FrameQueue {
    frames: Mutex<Waiting>,
    filled: Notify,
}

impl FrameQueue {
    /// Appends a frame; returns the tracks of the frames that were dropped for it.
    pub(super) fn push(&self, track: CommandId, frame: OutgoingMedia) -> Vec<CommandId> {
        let mut waiting = self.lock();
        let bytes = frame.bytes();
        let mut dropped = Vec::new();
        while waiting.frames.len() >= MAX_FRAMES || waiting.bytes.saturating_add(bytes) > MAX_BYTES {
            let Some((track, _)) = waiting.pop() else { break };
            dropped.push(track);
        }
        waiting.bytes += bytes;
        waiting.frames.push_back((track, frame));
        drop(waiting);
        self.filled.notify_one();
        dropped
    }

    pub(super) fn pop(&self) -> Option<(CommandId, OutgoingMedia)> {
        self.lock().pop()
    }

    pub(super) async fn next(&self) -> (CommandId, OutgoingMedia) {
        loop {
            if let Some(frame) = self.pop() {
                return frame;
            }
            self.filled.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn pop(&mut self) -> Option<(CommandId, OutgoingMedia)> {
        let popped = self.frames.pop_front();
        self.bytes = self.bytes.saturating_sub(popped.as_ref().map_or(0, |(_, frame)| frame.bytes()));
        popped
    }
}
