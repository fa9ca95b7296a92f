//! Sound to test with: a tone to play, and measurements of received PCM.

use std::f64::consts::TAU;
use std::ops::Range;
use std::time::Duration;

/// Parts of sound are compared in blocks of this length, as official clients report them.
const BLOCK: Duration = Duration::from_millis(10);

/// A block below this level is silent, in dBFS.
const SILENT_DBFS: f64 = -60.0;

/// The most sound that is made.
const LONGEST: Duration = Duration::from_secs(600);

/// How far a received tone may differ, in hertz and in decibels: as much as codecs change it.
const HERTZ_OFF: f64 = 2.0;
const DECIBELS_OFF: f64 = 1.0;

/// Of a sine, the RMS level is lower than the peak by this, in decibels.
const PEAK_TO_RMS: f64 = 3.01;

/// A sine to play in a test.
///
/// ```
/// use agent_testkit::{MeasuredSound, Tone};
/// use std::time::Duration;
///
/// let tone = Tone::new(440.0).level(-20.0);
/// // Half a second at 48 kHz in two channels.
/// let samples = tone.samples(48_000, 2, Duration::from_millis(500));
/// assert_eq!(samples.len(), 48_000);
///
/// let heard = MeasuredSound::of(&samples, 48_000, 2);
/// assert!(heard.is(tone), "{heard:?}");
/// assert!((heard.dbfs - -23.0).abs() < 0.1 && heard.gaps.is_empty());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tone {
    hertz: f64,
    dbfs: f64,
}

impl Tone {
    /// A tone of this frequency, with its peak at -9 dBFS.
    #[must_use]
    pub const fn new(hertz: f64) -> Self {
        Self { hertz, dbfs: -9.0 }
    }

    /// The peak, in dB below full scale (0 is the loudest). The RMS of a sine is 3 dB lower.
    #[must_use]
    pub const fn level(self, dbfs: f64) -> Self {
        Self { dbfs: dbfs.min(0.0), ..self }
    }

    /// Its frequency.
    #[must_use]
    pub fn hertz(self) -> f64 {
        self.hertz
    }

    /// Its level (RMS) in dBFS.
    #[must_use]
    pub fn rms(self) -> f64 {
        self.dbfs - PEAK_TO_RMS
    }

    /// Samples of this duration, at most ten minutes: interleaved, the same in all channels.
    #[must_use]
    pub fn samples(self, sample_rate: u32, channels: u8, duration: Duration) -> Vec<i16> {
        let (step, peak) = (self.hertz * TAU / f64::from(sample_rate), 32_767.0 * ratio(self.dbfs));
        let sample = |at: usize| ((at as f64 * step).sin() * peak).round() as i16;
        let channels = usize::from(channels);
        (0..frames_in(duration.min(LONGEST), sample_rate))
            .flat_map(|at| std::iter::repeat_n(sample(at), channels))
            .collect()
    }

    /// Whether sound of this frequency and level (RMS, in dBFS) is this tone, within 2 Hz and 1 dB.
    #[must_use]
    pub fn is_like(self, hertz: f64, dbfs: f64) -> bool {
        (hertz - self.hertz).abs() < HERTZ_OFF && (dbfs - self.rms()).abs() < DECIBELS_OFF
    }
}

/// What PCM sounds like: from its first block of 10 ms that is not silent (below -60 dBFS) to the last one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MeasuredSound {
    /// The frequency, if it is a tone; of silence 0, and of other sound a number without a meaning.
    pub hertz: f64,
    /// The level (RMS) in dBFS, where a full-scale sine has -3; minus infinity for silence.
    pub dbfs: f64,
    /// Where it begins and ends; empty for silence.
    pub span: Range<Duration>,
    /// The silence within it.
    pub gaps: Vec<Range<Duration>>,
}

impl MeasuredSound {
    /// Measures interleaved samples. Several channels are mixed.
    #[must_use]
    pub fn of(samples: &[i16], sample_rate: u32, channels: u8) -> Self {
        let channels = usize::from(channels).max(1);
        let mono: Vec<f64> = samples.chunks_exact(channels).map(mean).collect();
        let length = frames_in(BLOCK, sample_rate).max(1);
        let is_loud: Vec<bool> = mono.chunks(length).map(|block| level(block) > SILENT_DBFS).collect();
        let begin = is_loud.iter().position(|loud| *loud).unwrap_or(0);
        let end = is_loud.iter().rposition(|loud| *loud).map_or(begin, |last| last + 1);
        let sound = mono.get(begin * length..(end * length).min(mono.len())).unwrap_or_default();
        let at = |block: usize| BLOCK * u32::try_from(block).unwrap_or(u32::MAX);
        let mut gaps: Vec<Range<Duration>> = Vec::new();
        for (block, _) in is_loud.iter().enumerate().take(end).skip(begin).filter(|(_, loud)| !**loud) {
            match gaps.last_mut() {
                Some(last) if last.end == at(block) => last.end = at(block + 1),
                _ => gaps.push(at(block)..at(block + 1)),
            }
        }
        Self { hertz: frequency(sound, sample_rate), dbfs: level(sound), span: at(begin)..at(end), gaps }
    }

