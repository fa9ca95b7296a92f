//! When frames were captured, on the clock of the recording.
//!
//! Timestamps of audio and video begin anywhere, so they are compared with the times at which frames came:
//! the fastest frames give the difference. Audio and video take the same path, so their network delay is
//! about the same; but pictures take longer to encode. Once the publisher has reported when frames of both
//! were captured, video is aligned with the audio by these reports.

use std::time::Duration;

use agent_proto::Time;

/// How long the fastest frame counts: at least this, and at most twice as long.
const WINDOW: Duration = Duration::from_secs(5);

/// A stream that was silent for longer may have stopped its timestamps. If it is late by more than half of it
/// afterwards, earlier frames no longer count.
const PAUSE: Duration = Duration::from_secs(1);
const LATE: i64 = 500_000_000;

/// How far the difference may be off before it is corrected: clocks drift, and network paths change.
const TOLERANCE: i64 = 20_000_000;
/// The same for times that the publisher has reported, which are exact.
const REPORTED_TOLERANCE: i64 = 5_000_000;
/// How far the publisher's reports may differ from the times of arrival: more is another clock, not a delay.
const MAX_CORRECTION: i64 = 500_000_000;

/// The clock of a stream of frames.
#[derive(Clone, Debug)]
pub(super) struct SourceClock {
    /// The least difference of arrival and timestamp in ns, in this window and the one before.
    recent: i64,
    before: i64,
    window_end: Time,
    last: Time,
    /// Whether this window begins after a pause.
    resumed: bool,
    /// The difference that is used.
    used: Option<i64>,
    /// The difference of the publisher's clock and the timestamp, as it was reported last.
    reported: Option<i64>,
    /// The difference of our time and the publisher's clock, as the stream beside this one has it.
    publisher: Option<i64>,
}

impl SourceClock {
    pub(super) fn new() -> Self {
        Self {
            recent: i64::MAX,
            before: i64::MAX,
            window_end: Time::ZERO,
            last: Time::ZERO,
            resumed: false,
            used: None,
            reported: None,
            publisher: None,
        }
    }

    /// The publisher has reported when the frame with this timestamp was captured, on its clock.
    pub(super) fn report(&mut self, timestamp: Duration, captured: Duration) {
        self.reported = Some(duration_nanos(captured).saturating_sub(duration_nanos(timestamp)));
    }

    /// The difference of our time and the publisher's clock, once it has reported.
    pub(super) fn publisher(&self) -> Option<i64> {
        Some(self.used?.saturating_sub(self.reported?))
    }

    /// Places frames by the publisher's clock, whose difference of our time another stream has measured.
    pub(super) fn align(&mut self, publisher: Option<i64>) {
        self.publisher = publisher;
    }

    /// A frame has come.
    pub(super) fn observe(&mut self, timestamp: Duration, now: Time) {
        let paused = std::mem::replace(&mut self.last, now) + PAUSE < now;
        if paused || now >= self.window_end {
            let recent = std::mem::replace(&mut self.recent, i64::MAX);
            self.before = if paused { recent.min(self.before) } else { recent };
            self.window_end = now + WINDOW;
            self.resumed = paused;
        }
        self.recent = self.recent.min(nanos(now).saturating_sub(duration_nanos(timestamp)));
    }

    /// When a frame was captured, plus the transit time of the fastest frames.
    pub(super) fn time(&mut self, timestamp: Duration) -> Time {
        let stood_still = self.resumed && self.recent.saturating_sub(self.before) > LATE;
        let least = if stood_still { self.recent } else { self.recent.min(self.before) };
        let by_report = self.reported.zip(self.publisher).map(|(at, by)| at.saturating_add(by));
        let is_likely = |by_report: &i64| by_report.saturating_sub(least).saturating_abs() <= MAX_CORRECTION;
        let (target, tolerance) = match by_report.filter(is_likely) {
            Some(by_report) => (by_report, REPORTED_TOLERANCE),
            None => (least, TOLERANCE),
        };
        let is_near = |used: &i64| used.saturating_sub(target).saturating_abs() <= tolerance;
        let used = self.used.filter(is_near).unwrap_or(target);
        self.used = Some(used);
        let time = duration_nanos(timestamp).saturating_add(used);
        Time::from_nanos(u64::try_from(time).unwrap_or_default())
    }
}

