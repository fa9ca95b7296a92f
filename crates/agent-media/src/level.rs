//! How loud sound is.

use crate::AudioFrame;

/// The level of sound that counts as [speech](Level::is_voice), in dBFS.
const VOICE: f32 = -50.0;

/// How loud a piece of PCM is, in dBFS: 0 dB is the loudest possible square wave, so that the loudest sine
/// has a root mean square of -3 dB. Silence is -127 dB.
///
/// ```
/// use agent_media::Level;
///
/// let half = Level::of(&[16_384, -16_384]);
/// assert!((half.rms - -6.02).abs() < 0.01);
/// assert_eq!((half.dbov(), half.is_voice()), (-6, true));
/// assert_eq!(Level::of(&[0; 960]), Level::SILENCE);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Level {
    /// The root mean square of all channels, in dBFS, from -127 to 0.
    pub rms: f32,
    /// The largest sample of all channels, in dBFS, from -127 to 0.
    pub peak: f32,
}

impl Level {
    /// No sound at all.
    pub const SILENCE: Self = Self { rms: -127.0, peak: -127.0 };

    /// The level of these samples, of any number of channels.
    #[must_use]
    pub fn of(samples: &[i16]) -> Self {
        let (mut sum, mut peak) = (0_u64, 0_u16);
        for sample in samples {
            let size = sample.unsigned_abs();
            // Rarely more than a second, and never 2^34 samples: at most 2^30 each.
            sum = sum.saturating_add(u64::from(size) * u64::from(size));
            peak = peak.max(size);
        }
        if peak == 0 {
            return Self::SILENCE;
        }
        let mean = sum as f64 / samples.len() as f64;
        Self { rms: decibels(mean.sqrt()), peak: decibels(f64::from(peak)) }
    }

    /// The root mean square in dBov, as RTP carries it (RFC 6464): from -127 to 0.
    #[must_use]
    pub fn dbov(self) -> i8 {
        // The cast of a float saturates.
        (self.rms.round() as i8).clamp(-127, 0)
    }

    /// Whether it is loud enough for speech: -50 dBFS or more. This does not detect voices: noise can be as
    /// loud.
    #[must_use]
    pub fn is_voice(self) -> bool {
        self.rms >= VOICE
    }
}

impl AudioFrame {
    /// How loud it is.
    #[must_use]
    pub fn level(&self) -> Level {
        Level::of(self.samples())
    }
}

/// A positive size of samples in dBFS.
fn decibels(size: f64) -> f32 {
    let decibels = 20.0 * (size / 32_768.0).log10();
    decibels.clamp(-127.0, 0.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(amplitude: f64) -> Vec<i16> {
        let sample = |n: i32| (amplitude * (f64::from(n) * std::f64::consts::TAU / 48.0).sin()) as i16;
        (0..4_800).map(sample).collect()
    }

    #[test]
    fn levels_of_a_sine() {
        let loud = Level::of(&sine(32_767.0));
        assert!((loud.rms - -3.01).abs() < 0.01 && loud.peak.abs() < 0.01, "{loud:?}");
        assert_eq!(loud.dbov(), -3);
        let quiet = Level::of(&sine(327.67));
        assert!((quiet.rms - -43.01).abs() < 0.05, "{quiet:?}");
        assert!(quiet.is_voice() && !Level::of(&sine(100.0)).is_voice());
    }

    #[test]
    fn extremes() {
        assert_eq!(Level::of(&[]), Level::SILENCE);
        assert_eq!(Level::SILENCE.dbov(), -127);
        assert_eq!(Level::of(&[i16::MIN]), Level { rms: 0.0, peak: 0.0 });
        let one = Level::of(&[1]);
        assert_eq!(one.dbov(), -90);
        let mut click = vec![0; 1_000_000];
        click.push(1);
        assert_eq!(Level::of(&click).rms, -127.0);
    }
}
