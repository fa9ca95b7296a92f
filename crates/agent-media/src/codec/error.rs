//! Errors of codecs, and the checks that every implementation needs.

use std::time::Duration;

use crate::AudioFormat;

/// What a codec could not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// Opus has no such sample rate: PCM is resampled first.
    #[error("sample rate {0} Hz: expected one of Opus (8, 12, 16, 24 or 48 kHz)")]
    SampleRate(u32),
    /// A number of samples that no frame has.
    #[error("{samples} samples at {format}: expected {expected}")]
    FrameSize {
        /// The number of samples of all channels.
        samples: usize,
        /// What they are of.
        format: AudioFormat,
        /// The durations that are possible.
        expected: &'static str,
    },
    /// The bytes are not an Opus packet.
    #[error("{0} bytes that are not a packet of Opus")]
    InvalidPacket(usize),
    /// The implementation reported an error.
    #[error("{codec}: {what}")]
    Failed {
        /// The name of the implementation.
        codec: &'static str,
        /// What was attempted.
        what: &'static str,
    },
}

impl CodecError {
    /// For implementations of [`AudioCodec`](super::AudioCodec): an error unless Opus has this sample rate.
    ///
    /// # Errors
    /// [`CodecError::SampleRate`].
    pub fn check_rate(format: AudioFormat) -> Result<(), Self> {
        if format.is_opus() { Ok(()) } else { Err(Self::SampleRate(format.sample_rate())) }
    }

    /// For implementations of [`AudioEncoder`](super::AudioEncoder): the samples of each channel, if this
    /// number of interleaved samples lasts 10, 20, 40 or 60 ms.
    ///
    /// # Errors
    /// [`CodecError::FrameSize`].
    pub fn check_frame(format: AudioFormat, samples: usize) -> Result<usize, Self> {
        let durations = [10, 20, 40, 60].map(Duration::from_millis);
        if durations.iter().any(|duration| format.samples_in(*duration) == samples) {
            return Ok(samples / usize::from(format.channels()));
        }
        Err(Self::FrameSize { samples, format, expected: "10, 20, 40 or 60 ms" })
    }

    /// For implementations of [`AudioDecoder`](super::AudioDecoder): an error unless a packet of `frames`
    /// samples of each channel can have been lost.
    ///
    /// # Errors
    /// [`CodecError::FrameSize`].
    pub fn check_lost(format: AudioFormat, frames: usize) -> Result<(), Self> {
        let part = format.frames_in(Duration::from_micros(2_500));
        if frames > 0 && frames.is_multiple_of(part) && frames <= 48 * part {
            return Ok(());
        }
        let samples = frames.saturating_mul(usize::from(format.channels()));
        Err(Self::FrameSize { samples, format, expected: "2.5 to 120 ms, in steps of 2.5 ms" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_can_be_encoded() {
        let check = |samples| CodecError::check_frame(AudioFormat::STEREO_48K, samples);
        assert_eq!([960, 1920, 3840, 5760].map(check), [Ok(480), Ok(960), Ok(1920), Ok(2880)]);
        assert_eq!(
            check(962).unwrap_err().to_string(),
            "962 samples at 48000 Hz stereo: expected 10, 20, 40 or 60 ms"
        );
        assert!(check(0).is_err() && check(usize::MAX).is_err());
    }

    #[test]
    fn losses_that_can_be_concealed() {
        let check = |frames| CodecError::check_lost(AudioFormat::MONO_16K, frames).is_ok();
        assert!(check(40) && check(320) && check(1_920));
        assert!(!check(0) && !check(41) && !check(1_960) && !check(usize::MAX));
    }
}
