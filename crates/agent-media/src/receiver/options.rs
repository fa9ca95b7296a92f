//! Options of a receiver.

use crate::{AudioFormat, JitterOptions};

/// What PCM an [`AudioReceiver`](super::AudioReceiver) makes, and how long packets may wait for it.
///
/// ```
/// use agent_media::{AudioFormat, AudioReceiverOptions, JitterOptions};
/// use std::time::Duration;
///
/// let options = AudioReceiverOptions::new()
///     .format(AudioFormat::MONO_16K)
///     .jitter(JitterOptions::default().max_delay(Duration::from_millis(500)));
/// assert_eq!(options.format.sample_rate(), 16_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AudioReceiverOptions {
    /// Sample rate and channel count of the PCM. 48 kHz mono by default. The [rates of
    /// Opus](AudioFormat::OPUS_RATES) are decoded directly; others are converted, which delays the sound by a
    /// few milliseconds.
    pub format: AudioFormat,
    /// How long packets may wait.
    pub jitter: JitterOptions,
}

impl Default for AudioReceiverOptions {
    fn default() -> Self {
        Self { format: AudioFormat::MONO_48K, jitter: JitterOptions::default() }
    }
}

impl AudioReceiverOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets sample rate and channel count.
    #[must_use]
    pub fn format(self, format: AudioFormat) -> Self {
        Self { format, ..self }
    }

    /// Sets how long packets may wait.
    #[must_use]
    pub fn jitter(self, jitter: JitterOptions) -> Self {
        Self { jitter, ..self }
    }
}

impl From<AudioFormat> for AudioReceiverOptions {
    fn from(format: AudioFormat) -> Self {
        Self::default().format(format)
    }
}
