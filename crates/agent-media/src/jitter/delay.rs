//! How long packets should wait, by the jitter with which they arrive.

use agent_proto::Time;

use super::floor::Floor;
use super::histogram::{BINS, Histogram};
use super::options::JitterOptions;
use super::units::{nanos, signed, signed_duration};

/// The share of packets that may come later than the target.
const MAX_LATE: f32 = 0.03;

/// Added to what was measured, for timers that fire late.
const MARGIN: i64 = 2_000_000;

/// A floor that changes by more than this, in nanoseconds, does so because the network has changed, or
/// because the floor was wrong. By less, it follows a sender whose clock is fast or slow.
const JUMP: i64 = 5_000_000;

/// Compares when packets arrive with their timestamps.
///
/// The *offset* of a packet is the time of its arrival minus that of its sound. The smallest one of the last
/// two seconds is the floor: that of packets which were not delayed. The delay of a packet is its offset
/// minus the floor; the target covers 97 % of the delays.
#[derive(Clone, Debug)]
pub(super) struct DelayEstimate {
    min: i64,
    max: i64,
    floor: Floor,
    histogram: Histogram,
    /// Width of a bin.
    bin: i64,
}

impl DelayEstimate {
    pub(super) fn new(options: JitterOptions) -> Self {
        let max = signed_duration(options.max_delay.min(JitterOptions::MAX_DELAY));
        Self {
            min: signed_duration(options.min_delay).min(max),
            max,
            floor: Floor::default(),
            histogram: Histogram::default(),
            bin: (max / BINS as i64).max(1),
        }
    }

    /// Forgets the floor, as timestamps may have jumped, but not the jitter of the network.
    pub(super) fn restart(&mut self) {
        self.floor = Floor::default();
    }

    /// Adds a packet.
    pub(super) fn observe(&mut self, received: Time, timestamp: i64) {
        let offset = offset(received, timestamp);
        let before = self.floor.get();
        self.floor.add(received.as_nanos(), offset);
        let floor = self.floor();
        let risen = floor.saturating_sub(before.unwrap_or(floor));
        if !(-JUMP..=JUMP).contains(&risen) {
            self.histogram.lower(risen / self.bin);
        }
        let bin = offset.saturating_sub(floor).max(0) / self.bin;
        self.histogram.add(usize::try_from(bin).unwrap_or(BINS));
    }

    /// Packets have become later from now on: these are the ones with which others are compared. `false` if
    /// they are not later than those of before.
    pub(super) fn follow(&mut self, packets: impl Iterator<Item = (Time, i64)>) -> bool {
        let mut floor = Floor::default();
        for (received, timestamp) in packets {
            floor.add(received.as_nanos(), offset(received, timestamp));
        }
        let risen = floor.get().map_or(0, |floor| floor.saturating_sub(self.floor()));
        if risen <= 0 {
            return false;
        }
        self.floor = floor;
        // That they were later was no jitter.
        self.histogram.lower_highest(risen / self.bin);
        true
    }

    /// How much later than the fastest packets this one is, in nanoseconds. `None` if there is no other.
    pub(super) fn of(&self, received: Time, timestamp: i64) -> Option<i64> {
        Some(offset(received, timestamp).saturating_sub(self.floor.get()?))
    }

    /// How long sound waits that is played at this time, in nanoseconds.
    pub(super) fn at(&self, due: Time, timestamp: i64) -> i64 {
        offset(due, timestamp).saturating_sub(self.floor())
    }

    /// When the sound of this timestamp is to be played, in nanoseconds.
    pub(super) fn target_time(&self, timestamp: i64) -> i64 {
        self.floor().saturating_add(nanos(timestamp)).saturating_add(self.target())
    }

    /// How long packets should wait, in nanoseconds.
    pub(super) fn target(&self) -> i64 {
        let bins = i64::try_from(self.histogram.bins_below(MAX_LATE)).unwrap_or(0);
        bins.saturating_mul(self.bin).saturating_add(MARGIN).clamp(self.min, self.max)
    }

    /// The bound of the delay, in nanoseconds.
    pub(super) fn max(&self) -> i64 {
        self.max
    }

    fn floor(&self) -> i64 {
        self.floor.get().unwrap_or_default()
    }
}

fn offset(time: Time, timestamp: i64) -> i64 {
    signed(time).saturating_sub(nanos(timestamp))
}
