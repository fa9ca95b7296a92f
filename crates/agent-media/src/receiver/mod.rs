//! `AudioReceiver`: encoded packets in, PCM out.

mod options;
mod stretch;
#[cfg(test)]
mod tests;

use std::time::Duration;

use agent_proto::Time;

pub use options::AudioReceiverOptions;

use crate::{
    AudioCodec, AudioDecoder, AudioFormat, AudioFrame, CodecError, EncodedPacket, JitterBuffer, JitterStats,
    Playout, PlayoutSound, Resampler,
};

/// Rate of the samples that the jitter buffer counts.
const BUFFER_RATE: i64 = 48_000;

/// Sound after silence that was made up begins within 2.5 ms.
const FADE_IN_PER_SECOND: u32 = 400;

/// Decodes the packets of one track to PCM, without gaps and in real time: a [jitter buffer](JitterBuffer), a
/// decoder, and a [`Resampler`] if the format needs one.
///
/// A machine of the same contract as the others: after each call [`poll_output`](Self::poll_output) is
/// drained, and [`handle_timeout`](Self::handle_timeout) is called at [`poll_timeout`](Self::poll_timeout).
/// PCM comes out when it is due, in pieces of some 20 ms. While the sender is silent (DTX) there is its
/// background noise. One second after the last packet, as when the track is muted, nothing comes out until
/// packets come again.
///
/// What is lost or late is [concealed](ReceivedAudio::is_concealed), and a packet that cannot be decoded
/// counts as lost: no packet ends the stream.
///
#[cfg_attr(feature = "ropus", doc = "```")]
#[cfg_attr(not(feature = "ropus"), doc = "```ignore")]
/// use agent_media::{AudioFormat, AudioReceiver, AudioReceiverOptions, EncodedPacket, RopusCodec};
/// use agent_proto::Time;
///
/// let options = AudioReceiverOptions::new().format(AudioFormat::MONO_16K);
/// let mut receiver = AudioReceiver::new(&RopusCodec, options)?;
/// receiver.push(EncodedPacket::new(&b"\xf8\xff\xfe"[..], 7, 960), Time::ZERO);
/// let due = receiver.poll_timeout().expect("a packet waits");
/// receiver.handle_timeout(due);
/// let received = receiver.poll_output().expect("its time has come");
/// assert_eq!(received.audio.frames(), 320);
/// assert!(!received.is_concealed);
/// # Ok::<(), agent_media::CodecError>(())
/// ```
#[derive(Debug)]
pub struct AudioReceiver {
    jitter: JitterBuffer,
    decoder: Box<dyn AudioDecoder>,
    /// What is decoded.
    decoded: AudioFormat,
    /// What comes out.
    format: AudioFormat,
    /// `None`: what is decoded comes out.
    resampler: Option<Resampler>,
    samples: Vec<i16>,
    /// Whether the last sound was silence that was not sent.
    is_silent: bool,
    stats: AudioReceiverStats,
}

/// PCM of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedAudio {
    /// The sound, some 20 ms.
    pub audio: AudioFrame,
    /// When it was made, counted from the first sound. It never goes back, and pauses count: a recording that
    /// puts each sound at its time is in step with the others.
    pub media_time: Duration,
    /// Whether it was made up, as a packet was lost, late, or no Opus.
    pub is_concealed: bool,
}

/// What a receiver has seen and done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AudioReceiverStats {
    /// Packets, and how long they wait.
    pub jitter: JitterStats,
    /// Packets that could not be decoded, and were concealed.
    pub invalid: u64,
    /// How much longer packets were made, as the delay was too short.
    pub lengthened: Duration,
    /// How much shorter packets were made, as the delay was too long.
    pub shortened: Duration,
}

impl AudioReceiver {
    /// A receiver with a decoder of this codec.
    ///
    /// # Errors
    /// What the codec refuses; no supported format.
    pub fn new(codec: &dyn AudioCodec, options: AudioReceiverOptions) -> Result<Self, CodecError> {
        let format = options.format;
        let (decoded, resampler) = if format.is_opus() {
            (format, None)
        } else {
            let decoded =
                if format.channels() == 1 { AudioFormat::MONO_48K } else { AudioFormat::STEREO_48K };
            let resampler = Resampler::new(decoded, format);
            (decoded, Some(resampler.map_err(|_| CodecError::SampleRate(format.sample_rate()))?))
        };
        Ok(Self {
            jitter: JitterBuffer::new(options.jitter),
            decoder: codec.decoder(decoded)?,
            decoded,
            format,
            resampler,
            samples: Vec::new(),
            is_silent: false,
            stats: AudioReceiverStats::default(),
        })
    }

    /// Takes a packet: see [`JitterBuffer::push`]. Packets that waited in a queue are all pushed before the
    /// next call of [`handle_timeout`](Self::handle_timeout).
    pub fn push(&mut self, packet: EncodedPacket, now: Time) {
        self.jitter.push(packet, now);
    }

    /// A queue before this receiver dropped packets: see [`JitterBuffer::note_dropped`].
    pub fn note_dropped(&mut self, packets: u64) {
        self.jitter.note_dropped(packets);
    }

