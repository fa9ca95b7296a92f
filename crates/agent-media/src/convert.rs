//! Conversion of samples: 16-bit integers and floating point, mono and stereo.

use crate::{AudioFormat, AudioFrame, FormatError};

impl AudioFrame {
    /// A frame of floating-point samples, of which -1.0 and 1.0 are the extremes: what is beyond them is
    /// clipped, what is no number is silence.
    ///
    /// # Errors
    /// [`FormatError::Interleaving`]: the last samples of a channel are missing.
    ///
    /// ```
    /// use agent_media::{AudioFormat, AudioFrame};
    ///
    /// let frame = AudioFrame::from_f32(AudioFormat::MONO_16K, &[0.5, -1.0, 2.0])?;
    /// assert_eq!(frame.samples(), [16_384, -32_768, 32_767]);
    /// assert_eq!(frame.to_f32()[..2], [0.5, -1.0]);
    /// # Ok::<(), agent_media::FormatError>(())
    /// ```
    pub fn from_f32(format: AudioFormat, samples: &[f32]) -> Result<Self, FormatError> {
        Self::new(format, samples.iter().copied().map(to_i16).collect())
    }

    /// Its samples in floating point: from -1.0 to below 1.0.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        self.samples().iter().copied().map(to_f32).collect()
    }

    /// The same sound in one channel: the mean of left and right.
    ///
    /// ```
    /// use agent_media::{AudioFormat, AudioFrame};
    ///
    /// let stereo = AudioFrame::new(AudioFormat::STEREO_48K, vec![100, 300, -100, 100])?;
    /// let mono = stereo.into_mono();
    /// assert_eq!((mono.format(), mono.samples()), (AudioFormat::MONO_48K, &[200, 0][..]));
    /// assert_eq!(mono.into_stereo().samples(), [200, 200, 0, 0]);
    /// # Ok::<(), agent_media::FormatError>(())
    /// ```
    #[must_use]
    pub fn into_mono(self) -> Self {
        let format = self.format().mono();
        self.into_channels(format)
    }

    /// The same sound in two channels: one channel becomes both.
    #[must_use]
    pub fn into_stereo(self) -> Self {
        let format = self.format().stereo();
        self.into_channels(format)
    }

    fn into_channels(self, format: AudioFormat) -> Self {
        if self.format() == format {
            return self;
        }
        let mut samples = Vec::new();
        mix(self.samples(), self.channels(), format.channels(), |sample| samples.push(sample));
        Self::of(format, samples)
    }
}

/// Changes the number of channels, 1 or 2.
pub(crate) fn mix(samples: &[i16], from: u8, to: u8, mut push: impl FnMut(i16)) {
    match (from, to) {
        (2, 1) => {
            for pair in samples.chunks_exact(2) {
                let sum: i32 = pair.iter().copied().map(i32::from).sum();
                push((sum / 2) as i16);
            }
        }
        (1, 2) => samples.iter().for_each(|sample| {
            push(*sample);
            push(*sample);
        }),
        _ => samples.iter().copied().for_each(push),
    }
}

/// From -1.0 to below 1.0.
pub(crate) fn to_f32(sample: i16) -> f32 {
    f32::from(sample) / 32_768.0
}

/// Clips; what is no number is 0.
pub(crate) fn to_i16(sample: f32) -> i16 {
    // The cast of a float saturates, and that of NaN is 0.
    (sample * 32_768.0).round() as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_survives_floating_point() {
        for sample in i16::MIN..=i16::MAX {
            assert_eq!(to_i16(to_f32(sample)), sample);
        }
        assert_eq!([f32::NAN, f32::INFINITY, -7.0].map(to_i16), [0, i16::MAX, i16::MIN]);
    }

    #[test]
    fn extremes_are_mixed_without_overflow() {
        let frame = |samples: &[i16]| AudioFrame::new(AudioFormat::STEREO_48K, samples.to_vec()).unwrap();
        let mono = frame(&[i16::MAX, i16::MAX, i16::MIN, i16::MIN, i16::MAX, i16::MIN]).into_mono();
        assert_eq!(mono.samples(), [i16::MAX, i16::MIN, 0]);
        assert_eq!(mono.clone().into_mono(), mono);
    }
}
