//! The lanes of media frames and of frames of data tracks: one bounded queue for each track that is read,
//! beside events and data.
//!
//! Who pushes frames keeps a list of the open queues of its own ([`OpenLanes`]), which is read again only
//! when a stream was opened or closed. So a frame takes the lock of its own track, which its one reader
//! shares, and no other.

use std::collections::BTreeMap;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use agent_proto::{DropOldest, Popped, QueueEntry, QueueLimits, watch};
use agent_room::{DataTrackFrame, EncodedFrame, EncodedVideoFrame, TrackKind, View};

/// A frame of a track.
pub(super) trait LaneFrame: QueueEntry {
    /// What a frame is counted for at most, on average, in bytes.
    const BYTES: usize;

    /// Whether it can be decoded without the frames before it.
    fn is_independent(&self) -> bool {
        true
    }

    /// It is the first one after frames that were dropped.
    fn follows_loss(&mut self) {}
}

/// A frame of an audio or video track.
pub(super) trait MediaFrame: LaneFrame + Sized {
    const KIND: TrackKind;
    /// Default number of frames that are queued for a slow reader.
    const CAPACITY: usize;

    /// The queues of such frames.
    fn lanes(lanes: &AllLanes) -> &Lanes<Self>;
}

impl LaneFrame for EncodedFrame {
    /// It came in one packet.
    const BYTES: usize = 1500;
}

impl MediaFrame for EncodedFrame {
    const KIND: TrackKind = TrackKind::Audio;
    /// One second of 20 ms each.
    const CAPACITY: usize = 50;

    fn lanes(lanes: &AllLanes) -> &Lanes<Self> {
        &lanes.audio
    }
}

impl LaneFrame for EncodedVideoFrame {
    /// A key frame has more, and others far less.
    const BYTES: usize = 128 * 1024;

    fn is_independent(&self) -> bool {
        self.key_frame
    }

    fn follows_loss(&mut self) {
        self.after_loss = true;
    }
}

impl MediaFrame for EncodedVideoFrame {
    const KIND: TrackKind = TrackKind::Video;
    /// Two seconds of 30 a second.
    const CAPACITY: usize = 60;

    fn lanes(lanes: &AllLanes) -> &Lanes<Self> {
        &lanes.video
    }
}

impl LaneFrame for DataTrackFrame {
    const BYTES: usize = 256 * 1024;
}

/// All queues of a room.
#[derive(Default)]
pub(super) struct AllLanes {
    pub(super) audio: Lanes<EncodedFrame>,
    pub(super) video: Lanes<EncodedVideoFrame>,
    pub(super) data: Lanes<DataTrackFrame>,
}

/// Queues that are to be ended, after the locks.
#[derive(Default)]
#[must_use]
pub(super) struct EndedLanes {
    audio: Vec<Arc<Lane<EncodedFrame>>>,
    video: Vec<Arc<Lane<EncodedVideoFrame>>>,
    data: Vec<Arc<Lane<DataTrackFrame>>>,
}

/// The open queues of one kind.
pub(super) struct Lanes<F> {
    /// By track sid.
    open: Mutex<BTreeMap<Arc<str>, Arc<Lane<F>>>>,
    /// Counts the changes of `open`.
    version: AtomicU64,
    /// Changes with `open`, for those who wait for a reader.
    changes: watch::Sender<()>,
}

/// The open queues, as who pushes frames saw them last.
pub(super) struct OpenLanes<F> {
    by_track: BTreeMap<Arc<str>, Arc<Lane<F>>>,
    version: u64,
}

/// The frames of one track, on their way to its reader.
pub(super) struct Lane<F> {
    /// The identity of the track's publisher.
    publisher: String,
    state: Mutex<State<F>>,
}

/// What became of a frame, or of those that waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pushed {
    /// How many frames were dropped for it, possibly itself.
    pub(super) dropped: u64,
    /// Whether the reader needs an independent frame now.
    pub(super) interrupted: bool,
}

struct State<F> {
    frames: DropOldest<F>,
    limits: QueueLimits,
    dropped: u64,
    /// Frames were dropped, and no independent one has come since.
    interrupted: bool,
    ended: bool,
    reader: Option<Waker>,
}

impl AllLanes {
    /// Takes the queues of tracks that are not published any more.
    pub(super) fn take_unpublished(&self, view: &View) -> EndedLanes {
        EndedLanes {
            audio: self.audio.take_unpublished(view),
            video: self.video.take_unpublished(view),
            data: self.data.take_unpublished(view),
        }
    }

    /// Takes all queues.
    pub(super) fn take_all(&self) -> EndedLanes {
        EndedLanes {
            audio: self.audio.take_unless(|_, _| false),
            video: self.video.take_unless(|_, _| false),
            data: self.data.take_unless(|_, _| false),
        }
    }
}

impl EndedLanes {
    /// No frame comes any more.
    pub(super) fn end(&self) {
        self.audio.iter().for_each(|lane| lane.end());
        self.video.iter().for_each(|lane| lane.end());
        self.data.iter().for_each(|lane| lane.end());
    }
}

impl<F> Default for Lanes<F> {
    fn default() -> Self {
        Self { open: Mutex::default(), version: AtomicU64::new(0), changes: watch::Sender::default() }
    }
}

impl<F> Default for OpenLanes<F> {
    fn default() -> Self {
        Self { by_track: BTreeMap::new(), version: 0 }
    }
}

