//! The place of frames on the timeline of an RTP stream.

use std::time::Duration;

use agent_proto::Time;

/// The step to the frame after a step back, at least.
const SHORTEST_STEP: Duration = Duration::from_millis(20);
/// A larger step means that another stream begins.
const LONGEST_STEP: Duration = Duration::from_secs(60);

/// Converts the timestamps of a writer into those of one stream, which only grow: a writer may change its
/// source.
#[derive(Debug)]
pub(super) struct Timeline {
    /// Units of a timestamp in a millisecond.
    per_millisecond: u32,
    /// Added to the writer's timestamps.
    offset: u32,
    /// The last timestamp, and when it was sent.
    last: Option<(u32, Time)>,
    /// Whether frames are missing before the next one.
    pause: bool,
}

impl Timeline {
    /// A stream of this many units of a timestamp in a millisecond.
    pub(super) const fn new(per_millisecond: u32) -> Self {
        Self { per_millisecond, offset: 0, last: None, pause: true }
    }

    /// A frame is not sent.
    pub(super) const fn interrupt(&mut self) {
        self.pause = true;
    }

    /// Whether frames are missing before the next one.
    pub(super) const fn is_interrupted(&self) -> bool {
        self.pause
    }

    /// Places a frame that is sent now: its timestamp, and whether frames are missing before it.
    pub(super) fn place(&mut self, of_writer: u32, now: Time) -> (u32, bool) {
        let mut timestamp = of_writer.wrapping_add(self.offset);
        if let Some((last, at)) = self.last
            && !(1..=self.units(LONGEST_STEP)).contains(&timestamp.wrapping_sub(last))
        {
            timestamp = last.wrapping_add(self.units((now - at).max(SHORTEST_STEP)));
            self.offset = timestamp.wrapping_sub(of_writer);
        }
        self.last = Some((timestamp, now));
        (timestamp, std::mem::take(&mut self.pause))
    }

    /// The units of a timestamp in this time; it wraps around as timestamps do.
    #[expect(clippy::cast_possible_truncation, reason = "timestamps wrap around")]
    const fn units(&self, time: Duration) -> u32 {
        (time.as_millis() * self.per_millisecond as u128) as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    fn place(timeline: &mut Timeline, timestamp: u32, millis: u64) -> (u32, bool) {
        timeline.place(timestamp, at(millis))
    }

    #[test]
    fn frames_keep_their_distances() {
        let mut timeline = Timeline::new(48);
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
        let mut timeline = Timeline::new(48);
        place(&mut timeline, 1_000_000, 0);
        // Back, and the next one of that source.
        assert_eq!(place(&mut timeline, 7, 100).0, 1_000_000 + 4_800);
        assert_eq!(place(&mut timeline, 967, 120).0, 1_000_000 + 5_760);
        // The same again.
        assert_eq!(place(&mut timeline, 967, 120).0, 1_000_000 + 6_720);
        // Far ahead.
        assert_eq!(place(&mut timeline, 2_000_000_000, 220).0, 1_000_000 + 11_520);
    }

    proptest! {
        #[test]
        fn time_never_goes_back(frames in prop::collection::vec((any::<u32>(), 0u64..100_000), 1..50)) {
            let (mut timeline, mut now, mut last) = (Timeline::new(48), 0, None);
            for (timestamp, pause) in frames {
                now += pause;
                let (placed, _) = place(&mut timeline, timestamp, now);
                if let Some(last) = last {
                    let step = placed.wrapping_sub(last);
                    prop_assert!((1..=100_000 * 48).contains(&step), "{step}");
                }
                last = Some(placed);
            }
        }
    }
}
