//! `JitterBuffer`: which packets are taken, and when they are played.

use std::collections::VecDeque;
use std::time::Duration;

use agent_proto::Time;

use super::delay::DelayEstimate;
use super::options::{JitterOptions, JitterStats};
use super::packet::{EncodedPacket, Playout};
use super::player::Player;
use super::reorder::{Reorder, Waiting};
use crate::opus_packet;

/// A number may be lower than the highest one by less than this: for as many
/// numbers it is known whether their packet has come.
const MAX_BEHIND: i64 = 127;

/// A number may be higher than the highest one by this: 20 s.
const MAX_AHEAD: i64 = 1_000;

/// A timestamp may be this early, in nanoseconds.
const MAX_EARLY: i64 = 500_000_000;

/// A timestamp may be this late, in nanoseconds: the stream pauses before.
const MAX_TARDY: i64 = 2_000_000_000;

/// Packets that are repeated by the network after an outage are at most this late, in nanoseconds.
const MAX_REPAIRED: i64 = 60_000_000_000;

/// The second packet after a jump may follow the first one by this.
const MAX_STEP: u64 = 16;

/// Puts the packets of one track in order, and decides what is played when.
///
/// Packets wait as long as 97 % of those of the last seconds were late, compared with the fastest ones, and
/// never longer than the [bound](JitterOptions::max_delay). What is missing then is rebuilt from the next
/// packet or concealed. If all packets become later than the bound, as those of a source that had no frames
/// for a while or of a network that has become slower, they are played from there on. While the sender is
/// silent (DTX), silence is played; one second after the last packet the stream pauses, for example while a
/// track is muted, and nothing is played until packets come again.
///
/// A machine of the same contract as the others: after each call [`poll_output`](Self::poll_output) is
/// drained, and [`handle_timeout`](Self::handle_timeout) is called at [`poll_timeout`](Self::poll_timeout).
///
/// ```
/// use agent_media::{EncodedPacket, JitterBuffer, JitterOptions, PlayoutSound};
/// use agent_proto::Time;
/// use std::time::Duration;
///
/// let mut buffer = JitterBuffer::new(JitterOptions::default());
/// buffer.push(EncodedPacket::new(&b"\xf8\xff\xfe"[..], 7, 960), Time::ZERO);
/// let due = buffer.poll_timeout().expect("a packet waits");
/// assert!(due >= Time::ZERO + Duration::from_millis(10), "the least delay");
/// assert!(due <= Time::ZERO + Duration::from_millis(13));
/// buffer.handle_timeout(due);
/// let playout = buffer.poll_output().expect("its time has come");
/// assert!(matches!(playout.sound, PlayoutSound::Packet { sequence: 7, .. }));
/// assert_eq!(playout.duration(), Duration::from_millis(20));
/// ```
#[derive(Clone, Debug)]
pub struct JitterBuffer {
    source: Option<u32>,
    timestamps: Timestamps,
    packets: Reorder,
    delay: DelayEstimate,
    player: Player,
    /// Number and timestamp of a packet that did not fit into the stream. If the next one follows it, a new
    /// stream has begun.
    stray: Option<(u64, u32)>,
    outputs: VecDeque<Playout>,
    now: Time,
    stats: JitterStats,
}

impl JitterBuffer {
    /// An empty buffer.
    #[must_use]
    pub fn new(options: JitterOptions) -> Self {
        Self {
            source: None,
            timestamps: Timestamps::default(),
            packets: Reorder::default(),
            delay: DelayEstimate::new(options),
            player: Player::new(),
            stray: None,
            outputs: VecDeque::new(),
            now: Time::ZERO,
            stats: JitterStats::default(),
        }
    }

    /// Takes a packet. First, everything is played that was due before it arrived.
    ///
    /// Packets that waited in a queue between two calls keep their times of arrival, and are all pushed
    /// before the next call of [`handle_timeout`](Self::handle_timeout): so none of them counts as late. An
    /// arrival after `now` counts as `now`, which never goes back.
    pub fn push(&mut self, packet: EncodedPacket, now: Time) {
        let received = packet.received.min(now);
        while self.due().is_some_and(|due| due < received) {
            self.step();
        }
        self.stats.received += 1;
        self.take(packet, received);
    }

    /// A queue before this buffer dropped packets, which are older than the next one that is pushed. When
    /// what waits has been played, the stream pauses until then: nothing is concealed, and nothing counts as
    /// lost.
    pub fn note_dropped(&mut self, packets: u64) {
        self.stats.dropped_before = self.stats.dropped_before.saturating_add(packets);
        self.player.packets_dropped(packets);
    }

    /// Plays everything that is due.
    pub fn handle_timeout(&mut self, now: Time) {
        self.now = self.now.max(now);
    }

    /// What is played next, in this order.
    pub fn poll_output(&mut self) -> Option<Playout> {
        while self.outputs.is_empty() && self.due().is_some_and(|due| due <= self.now) {
            self.step();
        }
        self.outputs.pop_front()
    }