    /// Whether it is this tone without a gap: within 2 Hz and 1 dB.
    #[must_use]
    pub fn is(&self, tone: Tone) -> bool {
        self.gaps.is_empty() && tone.is_like(self.hertz, self.dbfs)
    }

    /// How long it lasts, with the gaps.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.span.end - self.span.start
    }
}

fn frames_in(duration: Duration, sample_rate: u32) -> usize {
    let frames = duration.as_nanos() * u128::from(sample_rate) / 1_000_000_000;
    usize::try_from(frames).unwrap_or(usize::MAX)
}

fn ratio(dbfs: f64) -> f64 {
    10_f64.powf(dbfs / 20.0)
}

fn mean(samples: &[i16]) -> f64 {
    samples.iter().map(|sample| f64::from(*sample)).sum::<f64>() / samples.len() as f64
}

fn level(samples: &[f64]) -> f64 {
    let energy = samples.iter().map(|sample| sample * sample).sum::<f64>() / samples.len().max(1) as f64;
    10.0 * (energy / 32_768_f64.powi(2)).log10()
}

/// The frequency of a tone, from the times at which it rises through zero; 0 without any.
fn frequency(samples: &[f64], sample_rate: u32) -> f64 {
    let loudest = samples.iter().fold(0.0, |most: f64, sample| most.max(sample.abs()));
    // A rise counts only from a clear trough, as noise crosses zero more often.
    let (mut rises, mut crossing, mut is_low) = (Vec::new(), None, false);
    for (at, pair) in samples.windows(2).enumerate() {
        let &[before, after] = pair else { continue };
        is_low |= before < -loudest / 4.0;
        if before <= 0.0 && after > 0.0 {
            crossing = Some(at as f64 + before / (before - after));
        }
        if is_low && after > loudest / 4.0 {
            is_low = false;
            rises.extend(crossing.take());
        }
    }
    match (rises.first(), rises.last()) {
        (Some(first), Some(last)) if last > first => {
            (rises.len() - 1) as f64 * f64::from(sample_rate) / (last - first)
        }
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn tones_are_measured_as_they_were_made() {
        for (hertz, dbfs, rate, channels) in [
            (440.0, -9.0, 48_000, 1),
            (441.5, -20.0, 16_000, 2),
            (3_000.0, -40.0, 44_100, 1),
            (60.0, 0.0, 8_000, 1),
        ] {
            let tone = Tone::new(hertz).level(dbfs);
            let heard = MeasuredSound::of(&tone.samples(rate, channels, 500 * MS), rate, channels);
            assert!(heard.is(tone) && (heard.hertz - hertz).abs() < 0.1, "{tone:?}: {heard:?}");
            assert!((heard.dbfs - tone.rms()).abs() < 0.1, "{tone:?}: {heard:?}");
            assert!(!heard.is(Tone::new(hertz + 3.0).level(dbfs)) && !heard.is(tone.level(dbfs - 1.5)));
            assert_eq!(heard.duration(), 500 * MS);
        }
    }

    #[test]
    fn silence_around_a_tone_is_not_a_part_of_it_and_silence_within_is_a_gap() {
        let silence = |length: u32| vec![0; 48 * length as usize];
        let tone = Tone::new(500.0);
        let part = |length: u32| tone.samples(48_000, 1, length * MS);
        let heard =
            [silence(100), part(200), silence(30), part(100), silence(20), part(40), silence(50)].concat();
        let heard = MeasuredSound::of(&heard, 48_000, 1);
        assert_eq!((heard.span.clone(), heard.duration()), (100 * MS..490 * MS, 390 * MS));
        assert_eq!(heard.gaps, [300 * MS..330 * MS, 430 * MS..450 * MS]);
        assert!(!heard.is(tone));
        let whole = MeasuredSound::of(&[silence(100), part(200), silence(30)].concat(), 48_000, 1);
        assert!(whole.is(tone), "{whole:?}");
    }

    #[test]
    fn silence_and_nothing() {
        for samples in [vec![], vec![0], vec![0; 48_000], vec![3; 4_800]] {
            let heard = MeasuredSound::of(&samples, 48_000, 1);
            assert_eq!((heard.hertz, heard.duration()), (0.0, Duration::ZERO), "{heard:?}");
            assert!(!heard.is(Tone::new(440.0)));
        }
        assert_eq!(MeasuredSound::of(&[1, 2, 3], 0, 0).hertz, 0.0);
        assert!(Tone::new(440.0).samples(0, 0, Duration::MAX).is_empty());
    }
}