fn nanos(time: Time) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

fn duration_nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Timestamps of RTP as durations that do not wrap around.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unwrapped {
    last: Option<u64>,
}

impl Unwrapped {
    /// Units of 1/48,000 s. The first one is in the middle of the range, so that earlier ones have a place.
    pub(super) fn audio(&mut self, timestamp: u32) -> Duration {
        const MIDDLE: u64 = 1 << 40;
        let last = self.last.unwrap_or(MIDDLE | u64::from(timestamp));
        // The nearest time with this timestamp is meant.
        let step = timestamp.wrapping_sub(last as u32).cast_signed();
        let units = last.saturating_add_signed(i64::from(step));
        self.last = Some(units);
        Duration::from_nanos(units.saturating_mul(62_500) / 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_fastest_frames_give_the_capture_times_of_all() {
        let mut clock = SourceClock::new();
        for (number, delay) in [80, 30, 90, 35, 120].into_iter().enumerate() {
            let captured = ms(20 * number as u64);
            clock.observe(ms(7_000) + captured, Time::ZERO + ms(1_000) + captured + ms(delay));
        }
        assert_eq!(clock.time(ms(7_000)), Time::ZERO + ms(1_030));
        assert_eq!(clock.time(ms(7_040)), Time::ZERO + ms(1_070));
        // A slightly faster frame changes nothing, as sound would have to be left out.
        clock.observe(ms(7_100), Time::ZERO + ms(1_115));
        assert_eq!(clock.time(ms(7_100)), Time::ZERO + ms(1_130));
        clock.observe(ms(7_120), Time::ZERO + ms(1_120 + 5));
        assert_eq!(clock.time(ms(7_120)), Time::ZERO + ms(1_125));
    }

    #[test]
    fn reports_of_the_publisher_are_used_once_both_streams_have_one() {
        let (mut audio, mut video) = (SourceClock::new(), SourceClock::new());
        audio.observe(ms(5_000), Time::ZERO + ms(1_030));
        // Captured at the same time, and encoded 60 ms longer.
        video.observe(ms(90_000), Time::ZERO + ms(1_090));
        assert_eq!((audio.time(ms(5_000)), audio.publisher()), (Time::ZERO + ms(1_030), None));
        video.align(audio.publisher());
        assert_eq!(video.time(ms(90_000)), Time::ZERO + ms(1_090));
        audio.report(ms(5_000), ms(1_700_000_000_000));
        video.align(audio.publisher());
        assert_eq!(video.time(ms(90_000)), Time::ZERO + ms(1_090), "its own report is missing");
        video.report(ms(90_040), ms(1_700_000_000_040));
        assert_eq!(video.time(ms(90_040)), Time::ZERO + ms(1_070));
        // Reports are not exact to the last.
        video.report(ms(90_080), ms(1_700_000_000_083));
        assert_eq!(video.time(ms(90_080)), Time::ZERO + ms(1_110));
        // Of another clock.
        video.report(ms(90_120), ms(1_700_000_009_000));
        assert_eq!(video.time(ms(90_120)), Time::ZERO + ms(1_210));
    }

    #[test]
    fn a_clock_that_is_slow_is_followed() {
        let mut clock = SourceClock::new();
        let mut times = Vec::new();
        for second in 0..600 {
            // A thousandth slower.
            let timestamp = ms(second * 999);
            let now = Time::ZERO + ms(second * 1_000);
            clock.observe(timestamp, now);
            times.push((clock.time(timestamp), now));
        }
        for (time, now) in times {
            assert!(now - time <= ms(35) && time - now == ms(0), "{time} {now}");
        }
    }

    #[test]
    fn rtp_wraps_around() {
        let mut times = Unwrapped::default();
        let first = times.audio(u32::MAX - 479);
        assert_eq!(times.audio(480) - first, ms(20));
        assert_eq!(first - times.audio(u32::MAX - 479 - 48_000), ms(1_000));
        assert_eq!(times.audio(48_000 * 3_600) - first, Duration::from_secs(3_600) + ms(10));
    }
}
