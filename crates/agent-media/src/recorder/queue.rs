//! Frames of a track that wait for their turn.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use agent_proto::Time;

use super::clock::SourceClock;

/// The frames of a track in the order of their times.
#[derive(Debug)]
pub(super) struct TrackQueue<F> {
    /// Of the stream that is received, by their timestamps.
    current: BTreeMap<Duration, F>,
    source: Option<u32>,
    clock: SourceClock,
    /// Of streams before that one.
    before: VecDeque<(Time, F)>,
    bytes: usize,
}

/// A frame that can be queued.
pub(super) trait QueuedFrame {
    /// Its length.
    fn bytes(&self) -> usize;
}

impl<F: QueuedFrame> TrackQueue<F> {
    pub(super) fn new() -> Self {
        Self {
            current: BTreeMap::new(),
            source: None,
            clock: SourceClock::new(),
            before: VecDeque::new(),
            bytes: 0,
        }
    }

    /// The publisher has reported when the frame with this timestamp of the current stream was captured.
    pub(super) fn report(&mut self, timestamp: Duration, captured: Option<Duration>) {
        if let Some(captured) = captured {
            self.clock.report(timestamp, captured);
        }
    }

    /// The difference of our time and the publisher's clock, if it is known.
    pub(super) fn publisher(&self) -> Option<i64> {
        self.clock.publisher()
    }

    /// Places frames by the publisher's clock.
    pub(super) fn align(&mut self, publisher: Option<i64>) {
        self.clock.align(publisher);
    }

    /// Whether a frame of this stream is the first one of it.
    pub(super) fn is_other_source(&self, source: u32) -> bool {
        self.source != Some(source)
    }

    /// Takes a frame; `false` if there is one at this time.
    pub(super) fn push(&mut self, source: u32, timestamp: Duration, frame: F, now: Time) -> bool {
        if self.is_other_source(source) {
            for (timestamp, frame) in std::mem::take(&mut self.current) {
                self.before.push_back((self.clock.time(timestamp), frame));
            }
            (self.source, self.clock) = (Some(source), SourceClock::new());
        }
        self.clock.observe(timestamp, now);
        if self.current.contains_key(&timestamp) {
            return false;
        }
        self.bytes += frame.bytes();
        self.current.insert(timestamp, frame);
        true
    }

    /// When the next frame was captured.
    pub(super) fn next_time(&mut self) -> Option<Time> {
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
            Some((self.clock.time(timestamp), frame))
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
