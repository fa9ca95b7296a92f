//! The place of frames on the timeline of an RTP stream.

use std::time::Duration;

use bytes::Bytes;

use agent_proto::Time;

use crate::{AudioLevel, OutgoingFrame};

/// Units of a timestamp in a millisecond.
const PER_MILLISECOND: u128 = 48;
/// The step to the frame after a step back, at least: 20 ms.
const SHORTEST_STEP: u32 = 960;
/// A step of more than this is none of the same stream: one minute.
const LONGEST_STEP: u32 = 60 * 48_000;

/// A frame as it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PlacedFrame {
    pub(crate) payload: Bytes,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) level: AudioLevel,
}

/// Converts the timestamps of a writer into those of one stream, which only grow: a writer may change its
/// source.
#[derive(Debug)]
pub(super) struct Timeline {
    /// Added to the writer's timestamps.
    offset: u32,
    /// The last timestamp, and when it was sent.
    last: Option<(u32, Time)>,
    /// Whether frames are missing before the next one.
    pause: bool,
}

impl Timeline {
    pub(super) const fn new() -> Self {
        Self { offset: 0, last: None, pause: true }
    }

    /// A frame is not sent.
    pub(super) const fn interrupt(&mut self) {
        self.pause = true;
    }

    /// Places a frame that is sent now.
    pub(super) fn place(&mut self, frame: OutgoingFrame, now: Time) -> PlacedFrame {
        let mut timestamp = frame.timestamp.wrapping_add(self.offset);
        if let Some((last, at)) = self.last
            && !(1..=LONGEST_STEP).contains(&timestamp.wrapping_sub(last))
        {
            timestamp = last.wrapping_add(units(now - at).max(SHORTEST_STEP));
            self.offset = timestamp.wrapping_sub(frame.timestamp);
        }
        self.last = Some((timestamp, now));
        let marker = std::mem::take(&mut self.pause) || frame.marker;
        let level = frame.audio_level.unwrap_or(AudioLevel::SILENCE);
        PlacedFrame { payload: frame.payload, timestamp, marker, level }
    }
}

/// The units of a timestamp in this time; it wraps around as timestamps do.
#[expect(clippy::cast_possible_truncation, reason = "timestamps wrap around")]
const fn units(time: Duration) -> u32 {
    (time.as_millis() * PER_MILLISECOND) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    fn place(timeline: &mut Timeline, timestamp: u32, millis: u64) -> (u32, bool) {
        let placed = timeline.place(OutgoingFrame::new("x", timestamp), at(millis));
        (placed.timestamp, placed.marker)
    }

    #[test]
    fn frames_keep_their_distances() {
        let mut timeline = Timeline::new();
        let start = u32::MAX - 100;
        assert_eq!(place(&mut timeline, start, 0), (start, true));
        assert_eq!(place(&mut timeline, start.wrapping_add(960), 19), (859, false));
        // Silence that was not sent.
        assert_eq!(place(&mut timeline, 859 + 48_000, 1_020), (48_859, false));
        timeline.interrupt();
        assert_eq!(place(&mut timeline, 48_859 + 960, 1_040), (49_819, true));
    }

    #[test]
    fn another_source_follows_in_real_time() {
        let mut timeline = Timeline::new();
        place(&mut timeline, 1_000_000, 0);
        // Back, and the next one of that source.
        assert_eq!(place(&mut timeline, 7, 100).0, 1_000_000 + 4_800);
        assert_eq!(place(&mut timeline, 967, 120).0, 1_000_000 + 5_760);
        // The same again.
        assert_eq!(place(&mut timeline, 967, 120).0, 1_000_000 + 6_720);
        // Far ahead.
        assert_eq!(place(&mut timeline, 2_000_000_000, 220).0, 1_000_000 + 11_520);
    }

    #[test]
    fn levels_and_markers_are_kept() {
        let mut timeline = Timeline::new();
        place(&mut timeline, 0, 0);
        let mut frame = OutgoingFrame::new("x", 960).level(AudioLevel::new(-20, true));
        frame.marker = true;
        let placed = timeline.place(frame, at(20));
        assert_eq!((placed.level, placed.marker), (AudioLevel::new(-20, true), true));
        let placed = timeline.place(OutgoingFrame::new("x", 1_920), at(40));
        assert_eq!((placed.level, placed.marker), (AudioLevel::SILENCE, false));
    }

    proptest! {
        #[test]
        fn time_never_goes_back(frames in prop::collection::vec((any::<u32>(), 0u64..100_000), 1..50)) {
            let (mut timeline, mut now, mut last) = (Timeline::new(), 0, None);
            for (timestamp, pause) in frames {
                now += pause;
                let (placed, _) = place(&mut timeline, timestamp, now);
                if let Some(last) = last {
                    let step = placed.wrapping_sub(last);
                    prop_assert!((1..=LONGEST_STEP.max(units(Duration::from_secs(100)))).contains(&step), "{step}");
                }
                last = Some(placed);
            }
        }
    }
}
