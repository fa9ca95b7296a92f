//! Options of a sender.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::{AudioFormat, EncoderOptions};

/// How long the sound of one packet lasts: longer packets cost fewer bytes, and delay more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FrameDuration {
    /// 10 ms.
    Ms10,
    /// 20 ms, as nearly everybody sends it.
    #[default]
    Ms20,
    /// 40 ms.
    Ms40,
    /// 60 ms.
    Ms60,
}

impl FrameDuration {
    /// It as a duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(match self {
            Self::Ms10 => 10,
            Self::Ms20 => 20,
            Self::Ms40 => 40,
            Self::Ms60 => 60,
        })
    }
}

/// How an [`AudioSender`](super::AudioSender) queues and encodes.
///
/// ```
/// use agent_media::{AudioFormat, AudioSenderOptions, EncoderOptions, FrameDuration};
/// use std::time::Duration;
///
/// let options = AudioSenderOptions::new()
///     .format(AudioFormat::STEREO_48K)
///     .encoder(EncoderOptions::new().bitrate(96_000))
///     .frame(FrameDuration::Ms40)
///     .queue(Duration::from_millis(200));
/// assert_eq!(options.frame.duration(), Duration::from_millis(40));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AudioSenderOptions {
    /// What is encoded: one of [the rates of Opus](AudioFormat::OPUS_RATES). PCM of another rate or channel
    /// count is converted. 48 kHz mono by default.
    pub format: AudioFormat,
    /// How it is encoded.
    pub encoder: EncoderOptions,
    /// The sound of one packet. 20 ms by default.
    pub frame: FrameDuration,
    /// The most sound that waits to be sent, from two packets to 60 s. 1 s by default.
    pub queue: Duration,
}

impl Default for AudioSenderOptions {
    fn default() -> Self {
        Self {
            format: AudioFormat::MONO_48K,
            encoder: EncoderOptions::new(),
            frame: FrameDuration::Ms20,
            queue: Duration::from_secs(1),
        }
    }
}

impl AudioSenderOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the format that is encoded.
    #[must_use]
    pub fn format(mut self, format: AudioFormat) -> Self {
        self.format = format;
        self
    }

    /// Sets how it is encoded.
    #[must_use]
    pub fn encoder(mut self, encoder: EncoderOptions) -> Self {
        self.encoder = encoder;
        self
    }

    /// Sets the sound of one packet.
    #[must_use]
    pub fn frame(mut self, frame: FrameDuration) -> Self {
        self.frame = frame;
        self
    }

    /// Sets the most sound that waits to be sent, clamped to its range.
    #[must_use]
    pub fn queue(mut self, queue: Duration) -> Self {
        self.queue = queue;
        self
    }

    /// The limit of the queue within its range.
    pub(super) fn queue_limit(&self) -> Duration {
        let range: RangeInclusive<Duration> = 2 * self.frame.duration()..=Duration::from_secs(60);
        self.queue.clamp(*range.start(), *range.end())
    }
}
