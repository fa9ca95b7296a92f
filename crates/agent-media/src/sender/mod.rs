//! Sending sound in real time: PCM in, paced encoded packets out.
//!
//! Samples wait in a bounded queue and are encoded when their time has come: the first packet at once, the
//! next one a period later, and so on. The times follow from the first one, so that nothing drifts; packets
//! are never ahead of real time by more than one of them.
//!
//! - **Nothing to send.** The clock continues. Sound that comes up to two periods late is sent at once, and
//!   the following packets at their times: a source that jitters adds no delay. If it comes later there was a
//!   pause: the first packet is sent at once, its timestamp has advanced by the pause, and it has the marker.
//! - **A rest that always waits.** The pieces of a source in real time may get out of step with the packets,
//!   as those of a jitter buffer do: then a part of a packet waits each time for the next piece. It is left
//!   out when it is silence (below -55 dBFS), so that later sound has less delay.
//! - **The last samples** that are no whole packet, and what a resampler holds back, wait two periods for
//!   more, as a source may jitter by that. Then they are sent with silence after them, and follow what was
//!   sent before without a hole.
//! - **Silence** that the encoder makes a packet of at most 2 bytes of (DTX), and everything while the sender
//!   is muted, is not sent. Its time passes nevertheless.

mod options;
mod output;
mod pcm_queue;
mod schedule;
mod surplus;

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use agent_proto::Time;

pub use options::{AudioSenderOptions, FrameDuration};
pub use output::{AudioSenderOutput, AudioSenderStats, OutgoingPacket, Pushed};

use crate::opus_packet;
use crate::{AudioCodec, AudioEncoder, AudioFormat, CodecError, EncoderOptions, FormatError, Level};
use pcm_queue::PcmQueue;
use schedule::Schedule;
use surplus::Surplus;

/// How many periods the last samples wait for more.
const PATIENCE: u32 = 2;

/// Sends PCM in real time. A machine: see the contract in ARCHITECTURE.md.
///
/// ```
/// use agent_media::{AudioFormat, AudioSender, AudioSenderOptions, AudioSenderOutput, RopusCodec};
/// use agent_proto::Time;
/// use std::time::Duration;
///
/// let mut sender = AudioSender::new(&RopusCodec, AudioSenderOptions::new())?;
/// // 30 ms of a source with 16 kHz.
/// let pushed = sender.push(AudioFormat::MONO_16K, &[100; 480], Time::ZERO)?;
/// assert_eq!(pushed.frames, 480);
/// assert!(matches!(sender.poll_output(), Some(AudioSenderOutput::Packet(packet)) if packet.timestamp == 0));
/// assert_eq!(sender.poll_output(), None);
///
/// // The rest waits for more sound, until two periods after it was due.
/// let later = Time::ZERO + Duration::from_millis(60);
/// assert_eq!(sender.poll_timeout(), Some(later));
/// sender.handle_timeout(later);
/// assert!(matches!(sender.poll_output(), Some(AudioSenderOutput::Packet(packet)) if packet.timestamp == 960));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct AudioSender {
    format: AudioFormat,
    period: Duration,
    encoder: Box<dyn AudioEncoder>,
    queue: PcmQueue,
    schedule: Schedule,
    surplus: Surplus,
    muted: bool,
    /// When the next packet was complete.
    ready: Time,
    /// When samples came last.
    last_push: Time,
    /// Whether these were the last ones of the sound.
    complete: bool,
    /// Whether something was sent since everything had been played.
    playing: bool,
    /// How many samples of each channel were sent before the last packet, and in it.
    sent: (u64, u64),
    outputs: VecDeque<AudioSenderOutput>,
    stats: AudioSenderStats,
    samples: Vec<i16>,
    packet: Vec<u8>,
}

