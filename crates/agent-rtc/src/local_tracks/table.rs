//! The state of our tracks, which they share with the backend.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};

use agent_room::{CommandId, OutgoingMedia, Track};

use super::queue::FrameQueue;

/// The tracks of a room.
pub(crate) struct LocalTracks {
    pub(super) queue: FrameQueue,
    /// By the command that publishes each, from before that command on.
    tracks: Mutex<BTreeMap<CommandId, Arc<TrackState>>>,
    /// Receives the tracks to be unpublished.
    ended: mpsc::UnboundedSender<CommandId>,
}

/// The state of one track.
#[derive(Default)]
pub(super) struct TrackState {
    /// As the backend has reported it last.
    track: Mutex<Option<Track>>,
    ended: AtomicBool,
    dropped: AtomicU64,
    /// Whether somebody needs a key frame.
    key_frame_requested: AtomicBool,
    /// Notified with it.
    key_frame: Notify,
}

impl LocalTracks {
    pub(crate) fn new(ended: mpsc::UnboundedSender<CommandId>) -> Self {
        Self { queue: FrameQueue::default(), tracks: Mutex::default(), ended }
    }

    /// Adds a track that is about to be published, unless `is_over`.
    pub(super) fn add(&self, id: CommandId, is_over: impl FnOnce() -> bool) -> Option<Arc<TrackState>> {
        let mut tracks = self.lock();
        // Under the lock: the end of an attempt takes its tracks after this, or is noticed here.
        if is_over() {
            return None;
        }
        let state = Arc::new(TrackState::default());
        tracks.insert(id, Arc::clone(&state));
        Some(state)
    }

    /// Applies a report of the backend.
    pub(crate) fn report(&self, id: CommandId, track: Option<Track>) {
        match track {
            Some(track) => {
                let state = self.lock().get(&id).cloned();
                if let Some(state) = state {
                    *state.lock() = Some(track);
                }
            }
            None => {
                let state = self.lock().remove(&id);
                if let Some(state) = state {
                    state.end();
                }
            }
        }
    }

    /// Whether this track is to be published.
    pub(crate) fn is_wanted(&self, id: CommandId) -> bool {
        self.lock().contains_key(&id)
    }

    /// Ends a track, unless it has ended.
    pub(super) fn end(&self, id: CommandId) {
        let state = self.lock().remove(&id);
        if let Some(state) = state {
            self.unpublish(id, &state);
        }
    }

    /// Ends all tracks.
    pub(crate) fn end_all(&self) {
        let all = std::mem::take(&mut *self.lock());
        all.iter().for_each(|(id, state)| self.unpublish(*id, state));
    }

    fn unpublish(&self, id: CommandId, state: &TrackState) {
        state.end();
        // Without a backend there is no room.
        let _ = self.ended.send(id);
    }

    /// Queues a frame for the backend; returns the number of frames that were dropped for it.
    pub(super) fn push(&self, id: CommandId, frame: impl Into<OutgoingMedia>) -> u64 {
        let dropped = self.queue.push(id, frame.into());
        for track in &dropped {
            let state = self.lock().get(track).cloned();
            if let Some(state) = state {
                state.dropped.fetch_add(1, Ordering::Relaxed);
                state.request_key_frame();
            }
        }
        u64::try_from(dropped.len()).unwrap_or(u64::MAX)
    }

    /// Another participant needs a key frame of this track.
    pub(crate) fn request_key_frame(&self, id: CommandId) {
        let state = self.lock().get(&id).cloned();
        if let Some(state) = state {
            state.request_key_frame();
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<CommandId, Arc<TrackState>>> {
        self.tracks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TrackState {
    pub(super) fn read<T>(&self, read: impl FnOnce(&Track) -> T) -> Option<T> {
        self.lock().as_ref().map(read)
    }

    pub(super) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Whether a key frame was requested since the last call.
    pub(super) fn take_key_frame_request(&self) -> bool {
        self.key_frame_requested.swap(false, Ordering::AcqRel)
    }

    /// Waits until a key frame is requested; `false`: the track has ended.
    pub(super) async fn key_frame_requested(&self) -> bool {
        loop {
            let notified = self.key_frame.notified();
            if self.is_ended() {
                return false;
            }
            if self.take_key_frame_request() {
                return true;
            }
            notified.await;
        }
    }

    fn request_key_frame(&self) {
        self.key_frame_requested.store(true, Ordering::Release);
        self.key_frame.notify_one();
    }

    fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.key_frame.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Track>> {
        self.track.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