    /// Plays everything that is due.
    pub fn handle_timeout(&mut self, now: Time) {
        self.jitter.handle_timeout(now);
    }

    /// The next sound. Overdue sound comes out at once, in its order.
    pub fn poll_output(&mut self) -> Option<ReceivedAudio> {
        loop {
            let playout = self.jitter.poll_output()?;
            let is_concealed = self.decode(&playout);
            if matches!(playout.sound, PlayoutSound::Packet { .. }) {
                self.correct_delay();
            }
            let (samples, delay) = match &mut self.resampler {
                None => (std::mem::take(&mut self.samples), Duration::ZERO),
                Some(resampler) => {
                    let mut samples = Vec::with_capacity(self.format.samples_in(playout.duration()) + 4);
                    resampler.push(&self.samples, &mut samples);
                    (samples, resampler.delay())
                }
            };
            // A resampler may need more before it has something.
            if let Some(audio) = AudioFrame::new(self.format, samples).ok().filter(|audio| !audio.is_empty())
            {
                let media_time = playout.media_time.saturating_sub(delay);
                return Some(ReceivedAudio { audio, media_time, is_concealed });
            }
        }
    }

    /// When the next sound is due; `None` while nothing comes in.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        self.jitter.poll_timeout()
    }

    /// Whether every packet that was received has been played, or counted as one that is not.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.jitter.stats().waiting() == 0
    }

    /// Sample rate and channel count of what comes out.
    #[must_use]
    pub fn format(&self) -> AudioFormat {
        self.format
    }

    /// What has been counted so far.
    #[must_use]
    pub fn stats(&self) -> AudioReceiverStats {
        AudioReceiverStats { jitter: self.jitter.stats(), ..self.stats }
    }

    /// Decodes or makes up what is to be played, into `samples`, and returns whether it was concealed.
    fn decode(&mut self, playout: &Playout) -> bool {
        if playout.is_new_stream {
            self.decoder.reset();
        }
        self.samples.clear();
        let frames = self.decoded.frames_in(playout.duration());
        let was_silent = std::mem::replace(&mut self.is_silent, false);
        let decoded = match &playout.sound {
            PlayoutSound::Packet { payload, .. } => self.decoder.decode(payload, &mut self.samples),
            PlayoutSound::Fec { next } => self.decoder.decode_fec(next, frames, &mut self.samples),
            PlayoutSound::Silence { is_dtx: false } => {
                self.is_silent = true;
                if !was_silent {
                    self.conceal(frames);
                }
                self.fit(frames);
                fade(&mut self.samples, self.decoded.channels(), frames, false);
                return false;
            }
            PlayoutSound::Conceal | PlayoutSound::Silence { is_dtx: true } => {
                self.conceal(frames);
                self.fit(frames);
                return playout.sound == PlayoutSound::Conceal;
            }
        };
        if decoded.is_err() {
            self.stats.invalid += 1;
            self.conceal(frames);
        }
        self.fit(frames);
        if was_silent {
            let length = self.decoded.sample_rate() / FADE_IN_PER_SECOND;
            fade(&mut self.samples, self.decoded.channels(), usize::try_from(length).unwrap_or(0), true);
        }
        decoded.is_err()
    }

    /// Makes up sound; silence if the codec does not.
    fn conceal(&mut self, frames: usize) {
        self.samples.clear();
        if self.decoder.conceal(frames, &mut self.samples).is_err() {
            self.samples.clear();
        }
    }

    /// Cuts or pads the decoded sound to the length that the jitter buffer expects, whatever the codec
    /// returned.
    fn fit(&mut self, frames: usize) {
        self.samples.resize(frames * usize::from(self.decoded.channels()), 0);
    }

    /// Makes the sound longer or shorter, if the jitter buffer requests it.
    fn correct_delay(&mut self) {
        let rate = i64::from(self.decoded.sample_rate());
        let wanted =
            self.jitter.correction(stretch::is_quiet(&self.samples)).saturating_mul(rate) / BUFFER_RATE;
        if wanted == 0 {
            return;
        }
        let by = stretch::stretch(&mut self.samples, self.decoded, wanted);
        self.jitter.stretched(by.saturating_mul(BUFFER_RATE) / rate);
        let length = self.decoded.duration_of(usize::try_from(by.unsigned_abs()).unwrap_or(0));
        let sum = if by < 0 { &mut self.stats.shortened } else { &mut self.stats.lengthened };
        *sum = sum.saturating_add(length);
    }
}

/// Fades the first samples of each channel in, or out, and silences what follows.
fn fade(samples: &mut [i16], channels: u8, length: usize, is_in: bool) {
    let sets = samples.chunks_mut(usize::from(channels).max(1)).enumerate();
    for (at, set) in sets.take_while(|(at, _)| !is_in || *at < length) {
        let done = (at as f32 / length.max(1) as f32).min(1.0);
        let share = if is_in { done } else { 1.0 - done };
        for sample in set {
            *sample = (f32::from(*sample) * share) as i16;
        }
    }
}
