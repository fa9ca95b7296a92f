//! When frames were captured, on the clock of the recording.
//!
//! Timestamps of audio and video begin anywhere, so they are compared with the times at which frames came:
//! the fastest frames give the difference. Audio and video take the same path, so their network delay is
//! about the same; but pictures take longer to encode. Once the publisher has reported when frames of both
//! were captured, video is aligned with the audio by these reports.
//!
//! # Corrections
//! Clocks drift and network paths change, so the difference changes, too. To follow it at once would cut
//! sound or put holes into it. Therefore packets of audio whose timestamps run on keep the difference that
//! they began with, their run's, which is corrected:
//! - before a gap of timestamps: what was lost there, or not said. The gap becomes at most nothing, and at
//!   most twice as long if it is no mere loss;
//! - when silence has been written instead of packets that came later: they follow it;
//! - in any case when frames have come more than half a second later than they are placed, for five seconds:
//!   there would be no time left to put them in order;
//! - or when they have come more than 2.5 s earlier than that, as what waits takes memory.
//!
//! A smaller error does no harm, as video has it, too: it is placed beside the audio, wherever that is, and
//! moves with it. Frames of video can be shown for a longer or shorter time, so it is corrected anywhere: by
//! reports at once, and by times of arrival when it was wrong for six seconds.
//!
//! # Jumps
//! If a timestamp is off by more than a second, both from the one before and from the time that has passed
//! since, its frame is held back. If the next frame continues it, the timestamps have jumped, and both are
//! placed after what was there; otherwise it was a stray frame.

use std::time::Duration;

use agent_proto::Time;

/// How long the fastest frame counts: at least this, and at most twice as long. All streams count the same
/// windows, so that a change of their delay has an effect on all at once.
const WINDOW: Duration = Duration::from_secs(5);

/// A stream that was silent for longer may have stopped its timestamps. If it is late by more than half of it
/// afterwards, earlier frames no longer count.
const PAUSE: Duration = Duration::from_secs(1);
const LATE: i64 = 500_000_000;

/// How far the difference may be off before it is corrected.
const TOLERANCE: i64 = 20_000_000;
/// The same for times that the publisher has reported, which are exact.
const REPORTED_TOLERANCE: i64 = 5_000_000;
/// How far the publisher's reports may differ from the times of arrival: more is another clock, not a delay.
const MAX_CORRECTION: i64 = 500_000_000;

/// A shorter gap between packets of audio is a loss, and not made longer.
const MIN_GAP: i64 = 100_000_000;
/// How much later or earlier than they are placed packets of audio may come, and for how long.
const MAX_TOO_LATE: i64 = 500_000_000;
const MAX_TOO_EARLY: i64 = 2_500_000_000;
const AUDIO_PATIENCE: Duration = Duration::from_secs(5);
/// For how long video may be wrong without reports. The fastest frames of a stream may count for one window
/// longer than those of the other, until then a change of both looks like one of video alone.
const VIDEO_PATIENCE: Duration = Duration::from_secs(6);

/// By how much a timestamp may be off.
const JUMP: i64 = 1_000_000_000;
/// The same for the one after a jump.
const CONTINUED: i64 = 100_000_000;

/// The clock of a stream of frames.
#[derive(Clone, Debug)]
pub(super) struct SourceClock {
    /// Whether frames follow each other without holes.
    is_audio: bool,
    /// The least difference of arrival and timestamp in ns, in this window and the one before.
    recent: i64,
    before: i64,
    /// When this window began.
    window: Time,
    last: Option<Arrival>,
    /// Whether this window has a pause, and what came before does not count in `recent`.
    resumed: bool,
    /// The difference that is used.
    used: Option<i64>,
    /// The timestamp at which the next frame would follow. `None`: it begins a run of its own.
    run: Option<Duration>,
    /// Since when `used` is too far off.
    off_since: Option<Time>,
    /// For the first frame: how far off the clock before this one was, and when its last frame ends, in ns.
    carried: i64,
    ended: Option<i64>,
    /// The sum of all corrections.
    corrected: i64,
    /// The difference of the publisher's clock and the timestamp, as it was reported last.
    reported: Option<i64>,
    /// The stream beside this one.
    beside: Option<Standing>,
}