impl<F: LaneFrame> Lanes<F> {
    /// Opens the queue of a track; `None`: it is open already.
    pub(super) fn open(&self, track_sid: &str, publisher: &str, capacity: usize) -> Option<Arc<Lane<F>>> {
        let mut open = self.lock();
        if open.contains_key(track_sid) {
            return None;
        }
        let state = State {
            frames: DropOldest::default(),
            limits: limits::<F>(capacity),
            dropped: 0,
            interrupted: false,
            ended: false,
            reader: None,
        };
        let lane = Arc::new(Lane { publisher: publisher.to_owned(), state: Mutex::new(state) });
        open.insert(track_sid.into(), lane.clone());
        self.changed();
        Some(lane)
    }

    /// Closes the queue of a track, if it is this one.
    pub(super) fn close(&self, track_sid: &str, lane: &Arc<Lane<F>>) {
        let mut open = self.lock();
        if open.get(track_sid).is_some_and(|other| Arc::ptr_eq(other, lane)) {
            open.remove(track_sid);
            self.changed();
        }
        drop(open);
        lane.forget();
    }

    /// Takes the queues of tracks that are not published any more; each is to be [ended](Lane::end).
    fn take_unpublished(&self, view: &View) -> Vec<Arc<Lane<F>>> {
        self.take_unless(|track_sid, lane| view.publishes(&lane.publisher, track_sid))
    }

    fn take_unless(&self, goes_on: impl Fn(&str, &Lane<F>) -> bool) -> Vec<Arc<Lane<F>>> {
        let mut open = self.lock();
        let taken: Vec<_> =
            open.extract_if(.., |sid, lane| !goes_on(sid, lane)).map(|(_, lane)| lane).collect();
        if !taken.is_empty() {
            self.changed();
        }
        taken
    }

    /// After a change, and under the same lock.
    fn changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
        self.changes.send_replace(());
    }

    /// Waits until the queue of this track is open.
    pub(super) async fn opened(&self, track_sid: &str) {
        let mut changes = self.changes.subscribe();
        while !self.lock().contains_key(track_sid) {
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Lane<F>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: LaneFrame> OpenLanes<F> {
    /// Passes a frame to the reader of its track.
    pub(super) fn push(&mut self, lanes: &Lanes<F>, track_sid: &str, frame: F) -> Pushed {
        if lanes.version.load(Ordering::Acquire) != self.version {
            let open = lanes.lock();
            self.by_track.clone_from(&open);
            self.version = lanes.version.load(Ordering::Acquire);
        }
        self.by_track.get(track_sid).map(|lane| lane.push(frame)).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.by_track.len()
    }
}

impl<F: LaneFrame> Lane<F> {
    /// Appends a frame.
    fn push(&self, mut frame: F) -> Pushed {
        let mut state = self.lock();
        if state.ended {
            return Pushed::default();
        }
        if state.interrupted {
            if !frame.is_independent() {
                state.dropped = state.dropped.saturating_add(1);
                return Pushed { dropped: 1, interrupted: false };
            }
            frame.follows_loss();
            state.interrupted = false;
        }
        state.frames.push(frame);
        let dropped = state.shrink();
        let interrupted = state.interrupted;
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        Pushed { dropped, interrupted }
    }

    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<Option<F>> {
        let mut state = self.lock();
        while let Some(popped) = state.frames.pop() {
            match popped {
                // Counted as `dropped`; its place shows in the frames' numbers.
                Popped::Missed(_) => {}
                Popped::Entry(frame) => return Poll::Ready(Some(frame)),
            }
        }
        if state.ended {
            return Poll::Ready(None);
        }
        let before = state.reader.replace(cx.waker().clone());
        drop(state);
        // Dropping it may run code of the executor.
        drop(before);
        Poll::Pending
    }

    /// Changes how many frames wait at most, and returns how many were dropped for it.
    pub(super) fn set_capacity(&self, capacity: usize) -> Pushed {
        let mut state = self.lock();
        state.limits = limits::<F>(capacity);
        let dropped = state.shrink();
        Pushed { dropped, interrupted: dropped > 0 && state.interrupted }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    pub(super) fn waiting(&self) -> usize {
        self.lock().frames.len()
    }

    /// No frame comes any more; those that wait can still be read.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    /// Closes the queue without a reader.
    fn forget(&self) {
        let mut state = self.lock();
        state.ended = true;
        let (frames, reader) = (mem::take(&mut state.frames), state.reader.take());
        drop(state);
        // Dropping a waker may run code of the executor.
        drop((frames, reader));
    }

    fn lock(&self) -> MutexGuard<'_, State<F>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: LaneFrame> State<F> {
    /// Drops what is too much, and what cannot be used without that; returns how many frames.
    fn shrink(&mut self) -> u64 {
        let mut dropped = self.frames.shrink(self.limits);
        if dropped > 0 {
            while self.frames.entries().next().is_some_and(|frame| !frame.is_independent()) {
                dropped += self.frames.drop_oldest();
            }
            self.interrupted = self.frames.entries().next().is_none();
            self.frames.edit(|frames| frames.iter_mut().take(1).for_each(F::follows_loss));
        }
        self.dropped = self.dropped.saturating_add(dropped);
        dropped
    }
}

fn limits<F: LaneFrame>(capacity: usize) -> QueueLimits {
    let entries = capacity.max(1);
    QueueLimits { entries, bytes: entries.saturating_mul(F::BYTES) }
}
