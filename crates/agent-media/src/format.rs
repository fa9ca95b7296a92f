//! Sample rate and channel count of PCM.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Sample rate and channel count of PCM audio, both within what is supported.
///
/// ```
/// use agent_media::{AudioFormat, FormatError};
///
/// let format = AudioFormat::new(44_100, 2)?;
/// assert_eq!(format.to_string(), "44100 Hz stereo");
/// assert_eq!(AudioFormat::new(4_000, 2), Err(FormatError::SampleRate(4_000)));
/// # Ok::<(), FormatError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AudioFormat {
    sample_rate: u32,
    channels: u8,
}

impl AudioFormat {
    /// The supported sample rates, in hertz.
    pub const SAMPLE_RATES: RangeInclusive<u32> = 8_000..=192_000;

    /// The sample rates that Opus encodes and decodes directly, in hertz, in ascending order.
    pub const OPUS_RATES: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];

    /// What speech models take: 16 kHz, one channel.
    pub const MONO_16K: Self = Self { sample_rate: 16_000, channels: 1 };

    /// Opus' own rate, one channel.
    pub const MONO_48K: Self = Self { sample_rate: 48_000, channels: 1 };

    /// Opus' own rate, two channels.
    pub const STEREO_48K: Self = Self { sample_rate: 48_000, channels: 2 };

    /// A sample rate of 8,000 to 192,000 Hz and one or two channels.
    ///
    /// # Errors
    /// The rate or the count is out of range.
    pub fn new(sample_rate: u32, channels: u8) -> Result<Self, FormatError> {
        if !Self::SAMPLE_RATES.contains(&sample_rate) {
            return Err(FormatError::SampleRate(sample_rate));
        }
        if !matches!(channels, 1 | 2) {
            return Err(FormatError::Channels(channels));
        }
        Ok(Self { sample_rate, channels })
    }

    /// Samples of each channel per second.
    #[must_use]
    pub const fn sample_rate(self) -> u32 {
        self.sample_rate
    }

    /// 1 (mono) or 2 (stereo: left and right alternate).
    #[must_use]
    pub const fn channels(self) -> u8 {
        self.channels
    }

    /// The same sample rate with one channel.
    #[must_use]
    pub const fn mono(self) -> Self {
        Self { channels: 1, ..self }
    }

    /// The same sample rate with two channels.
    #[must_use]
    pub const fn stereo(self) -> Self {
        Self { channels: 2, ..self }
    }

    /// Whether Opus encodes and decodes this rate directly, without resampling.
    #[must_use]
    pub fn is_opus(self) -> bool {
        Self::OPUS_RATES.contains(&self.sample_rate)
    }

    /// The samples of each channel in this duration, rounded down.
    #[must_use]
    pub fn frames_in(self, duration: Duration) -> usize {
        let samples = duration.as_nanos() * u128::from(self.sample_rate) / 1_000_000_000;
        usize::try_from(samples).unwrap_or(usize::MAX)
    }

    /// The samples of all channels in this duration, rounded down to whole sample frames.
    #[must_use]
    pub fn samples_in(self, duration: Duration) -> usize {
        self.frames_in(duration).saturating_mul(usize::from(self.channels))
    }

    /// How long this number of samples of each channel lasts, rounded down to nanoseconds.
    #[must_use]
    pub fn duration_of(self, frames: usize) -> Duration {
        let nanos = frames as u128 * 1_000_000_000 / u128::from(self.sample_rate);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for AudioFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz {}", self.sample_rate, if self.channels == 1 { "mono" } else { "stereo" })
    }
}

/// PCM in a form that is not supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The sample rate is out of range.
    #[error("sample rate {0} Hz: expected 8,000 to 192,000 Hz")]
    SampleRate(u32),
    /// More than stereo, or nothing.
    #[error("{0} channels: expected 1 or 2")]
    Channels(u8),
    /// The channels do not have the same number of samples.
    #[error("{samples} interleaved samples: expected a multiple of the {channels} channels")]
    Interleaving {
        /// The number of samples of all channels.
        samples: usize,
        /// The number of channels.
        channels: u8,
    },
    /// There is no filter between these sample rates.
    #[error("no resampling from {from} to {to} Hz")]
    Resampling {
        /// The sample rate of the input, in hertz.
        from: u32,
        /// The sample rate of the output, in hertz.
        to: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_supported_formats() {
        for (rate, channels, expected) in [
            (7_999, 1, Err(FormatError::SampleRate(7_999))),
            (192_001, 1, Err(FormatError::SampleRate(192_001))),
            (48_000, 0, Err(FormatError::Channels(0))),
            (48_000, 3, Err(FormatError::Channels(3))),
            (48_000, 2, Ok(AudioFormat::STEREO_48K)),
        ] {
            assert_eq!(AudioFormat::new(rate, channels), expected);
        }
        assert!(AudioFormat::MONO_16K.is_opus());
        assert!(!AudioFormat::new(44_100, 1).unwrap().is_opus());
    }

    #[test]
    fn samples_and_durations() {
        let format = AudioFormat::new(44_100, 2).unwrap();
        assert_eq!(format.frames_in(Duration::from_millis(20)), 882);
        assert_eq!(format.samples_in(Duration::from_millis(20)), 1764);
        assert_eq!(format.duration_of(882), Duration::from_millis(20));
        assert_eq!(format.duration_of(usize::MAX), Duration::from_nanos(u64::MAX));
        assert_eq!(format.frames_in(Duration::ZERO), 0);
        let _ = format.samples_in(Duration::MAX);
    }
}