/// When a frame came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) timestamp: Duration,
    pub(super) at: Time,
    /// When it was captured, if the publisher has reported it.
    pub(super) captured: Option<Duration>,
}

/// Where a stream is, for the one beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// The differences that are used, and that the fastest frames give.
    used: i64,
    least: i64,
    corrected: i64,
    reported: Option<i64>,
}

impl Arrival {
    /// Whether a later frame may be of the same count of timestamps: whether they are near, or as far from
    /// each other as the times.
    fn is_continued(self, next: Self, limit: i64) -> bool {
        let step = duration_nanos(next.timestamp).saturating_sub(duration_nanos(self.timestamp));
        let passed = duration_nanos(next.at - self.at);
        step.saturating_abs() <= limit || step.saturating_sub(passed).saturating_abs() <= limit
    }

    /// Whether the next frame confirms that timestamps have jumped to this one.
    pub(super) fn is_confirmed(self, next: Self) -> bool {
        self.is_continued(next, CONTINUED)
    }
}

impl SourceClock {
    pub(super) fn new(is_audio: bool) -> Self {
        Self {
            is_audio,
            recent: i64::MAX,
            before: i64::MAX,
            window: Time::ZERO,
            last: None,
            resumed: false,
            used: None,
            run: None,
            off_since: None,
            carried: 0,
            ended: None,
            corrected: 0,
            reported: None,
            beside: None,
        }
    }

    /// A clock of timestamps that have jumped. Audio is as far off as it was, so that nothing is lost.
    pub(super) fn following(&self) -> Self {
        let ended = self.run.zip(self.used).map(|(run, used)| duration_nanos(run).saturating_add(used));
        Self {
            ended: ended.or(self.ended).filter(|_| self.is_audio),
            carried: self
                .standing()
                .filter(|_| self.is_audio)
                .map_or(0, |at| at.used.saturating_sub(at.least)),
            corrected: self.corrected,
            beside: self.beside,
            ..Self::new(self.is_audio)
        }
    }

    /// Where this stream is, once a frame has come.
    pub(super) fn standing(&self) -> Option<Standing> {
        self.last?;
        let least = self.least();
        let used = match self.used {
            // It will be.
            Some(used) if self.stood_still() => least.saturating_add(used.saturating_sub(self.before)),
            Some(used) => used,
            None => least.saturating_add(self.carried),
        };
        Some(Standing { used, least, corrected: self.corrected, reported: self.reported })
    }

    /// Places frames beside those of another stream.
    pub(super) fn align(&mut self, beside: Option<Standing>) {
        let before = std::mem::replace(&mut self.beside, beside);
        if let (Some(used), Some(before), Some(beside)) = (&mut self.used, before, beside) {
            *used = used.saturating_add(beside.corrected.saturating_sub(before.corrected));
        }
    }

    /// Whether the timestamp of a frame has nothing to do with those before.
    pub(super) fn is_jump(&self, arrival: Arrival) -> bool {
        self.last.is_some_and(|last| !last.is_continued(arrival, JUMP))
    }

    /// Time has passed, for all streams.
    pub(super) fn advance(&mut self, now: Time) {
        if now < self.window + WINDOW {
            return;
        }
        let window = WINDOW.as_nanos() as u64;
        self.window = Time::from_nanos(now.as_nanos() / window * window);
        if self.recent < i64::MAX {
            if self.stood_still() {
                // That is not known from now on.
                self.carried = self.used.take().map_or(self.carried, |used| used.saturating_sub(self.before));
            }
            self.before = std::mem::replace(&mut self.recent, i64::MAX);
            self.resumed = false;
        }
    }

