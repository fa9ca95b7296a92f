//! Frames of a track that wait for their turn.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use agent_proto::Time;

use super::clock::{Arrival, SourceClock, Standing};

/// The frames of a track in the order of their times.
#[derive(Debug)]
pub(super) struct TrackQueue<F> {
    /// Of the stream that is received, by their timestamps.
    current: BTreeMap<Duration, F>,
    source: Option<u32>,
    clock: SourceClock,
    /// A frame whose timestamp is not near those before, until the next one confirms it.
    held: Option<(Arrival, F)>,
    /// Of streams before that one.
    before: VecDeque<(Time, F)>,
    bytes: usize,
}

/// A frame that can be queued.
pub(super) trait QueuedFrame {
    /// Whether frames follow each other without holes.
    const IS_AUDIO: bool;

    /// How many bytes it has.
    fn bytes(&self) -> usize;

    /// How long it lasts, if that is known.
    fn length(&self) -> Duration;
}

impl<F: QueuedFrame> TrackQueue<F> {
    pub(super) fn new() -> Self {
        Self {
            current: BTreeMap::new(),
            source: None,
            clock: SourceClock::new(F::IS_AUDIO),
            held: None,
            before: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Where this track is, for the other one.
    pub(super) fn standing(&self) -> Option<Standing> {
        self.clock.standing()
    }

    /// Places frames beside those of the other track.
    pub(super) fn align(&mut self, beside: Option<Standing>) {
        self.clock.align(beside);
    }

    /// Time has passed: to be called for all tracks when a frame of one of them comes.
    pub(super) fn advance(&mut self, now: Time) {
        self.clock.advance(now);
    }

    /// Places all that waits, and what comes, later by this time.
    pub(super) fn put_off(&mut self, by: Duration) {
        self.before.iter_mut().for_each(|(time, _)| *time = *time + by);
        self.clock.put_off(by);
    }

    /// Whether a frame of this stream is the first one of it.
    pub(super) fn is_other_source(&self, source: u32) -> bool {
        self.source != Some(source)
    }

    /// Takes a frame, and returns how many were dropped: stray ones, and those of a time that is taken.
    pub(super) fn push(&mut self, source: u32, arrival: Arrival, frame: F) -> u64 {
        let held = self.drop_held();
        if self.is_other_source(source) {
            self.begin();
            self.source = Some(source);
            return u64::from(held.is_some()) + self.insert(arrival, frame);
        }
        if !self.clock.is_jump(arrival) {
            return u64::from(held.is_some()) + self.insert(arrival, frame);
        }
        match held {
            Some((first, held)) if first.is_confirmed(arrival) => {
                self.begin();
                self.insert(first, held) + self.insert(arrival, frame)
            }
            held => {
                self.bytes += frame.bytes();
                self.held = Some((arrival, frame));
                u64::from(held.is_some())
            }
        }
    }

    /// Drops the frame that is held back.
    pub(super) fn drop_held(&mut self) -> Option<(Arrival, F)> {
        let held = self.held.take();
        if let Some((_, frame)) = &held {
            self.bytes = self.bytes.saturating_sub(frame.bytes());
        }
        held
    }

    /// Begins with other timestamps.
    fn begin(&mut self) {
        for (timestamp, frame) in std::mem::take(&mut self.current) {
            self.before.push_back((self.clock.place(timestamp, frame.length()), frame));
        }
        self.clock = self.clock.following();
    }

    fn insert(&mut self, arrival: Arrival, frame: F) -> u64 {
        self.clock.observe(arrival);
        if self.current.contains_key(&arrival.timestamp) {
            return 1;
        }
        self.bytes += frame.bytes();
        self.current.insert(arrival.timestamp, frame);
        0
    }

    /// When the next frame was captured.
    pub(super) fn next_time(&self) -> Option<Time> {
        if let Some((time, _)) = self.before.front() {
            return Some(*time);
        }
        let (timestamp, _) = self.current.first_key_value()?;
        Some(self.clock.time(*timestamp))
    }

    /// Takes the next frame.
    pub(super) fn pop(&mut self) -> Option<(Time, F)> {
        let next = self.before.pop_front().or_else(|| {
            let (timestamp, frame) = self.current.pop_first()?;
            Some((self.clock.place(timestamp, frame.length()), frame))
        });
        if let Some((_, frame)) = &next {
            self.bytes = self.bytes.saturating_sub(frame.bytes());
        }
        next
    }

    pub(super) fn frames(&self) -> impl Iterator<Item = &F> {
        self.before.iter().map(|(_, frame)| frame).chain(self.current.values())
    }

    pub(super) fn len(&self) -> usize {
        self.before.len() + self.current.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
