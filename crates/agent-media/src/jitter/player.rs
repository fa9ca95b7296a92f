//! Decides what is played when: packets in their order, and what fills the holes between them.

use std::time::Duration;

use agent_proto::Time;

use super::delay::DelayEstimate;
use super::media_time::MediaTime;
use super::options::JitterStats;
use super::packet::{Playout, PlayoutSound};
use super::reorder::{Reorder, Waiting};
use super::units::{FRAME, STEP, duration, moved, nanos, samples, signed, whole_steps};
use crate::opus_packet;

/// Concealed at once while it is unknown whether a packet is lost or late: 10 ms. A late one is then played
/// at most this much later than necessary.
const CONCEALED_AT_ONCE: i64 = 480;

/// How much sound is concealed without packets, 120 ms; then there is silence.
const MAX_CONCEALED: i64 = 5_760;

/// Without packets for 1 s the stream pauses. With DTX, senders refresh the noise every 400 ms.
const PAUSED_AFTER: i64 = 48_000;

/// Too late packets wait until one has come whose sound begins 40 ms after that of the first one: it shows
/// whether they were held up, and come faster than in real time, or all packets are later from now on.
const SHOWN_AFTER: i64 = 1_920;

/// How late the next one of them may be, in nanoseconds.
const NEXT_LATE: i64 = 40_000_000;

/// How much shorter than its target the delay may be without a correction, in nanoseconds.
const TOO_SHORT: i64 = 1_500_000;

/// How much longer it may be, as a negative number: more than lengthening may overshoot, so that it is not
/// followed by shortening.
const TOO_LONG: i64 = -5_500_000;

/// How far the delay may be from its target in a pause of speech, in nanoseconds.
const TOLERANCE: i64 = 1_000_000;

/// How much lengthening may overshoot, 5 ms: sound is only lengthened by whole periods of its pitch.
const EXCESS: i64 = 240;

/// The delay is not reduced for this long after a late packet has increased it.
const AFTER_LATE: Duration = Duration::from_secs(2);

/// The delay is not reduced for this long after it was.
const AFTER_SHORTENING: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is played.
    Paused,
    /// The first packets have come, and wait for their time: the first one came at `since`.
    Starting {
        since: Time,
        latest_arrival: Time,
    },
    Playing,
}

/// What kind of sound was played last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Packet,
    MadeUp,
    Silence,
}

/// Why packets are too late to be played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tardiness {
    /// They were held up, or it is only these: what follows is in time.
    Passing,
    /// All packets are later from now on.
    Lasting,
    /// The next ones will show it.
    Unknown,
}

/// The position in a stream, and the time until which it has been played.
#[derive(Clone, Debug)]
pub(super) struct Player {
    state: State,
    /// When everything so far has been played.
    end: Time,
    /// The number of the next packet; `None` if any packet may be next.
    next: Option<u64>,
    /// The timestamp of what comes next.
    position: i64,
    /// The timestamp at which the packet `next` begins, unless the sender pauses before it.
    next_begins: i64,
    /// Samples since the last packet.
    made_up: i64,
    /// Samples of the last packet.
    frame: i64,
    last: Last,
    /// Whether the last packet announced that nothing follows.
    is_dtx: bool,
    is_new_stream: bool,
    /// Number of the missing packets that were dropped before they came here.
    dropped: u64,
    /// The delay is not reduced before this time.
    kept_until: Time,
    media: MediaTime,
}

impl Player {
    pub(super) fn new() -> Self {
        Self {
            state: State::Paused,
            end: Time::ZERO,
            next: None,
            position: 0,
            next_begins: 0,
            made_up: 0,
            frame: i64::from(FRAME),
            last: Last::Silence,
            is_dtx: false,
            is_new_stream: true,
            dropped: 0,
            kept_until: Time::ZERO,
            media: MediaTime::default(),
        }
    }

    /// Stops for a new stream, with numbers and timestamps of its own.
    pub(super) fn reset(&mut self) {
        self.state = State::Paused;
        self.next = None;
        self.dropped = 0;
        self.is_new_stream = true;
    }

    pub(super) fn is_paused(&self) -> bool {
        self.state == State::Paused
    }

