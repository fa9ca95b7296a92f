//! A piece of PCM audio.

use std::time::Duration;

use agent_proto::QueueEntry;

use crate::{AudioFormat, FormatError};

/// A piece of PCM audio of any length: interleaved 16-bit samples.
///
/// ```
/// use agent_media::{AudioFormat, AudioFrame};
/// use std::time::Duration;
///
/// let stereo = AudioFrame::new(AudioFormat::STEREO_48K, vec![100, -100, 300, 100])?;
/// assert_eq!(stereo.frames(), 2);
/// assert_eq!(AudioFrame::silence(AudioFormat::MONO_16K, Duration::from_secs(1)).frames(), 16_000);
/// # Ok::<(), agent_media::FormatError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioFrame {
    format: AudioFormat,
    samples: Vec<i16>,
}

impl AudioFrame {
    /// Interleaved samples of a format: with two channels left, right, left, right, and so on.
    ///
    /// # Errors
    /// [`FormatError::Interleaving`]: the last samples of a channel are missing.
    pub fn new(format: AudioFormat, samples: Vec<i16>) -> Result<Self, FormatError> {
        let channels = format.channels();
        if !samples.len().is_multiple_of(usize::from(channels)) {
            return Err(FormatError::Interleaving { samples: samples.len(), channels });
        }
        Ok(Self { format, samples })
    }

    /// Samples that are known to be whole.
    pub(crate) fn of(format: AudioFormat, samples: Vec<i16>) -> Self {
        Self { format, samples }
    }

    /// Silence of this duration, rounded down to whole samples.
    #[must_use]
    pub fn silence(format: AudioFormat, duration: Duration) -> Self {
        Self { format, samples: vec![0; format.samples_in(duration)] }
    }

    /// Sample rate and channel count.
    #[must_use]
    pub fn format(&self) -> AudioFormat {
        self.format
    }

    /// Samples of each channel per second.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.format.sample_rate()
    }

    /// 1 or 2.
    #[must_use]
    pub fn channels(&self) -> u8 {
        self.format.channels()
    }

    /// The samples of all channels, interleaved.
    #[must_use]
    pub fn samples(&self) -> &[i16] {
        &self.samples
    }

    /// The samples, to be changed in place.
    #[must_use]
    pub fn samples_mut(&mut self) -> &mut [i16] {
        &mut self.samples
    }

    /// The samples of all channels, interleaved.
    #[must_use]
    pub fn into_samples(self) -> Vec<i16> {
        self.samples
    }

    /// The number of samples of each channel.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.samples.len() / usize::from(self.format.channels())
    }

    /// Whether there are no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// How long it lasts.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.format.duration_of(self.frames())
    }
}

impl QueueEntry for AudioFrame {
    fn bytes(&self) -> usize {
        self.samples.len().saturating_mul(size_of::<i16>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_channels_have_the_same_number_of_samples() {
        let error = AudioFrame::new(AudioFormat::STEREO_48K, vec![1, 2, 3]).unwrap_err();
        assert_eq!(error.to_string(), "3 interleaved samples: expected a multiple of the 2 channels");
        let frame = AudioFrame::new(AudioFormat::STEREO_48K, vec![0; 1920]).unwrap();
        assert_eq!((frame.frames(), frame.duration()), (960, Duration::from_millis(20)));
        assert_eq!(frame.bytes(), 3840);
        assert!(AudioFrame::new(AudioFormat::STEREO_48K, vec![]).unwrap().is_empty());
    }
}