impl AudioSender {
    /// A sender with an encoder of this codec.
    ///
    /// # Errors
    /// What the codec refuses: a sample rate that Opus does not have.
    pub fn new(codec: &dyn AudioCodec, options: AudioSenderOptions) -> Result<Self, CodecError> {
        let AudioSenderOptions { format, encoder, frame, .. } = options;
        let period = frame.duration();
        Ok(Self {
            format,
            period,
            encoder: codec.encoder(format, &encoder)?,
            queue: PcmQueue::new(format, options.queue_limit()),
            schedule: Schedule::new(period),
            surplus: Surplus::new(),
            muted: false,
            ready: Time::ZERO,
            last_push: Time::ZERO,
            complete: false,
            playing: false,
            sent: (0, 0),
            outputs: VecDeque::new(),
            stats: AudioSenderStats::default(),
            samples: vec![0; format.samples_in(period)],
            packet: Vec::new(),
        })
    }

    /// Queues interleaved samples of any format: as many as there is room for. What is due is sent.
    ///
    /// # Errors
    /// [`FormatError::Interleaving`] if the last samples of a channel are missing: nothing was taken.
    pub fn push(&mut self, format: AudioFormat, samples: &[i16], now: Time) -> Result<Pushed, FormatError> {
        let channels = format.channels();
        if !samples.len().is_multiple_of(usize::from(channels)) {
            return Err(FormatError::Interleaving { samples: samples.len(), channels });
        }
        self.send_due(now);
        self.leave_out(now);
        let mut rest = samples;
        while !rest.is_empty() {
            let frames = self.ready_at(now, |sender| sender.queue.push(format, rest))?;
            if frames == 0 {
                break;
            }
            rest = rest.get(frames * usize::from(channels)..).unwrap_or_default();
            self.last_push = now;
            self.complete = false;
            // What is due makes room.
            self.send_due(now);
        }
        self.handle_timeout(now);
        let frames = (samples.len() - rest.len()) / usize::from(channels);
        Ok(Pushed { frames, room_in: (!rest.is_empty()).then(|| self.due(now) - now) })
    }

    /// Sends what is due: also the last samples, if they have waited long enough for more.
    pub fn handle_timeout(&mut self, now: Time) {
        self.send_due(now);
        if !self.is_ready() && !self.queue.is_empty() && self.flush_at() <= now {
            self.complete();
            self.send_due(now);
            if !self.is_ready() && !self.queue.is_empty() && self.due(now) <= now {
                self.send(now);
            }
        }
        if self.playing && self.queue.is_empty() && self.schedule.due().is_some_and(|due| due <= now) {
            self.playing = false;
            self.outputs.push_back(AudioSenderOutput::PlayedOut);
        }
    }

    /// Declares that the sound is complete: its last samples are sent at their time, without waiting for
    /// more.
    pub fn flush(&mut self, now: Time) {
        self.complete();
        self.handle_timeout(now);
    }

    /// Removes everything that was not sent yet, so that an agent stops speaking at once; returns how long it
    /// was. A packet that was sent is played to its end.
    pub fn clear(&mut self, now: Time) -> Duration {
        let cleared = self.queue.clear();
        self.handle_timeout(now);
        cleared
    }