    /// Whether the packet of this number is too late.
    pub(super) fn has_passed(&self, sequence: u64) -> bool {
        self.next.is_some_and(|next| sequence < next)
    }

    /// Samples of the last packet.
    pub(super) fn frame(&self) -> u32 {
        u32::try_from(self.frame).unwrap_or(FRAME)
    }

    /// A packet waits.
    pub(super) fn packet_arrived(&mut self, received: Time) {
        match &mut self.state {
            State::Paused => self.state = State::Starting { since: received, latest_arrival: received },
            State::Starting { latest_arrival, .. } => *latest_arrival = (*latest_arrival).max(received),
            State::Playing => {}
        }
    }

    /// The next packets were dropped before they came here: no sound is made up for them.
    pub(super) fn packets_dropped(&mut self, count: u64) {
        self.dropped = self.dropped.saturating_add(count);
    }

    /// How many packets were dropped whose time has not come yet.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// When the next piece is due.
    pub(super) fn due(&self, packets: &Reorder, delay: &DelayEstimate) -> Option<Time> {
        match self.state {
            State::Paused => None,
            State::Playing => Some(self.end),
            State::Starting { since, latest_arrival } => {
                let (_, first) = packets.first()?;
                let target = moved(Time::ZERO, delay.target_time(first.timestamp));
                Some(target.min(moved(since, delay.max())).max(latest_arrival).max(self.end))
            }
        }
    }

    /// How long sound waits now, compared with that of the fastest packets, in nanoseconds.
    pub(super) fn delay(&self, delay: &DelayEstimate) -> Option<i64> {
        (self.state == State::Playing).then(|| delay.at(self.end, self.position))
    }

    /// The next piece; `None` if the stream pauses.
    pub(super) fn step(
        &mut self,
        packets: &mut Reorder,
        delay: &mut DelayEstimate,
        stats: &mut JitterStats,
    ) -> Option<Playout> {
        let due = self.due(packets, delay)?;
        if self.state != State::Playing {
            self.start(due, packets, stats);
        }
        loop {
            let Some((_, first)) = packets.first() else { return self.without_packets(due, stats) };
            let gap = whole_steps(first.timestamp.saturating_sub(self.position));
            let playout = match gap >= STEP {
                true => self.before_packet(due, gap, packets, delay, stats),
                false => self.play(due, packets, delay, stats),
            };
            if playout.is_some() {
                return playout;
            }
        }
    }

    /// By how many samples at most the sound of the last packet should become longer, or shorter if it is
    /// negative, so that the delay comes closer to its target. In quiet sound every correction is welcome.
    pub(super) fn correction(&self, delay: &DelayEstimate, is_quiet: bool) -> i64 {
        let Some(current) = self.delay(delay).filter(|_| self.last == Last::Packet) else { return 0 };
        let missing = delay.target().saturating_sub(current);
        let wanted = match missing {
            TOO_SHORT.. if !is_quiet => samples(missing).saturating_add(EXCESS),
            ..=TOO_LONG if self.end >= self.kept_until => samples(missing),
            _ if is_quiet && missing.abs() > TOLERANCE => samples(missing),
            _ => 0,
        };
        wanted.clamp(-self.frame, self.frame)
    }

    /// What was played last became longer by this many samples, or shorter if it is negative.
    pub(super) fn stretched(&mut self, by: i64) {
        self.end = moved(self.end, nanos(by.clamp(-self.frame, self.frame)));
        if by < 0 {
            self.kept_until = self.end + AFTER_SHORTENING;
        }
    }

    /// The first packet begins, now or after a pause.
    fn start(&mut self, due: Time, packets: &Reorder, stats: &mut JitterStats) {
        let Some((sequence, first)) = packets.first() else { return };
        self.pass(sequence, stats);
        self.dropped = 0;
        self.position = first.timestamp;
        self.next_begins = first.timestamp;
        self.made_up = 0;
        self.media.continue_at(first.timestamp, due - self.end);
        self.end = due;
        self.state = State::Playing;
    }