    /// When the next piece is due; `None` as long as the stream pauses.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        match self.outputs.is_empty() {
            true => self.due(),
            false => Some(self.now),
        }
    }

    /// What has been counted so far.
    #[must_use]
    pub fn stats(&self) -> JitterStats {
        let duration = |nanos: i64| Duration::from_nanos(u64::try_from(nanos).unwrap_or(0));
        JitterStats {
            delay: duration(self.player.delay(&self.delay).unwrap_or(0)),
            target: duration(self.delay.target()),
            ..self.stats
        }
    }

    /// By how many samples at 48 kHz at most the sound of the packet that was just played should become
    /// longer, or shorter if it is negative, so that the delay comes closer to its target. Zero if it need
    /// not. Quiet sound, such as that between words, is corrected more often than other sound.
    #[must_use]
    pub fn correction(&self, is_quiet: bool) -> i64 {
        self.player.correction(&self.delay, is_quiet)
    }

    /// The sound of the packet that was just played became longer by this many samples at 48 kHz, or shorter
    /// if the number is negative: what follows is due later or earlier by as much.
    pub fn stretched(&mut self, by: i64) {
        self.player.stretched(by);
    }

    fn due(&self) -> Option<Time> {
        self.player.due(&self.packets, &self.delay)
    }

    fn step(&mut self) {
        let playout = self.player.step(&mut self.packets, &mut self.delay, &mut self.stats);
        self.outputs.extend(playout);
    }

    fn take(&mut self, packet: EncodedPacket, received: Time) {
        let ahead = match self.packets.ahead(packet.sequence) {
            Some(ahead) if self.source == Some(packet.source) => ahead,
            _ => {
                self.begin(packet.source);
                return self.enqueue(packet, received);
            }
        };
        let dropped = i64::try_from(self.player.dropped()).unwrap_or(i64::MAX);
        let is_near = (-MAX_BEHIND..=MAX_AHEAD.saturating_add(dropped)).contains(&ahead);
        if self.player.is_paused() {
            // Timestamps may have stopped or advanced in the meantime.
            match is_near {
                true if ahead > 0 => {
                    self.timestamps = Timestamps::default();
                    self.delay.restart();
                    self.enqueue(packet, received);
                }
                true => self.enqueue(packet, received),
                false => self.take_stray(packet, received),
            }
            return;
        }
        let tardy = self.delay.of(received, self.timestamps.peek(packet.timestamp)).unwrap_or(0);
        if is_near && (-MAX_EARLY..=MAX_TARDY).contains(&tardy) {
            self.enqueue(packet, received);
        } else if ahead < 0 && (0..=MAX_REPAIRED).contains(&tardy) {
            self.stats.late += 1;
        } else {
            self.take_stray(packet, received);
        }
    }

    /// A packet that does not fit: garbage, or one after a jump.
    fn take_stray(&mut self, packet: EncodedPacket, received: Time) {
        let place = (packet.sequence, packet.timestamp);
        if self.stray.replace(place).is_some_and(|before| follows(before, place)) {
            self.begin(packet.source);
            self.stats.resyncs += 1;
            self.enqueue(packet, received);
        } else {
            self.stats.discarded += 1;
        }
    }

    /// A new stream: what waits belongs to the old one.
    fn begin(&mut self, source: u32) {
        self.stats.discarded += self.packets.clear();
        self.source = Some(source);
        self.stray = None;
        self.timestamps = Timestamps::default();
        self.delay.restart();
        self.player.reset();
    }

    fn enqueue(&mut self, packet: EncodedPacket, received: Time) {
        let follows_gap = self.packets.ahead(packet.sequence).is_some_and(|ahead| ahead > 1);
        if !self.packets.is_new(packet.sequence) {
            self.stats.duplicates += 1;
            return;
        }
        let samples = match packet.payload.is_empty() {
            true => 0,
            false => opus_packet::samples(&packet.payload).unwrap_or(self.player.frame()),
        };
        let has_passed = self.player.has_passed(packet.sequence);
        if self.player.is_paused() && (has_passed || samples == 0) {
            let counter = if has_passed { &mut self.stats.late } else { &mut self.stats.discarded };
            *counter += 1;
            return;
        }
        let timestamp = self.timestamps.advance(packet.timestamp);
        if samples > 0 {
            self.delay.observe(received, timestamp);
        }
        // The copy of a lost packet came late, too: where many are lost, the delay should include it.
        if follows_gap && opus_packet::has_fec(&packet.payload) {
            self.delay.observe(received, timestamp.saturating_sub(samples.into()));
        }
        if has_passed {
            self.stats.late += 1;
            return;
        }
        let waiting = Waiting { payload: packet.payload, timestamp, samples, received };
        self.stats.discarded += self.packets.insert(packet.sequence, waiting);
        self.player.packet_arrived(received);
    }
}

/// Whether a packet comes soon after another one in the same stream, by number and timestamp.
fn follows(first: (u64, u32), second: (u64, u32)) -> bool {
    let step = second.0.wrapping_sub(first.0);
    let samples = u64::from(second.1.wrapping_sub(first.1));
    (1..=MAX_STEP).contains(&step) && samples <= step.saturating_mul(opus_packet::MAX_SAMPLES.into())
}

/// Timestamps on a scale that does not wrap around, from zero.
#[derive(Clone, Debug, Default)]
struct Timestamps(Option<(u32, i64)>);

impl Timestamps {
    fn peek(&self, timestamp: u32) -> i64 {
        match self.0 {
            None => 0,
            Some((last, extended)) => {
                extended.saturating_add(i64::from(timestamp.wrapping_sub(last).cast_signed()))
            }
        }
    }

    fn advance(&mut self, timestamp: u32) -> i64 {
        let extended = self.peek(timestamp);
        self.0 = Some((timestamp, extended));
        extended
    }
}