    /// A frame has come.
    pub(super) fn observe(&mut self, arrival: Arrival) {
        let (now, timestamp) = (arrival.at, duration_nanos(arrival.timestamp));
        self.advance(now);
        let reported = arrival.captured.map(|captured| duration_nanos(captured).saturating_sub(timestamp));
        self.reported = reported.or(self.reported);
        if self.last.replace(arrival).is_some_and(|last| last.at + PAUSE < now) {
            self.before = std::mem::replace(&mut self.recent, i64::MAX).min(self.before);
            self.resumed = true;
        }
        self.recent = self.recent.min(nanos(now).saturating_sub(timestamp));
        let off = self.used.map_or(0, |used| self.target().saturating_sub(used));
        let (range, patience) = match self.is_audio {
            true => (-MAX_TOO_EARLY..=MAX_TOO_LATE, AUDIO_PATIENCE),
            false if self.by_report().is_some() => (-REPORTED_TOLERANCE..=REPORTED_TOLERANCE, Duration::ZERO),
            false => (-TOLERANCE..=TOLERANCE, VIDEO_PATIENCE),
        };
        if range.contains(&off) {
            self.off_since = None;
        } else if *self.off_since.get_or_insert(now) + patience <= now {
            self.run = None;
        }
    }

    /// Whether timestamps did not run on in a pause.
    fn stood_still(&self) -> bool {
        self.resumed && self.recent.saturating_sub(self.before) > LATE
    }

    /// The difference of the fastest frames.
    fn least(&self) -> i64 {
        if self.stood_still() { self.recent } else { self.recent.min(self.before) }
    }

    /// The best difference.
    fn target(&self) -> i64 {
        let error = self.beside.map_or(0, |beside| beside.used.saturating_sub(beside.least));
        self.by_report().unwrap_or_else(|| self.least()).saturating_add(error)
    }

    /// The difference by the reports of the publisher and the fastest frames of the stream beside this one.
    fn by_report(&self) -> Option<i64> {
        let beside = self.beside?;
        let by_report = beside.least.saturating_sub(beside.reported?).saturating_add(self.reported?);
        let error = by_report.saturating_sub(self.least());
        Some(by_report).filter(|_| error.saturating_abs() <= MAX_CORRECTION)
    }

    /// The difference that is right for the next frame.
    fn difference(&self, timestamp: Duration) -> i64 {
        let target = self.target();
        let Some(used) = self.used else {
            let first = target.saturating_add(self.carried);
            let begin = duration_nanos(timestamp).saturating_add(first);
            let overlap = self.ended.map_or(0, |ended| ended.saturating_sub(begin));
            return first.saturating_add(if (0..=MAX_TOO_LATE).contains(&overlap) { overlap } else { 0 });
        };
        let off = target.saturating_sub(used);
        let tolerance = if self.by_report().is_some() { REPORTED_TOLERANCE } else { TOLERANCE };
        if off.saturating_abs() <= tolerance {
            return used;
        }
        let Some(run) = self.run.filter(|_| !self.stood_still()) else { return target };
        let gap = duration_nanos(timestamp.saturating_sub(run));
        match self.is_audio {
            true if off < 0 => used.saturating_add(off.max(-gap)),
            true if gap >= MIN_GAP => used.saturating_add(off.min(gap)),
            _ => used,
        }
    }

    /// When the next frame was captured, plus the transit time of the fastest frames.
    pub(super) fn time(&self, timestamp: Duration) -> Time {
        at(timestamp, self.difference(timestamp))
    }

    /// Places the next frame, which is so long.
    pub(super) fn place(&mut self, timestamp: Duration, length: Duration) -> Time {
        let difference = self.difference(timestamp);
        if self.stood_still() {
            // What came before the pause does not count any more.
            (self.before, self.resumed) = (self.recent, false);
        } else if let Some(used) = self.used {
            self.corrected = self.corrected.saturating_add(difference.saturating_sub(used));
        }
        (self.used, self.carried, self.ended) = (Some(difference), 0, None);
        let end = timestamp.saturating_add(length);
        self.run = Some(self.run.map_or(end, |run| run.max(end)));
        at(timestamp, difference)
    }

    /// Places all frames from now on later by this time.
    pub(super) fn put_off(&mut self, by: Duration) {
        let by = duration_nanos(by);
        match &mut self.used {
            Some(used) => *used = used.saturating_add(by),
            None => {
                self.carried = self.carried.saturating_add(by);
                self.ended = self.ended.map(|ended| ended.saturating_add(by));
            }
        }
        self.corrected = self.corrected.saturating_add(by);
    }
}

/// The time of a timestamp.
fn at(timestamp: Duration, difference: i64) -> Time {
    let time = duration_nanos(timestamp).saturating_add(difference);
    Time::from_nanos(u64::try_from(time).unwrap_or_default())
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