    /// The time of the first waiting packet has come; `None` if it is not played, or not yet.
    fn play(
        &mut self,
        due: Time,
        packets: &mut Reorder,
        delay: &mut DelayEstimate,
        stats: &mut JitterStats,
    ) -> Option<Playout> {
        let (sequence, first) = packets.first()?;
        let (begins, length) = (first.timestamp, i64::from(first.samples));
        if self.last == Last::Silence && length > 0 {
            let early = samples(delay.target_time(begins).saturating_sub(signed(due)));
            let early = whole_steps(early).min(i64::from(FRAME));
            if early >= STEP {
                return Some(self.hand_out(due, early, PlayoutSound::Silence { is_dtx: self.is_dtx }));
            }
        }
        if length > 0 && delay.at(due, begins) > delay.max() {
            match self.tardiness(due, packets, delay) {
                Tardiness::Unknown => return Some(self.wait(due, stats)),
                Tardiness::Lasting if self.follow(begins, packets, delay) => return None,
                Tardiness::Lasting | Tardiness::Passing => {}
            }
        }
        let (_, packet) = packets.pop()?;
        self.pass(sequence, stats);
        self.next = Some(sequence.saturating_add(1));
        if length == 0 {
            stats.discarded += 1;
            return None;
        }
        let ends = begins.saturating_add(length);
        self.next_begins = ends;
        if delay.at(due, begins) > delay.max() {
            stats.late += 1;
            self.position = self.position.max(ends);
            return None;
        }
        if self.position.saturating_sub(begins) >= STEP {
            self.kept_until = due + AFTER_LATE;
        }
        self.position = begins;
        self.made_up = 0;
        self.frame = length;
        self.is_dtx = opus_packet::is_dtx(&packet.payload);
        stats.played += 1;
        let playout = self.hand_out(due, length, PlayoutSound::Packet { sequence, payload: packet.payload });
        self.position = ends;
        Some(playout)
    }

    /// The waiting packets are played from this timestamp on; `false` if they would still be too late.
    fn follow(&mut self, begins: i64, packets: &Reorder, delay: &mut DelayEstimate) -> bool {
        let waiting = packets.with_sound().map(|packet| (packet.received, packet.timestamp));
        let follows = delay.follow(waiting);
        if follows {
            self.position = begins;
            self.media.continue_at(begins, Duration::ZERO);
        }
        follows
    }

    /// The first waiting packet is too late: whether those after it will be, too.
    fn tardiness(&self, due: Time, packets: &Reorder, delay: &DelayEstimate) -> Tardiness {
        let mut waiting = packets.with_sound();
        let (Some(first), Some(newest)) = (waiting.next(), packets.with_sound().next_back()) else {
            return Tardiness::Passing;
        };
        if delay.at(due, newest.timestamp) <= delay.max() {
            return Tardiness::Passing;
        }
        let after = |packet: &Waiting| packet.timestamp.saturating_sub(first.timestamp);
        match waiting.find(|packet| after(packet) >= SHOWN_AFTER) {
            Some(packet) => {
                let took = signed(packet.received).saturating_sub(signed(first.received));
                let is_real_time = took > nanos(after(packet)) / 2;
                if is_real_time { Tardiness::Lasting } else { Tardiness::Passing }
            }
            None => {
                let next_until = nanos(newest.samples.into()).saturating_add(NEXT_LATE);
                let may_come = due < moved(newest.received, next_until) && self.made_up < PAUSED_AFTER;
                if may_come { Tardiness::Unknown } else { Tardiness::Passing }
            }
        }
    }