    /// The next output, in order.
    pub fn poll_output(&mut self) -> Option<AudioSenderOutput> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do; `None`: nothing without samples.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.is_ready() {
            return self.schedule.due();
        }
        if !self.queue.is_empty() {
            return Some(self.flush_at());
        }
        self.schedule.due().filter(|_| self.playing)
    }

    /// Stops or resumes sending. While it is muted, samples are taken and removed at their times.
    pub fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Changes the options of the encoder.
    ///
    /// # Errors
    /// What the codec refuses.
    pub fn configure(&mut self, options: &EncoderOptions) -> Result<(), CodecError> {
        self.encoder.configure(options)
    }

    /// How long it takes until everything has been played that was pushed.
    #[must_use]
    pub fn queued_duration(&self, now: Time) -> Duration {
        self.schedule.due().map_or(Duration::ZERO, |due| due - now) + self.queue.duration()
    }

    /// How much of what was pushed has been played: what was cleared does not count.
    #[must_use]
    pub fn position(&self, now: Time) -> Duration {
        let (before, last) = self.sent;
        let left = self.schedule.due().map_or(Duration::ZERO, |due| due - now);
        let played = self.format.frames_in(self.period.saturating_sub(left)) as u64;
        self.format.duration_of(usize::try_from(before + played.min(last)).unwrap_or(usize::MAX))
    }

    /// Whether everything that was pushed has been played, or cleared.
    #[must_use]
    pub fn is_played_out(&self, now: Time) -> bool {
        self.queue.is_empty() && self.queued_duration(now).is_zero()
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(&self) -> AudioSenderStats {
        self.stats
    }

    /// Adds to the queue, and remembers when the next packet is complete.
    fn ready_at<R>(&mut self, now: Time, add: impl FnOnce(&mut Self) -> R) -> R {
        let was_ready = self.is_ready();
        let result = add(self);
        if !was_ready {
            self.ready = now;
        }
        result
    }

    /// The end of the sound is in the queue, and waits for no more. It was there when its last samples came.
    fn complete(&mut self) {
        self.ready_at(self.last_push, |sender| sender.queue.flush());
        self.complete = true;
    }

    /// Removes what waits without need, if it is silence.
    fn leave_out(&mut self, now: Time) {
        let surplus = self.surplus.observe(self.queue.len(), now);
        // More than a packet waits for its time, as the source is faster than real time.
        if surplus == 0 || surplus >= self.samples.len() || !self.queue.remove_silence(surplus) {
            return;
        }
        self.surplus.removed();
        let frames = surplus / usize::from(self.format.channels());
        let left_out = self.format.duration_of(frames);
        // It counts as played, and its time passes.
        self.sent.0 += frames as u64;
        self.schedule.leave_out(left_out);
        self.stats.left_out = self.stats.left_out.saturating_add(left_out);
    }

    /// Whether a whole packet is queued.
    fn is_ready(&self) -> bool {
        self.queue.len() >= self.samples.len()
    }

    fn due(&self, now: Time) -> Time {
        self.schedule.due().unwrap_or(now)
    }

    /// When the last samples are sent, if no more come.
    fn flush_at(&self) -> Time {
        let due = self.due(self.last_push);
        if self.complete { due } else { due.max(self.last_push) + PATIENCE * self.period }
    }

    fn send_due(&mut self, now: Time) {
        while self.is_ready() && self.due(now) <= now {
            self.send(now);
        }
    }

    /// Encodes and sends one packet.
    fn send(&mut self, now: Time) {
        // That the last samples, which are no whole packet, have waited here for more is no pause.
        let ready = if self.is_ready() { self.ready } else { self.last_push };
        let taken = self.queue.take(&mut self.samples) / usize::from(self.format.channels());
        let (timestamp, marker) = self.schedule.next(ready, now);
        self.sent = (self.sent.0 + self.sent.1, taken as u64);
        self.playing = true;
        self.packet.clear();
        if self.muted {
            return self.skip();
        }
        if self.encoder.encode(&self.samples, &mut self.packet).is_err() {
            self.stats.failed += 1;
            return self.schedule.skipped();
        }
        if opus_packet::is_dtx(&self.packet) {
            return self.skip();
        }
        self.stats.packets += 1;
        self.stats.bytes += self.packet.len() as u64;
        self.outputs.push_back(AudioSenderOutput::Packet(OutgoingPacket {
            payload: Bytes::copy_from_slice(&self.packet),
            timestamp,
            duration: self.period,
            level: Level::of(&self.samples),
            marker,
        }));
    }

    fn skip(&mut self) {
        self.stats.unsent += 1;
        self.schedule.skipped();
    }
}

impl fmt::Debug for AudioSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AudioSender")
            .field("format", &self.format)
            .field("queued", &self.queue.duration())
            .field("due", &self.schedule.due())
            .field("muted", &self.muted)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}