    /// Fills the gap before the first waiting packet; `None` if a part of it was left out instead.
    fn before_packet(
        &mut self,
        due: Time,
        gap: i64,
        packets: &Reorder,
        delay: &DelayEstimate,
        stats: &mut JitterStats,
    ) -> Option<Playout> {
        let (sequence, first) = packets.first()?;
        let missing =
            i64::try_from(sequence.saturating_sub(self.next.unwrap_or(sequence))).unwrap_or(i64::MAX);
        let lost_until = self.next_begins.saturating_add(missing.saturating_mul(self.frame));
        let lost = whole_steps(lost_until.saturating_sub(self.position)).min(gap);
        if lost < STEP {
            // Nothing was sent: where the delay is best corrected.
            let surplus = samples(delay.at(due, self.position).saturating_sub(delay.target()));
            let left_out = whole_steps(surplus).min(gap);
            if left_out >= STEP {
                self.advance(left_out);
                return None;
            }
            let playout =
                self.hand_out(due, gap.min(i64::from(FRAME)), PlayoutSound::Silence { is_dtx: self.is_dtx });
            self.advance(i64::from(playout.samples));
            return Some(playout);
        }
        let copied = i64::from(first.samples);
        let has_copy = lost == gap && copied >= STEP && opus_packet::has_fec(&first.payload);
        if has_copy && gap == copied {
            stats.recovered += 1;
            let playout = self.hand_out(due, copied, PlayoutSound::Fec { next: first.payload.clone() });
            self.pass(sequence, stats);
            self.advance(copied);
            self.next_begins = self.position;
            return Some(playout);
        }
        let mut length = lost.min(self.frame);
        if has_copy && gap > copied {
            length = length.min(gap - copied);
        }
        let playout = self.make_up(due, length, stats);
        self.advance(length);
        // The packets whose place is taken are not played any more.
        let places =
            (self.position.saturating_sub(self.next_begins) / self.frame.max(STEP)).clamp(0, missing);
        self.next_begins = self.next_begins.saturating_add(places.saturating_mul(self.frame));
        let passed = self.next.unwrap_or(sequence).saturating_add(places.unsigned_abs());
        self.pass(passed, stats);
        Some(playout)
    }

    /// Nothing waits: packets are late, lost, or not sent.
    fn without_packets(&mut self, due: Time, stats: &mut JitterStats) -> Option<Playout> {
        if self.made_up >= PAUSED_AFTER || self.dropped > 0 {
            self.state = State::Paused;
            return None;
        }
        Some(self.wait(due, stats))
    }

    /// What is heard until the next packet is played, which may come at any time.
    fn wait(&mut self, due: Time, stats: &mut JitterStats) -> Playout {
        let playout = match self.is_dtx {
            true => self.hand_out(due, i64::from(FRAME), PlayoutSound::Silence { is_dtx: true }),
            false => self.make_up(due, CONCEALED_AT_ONCE, stats),
        };
        self.advance(i64::from(playout.samples));
        playout
    }

    /// Concealment, or silence when it has lasted long enough.
    fn make_up(&mut self, due: Time, length: i64, stats: &mut JitterStats) -> Playout {
        if self.made_up >= MAX_CONCEALED {
            return self.hand_out(due, length, PlayoutSound::Silence { is_dtx: false });
        }
        let playout = self.hand_out(due, length, PlayoutSound::Conceal);
        stats.concealed = stats.concealed.saturating_add(playout.duration());
        playout
    }

    /// The packets before this number are not played any more.
    fn pass(&mut self, sequence: u64, stats: &mut JitterStats) {
        let missing = sequence.saturating_sub(self.next.unwrap_or(sequence));
        if missing > 0 {
            stats.lost = stats.lost.saturating_add(missing.saturating_sub(self.dropped));
            self.dropped = 0;
        }
        self.next = Some(self.next.map_or(sequence, |next| next.max(sequence)));
    }

    /// Sound without a packet took the place of these samples.
    fn advance(&mut self, length: i64) {
        self.position = self.position.saturating_add(length);
        self.made_up = self.made_up.saturating_add(length);
    }

    /// Hands out sound that begins at `position`.
    fn hand_out(&mut self, due: Time, length: i64, sound: PlayoutSound) -> Playout {
        let samples = u32::try_from(length).unwrap_or(FRAME);
        self.end = due + duration(samples);
        self.last = match &sound {
            PlayoutSound::Packet { .. } => Last::Packet,
            PlayoutSound::Fec { .. } | PlayoutSound::Conceal => Last::MadeUp,
            PlayoutSound::Silence { .. } => Last::Silence,
        };
        let media_time = self.media.at(self.position, length);
        let is_new_stream = std::mem::take(&mut self.is_new_stream);
        Playout { due, media_time, samples, is_new_stream, sound }
    }
}
