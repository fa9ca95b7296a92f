//! Another sample rate and channel count for a stream of PCM.

use std::fmt;
use std::time::Duration;

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Async, FixedAsync, Resampler as _, Resizable as _, SincInterpolationParameters, SincInterpolationType,
    WindowFunction,
};

use crate::convert::{mix, to_f32, to_i16};
use crate::{AudioFormat, FormatError};

/// Length of the filter, in samples of the lower rate: it is flat up to 0.9 of what that rate can carry, and
/// attenuates what it cannot by 78 dB or more (10 % above it).
const FILTER_LEN: f64 = 96.0;

/// The most filters that are kept for an exact result: 320 for 22.05 → 48 kHz, 160 for 44.1 → 48 kHz.
const MAX_EXACT: u32 = 320;

/// The filters between which is interpolated for all other ratios.
const INTERPOLATED: usize = 64;

/// Samples of silence with which a filter begins: it needs two or three ahead of each output.
const AHEAD: usize = 4;

/// The input of one run is at most this part of a second.
const RUNS_PER_SECOND: u32 = 50;

/// Converts a stream of PCM to another sample rate and channel count.
///
/// Any number of samples goes in, and what is ready comes out at once: the input's duration, plus or minus a
/// sample. The sound is [delayed](Self::delay) by 1 to 6 ms, which [`flush`](Self::flush) returns at the end.
/// After the first frames nothing is allocated, if the output has room. Between equal rates samples are only
/// copied, or mixed, without delay.
///
/// ```
/// use agent_media::{AudioFormat, Resampler};
///
/// let mut resampler = Resampler::new(AudioFormat::new(44_100, 2)?, AudioFormat::MONO_48K)?;
/// let mut output = Vec::new();
/// for _ in 0..50 {
///     resampler.push(&[0; 2 * 882], &mut output);
/// }
/// assert_eq!(output.len(), 48_000);
/// resampler.flush(&mut output);
/// assert!(output.len() < 48_100);
/// # Ok::<(), agent_media::FormatError>(())
/// ```
pub struct Resampler {
    from: AudioFormat,
    to: AudioFormat,
    /// `None`: the rates are equal.
    inner: Option<Filter>,
    /// The input with as many channels as are filtered.
    mixed: Vec<i16>,
    /// The filtered output before its channels are doubled.
    filtered: Vec<i16>,
}

impl Resampler {
    /// A resampler between two formats.
    ///
    /// # Errors
    /// [`FormatError::Resampling`]: there is no filter between these rates, which no supported format causes.
    pub fn new(from: AudioFormat, to: AudioFormat) -> Result<Self, FormatError> {
        let channels = from.channels().min(to.channels());
        let inner = if from.sample_rate() == to.sample_rate() {
            None
        } else {
            Some(Filter::new(from.sample_rate(), to.sample_rate(), channels)?)
        };
        Ok(Self { from, to, inner, mixed: Vec::new(), filtered: Vec::new() })
    }

    /// The format of the input.
    #[must_use]
    pub fn input(&self) -> AudioFormat {
        self.from
    }

    /// The format of the output.
    #[must_use]
    pub fn output(&self) -> AudioFormat {
        self.to
    }

    /// How much later a sound is in the output than in the input.
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.inner.as_ref().map_or(Duration::ZERO, |filter| self.to.duration_of(filter.delay()))
    }

    /// Converts interleaved samples, and appends what is ready to `output`. The last samples of an incomplete
    /// set of channels are ignored.
    pub fn push(&mut self, samples: &[i16], output: &mut Vec<i16>) {
        let (from, to) = (self.from.channels(), self.to.channels());
        let Some(filter) = &mut self.inner else {
            let whole = samples.len() - samples.len() % usize::from(from);
            mix(samples.get(..whole).unwrap_or_default(), from, to, |sample| output.push(sample));
            return;
        };
        let channels = from.min(to);
        self.mixed.clear();
        let mixed = if from > channels {
            mix(samples, from, channels, |sample| self.mixed.push(sample));
            self.mixed.as_slice()
        } else {
            samples
        };
        if to == channels {
            filter.run(mixed, output);
            return;
        }
        self.filtered.clear();
        filter.run(mixed, &mut self.filtered);
        mix(&self.filtered, channels, to, |sample| output.push(sample));
    }

    /// Appends the rest of the stream to `output`: the [delay](Self::delay) in samples. Afterwards a new
    /// stream begins.
    pub fn flush(&mut self, output: &mut Vec<i16>) {
        let Some(filter) = &mut self.inner else { return };
        let frames = filter.delay();
        let silence = vec![0; filter.input_for(frames) * usize::from(self.from.channels())];
        let before = output.len();
        self.push(&silence, output);
        output.truncate(before + frames * usize::from(self.to.channels()));
        self.reset();
    }

    /// Forgets the stream: a new one begins.
    pub fn reset(&mut self) {
        if let Some(filter) = &mut self.inner {
            filter.inner.reset();
            filter.prime();
        }
    }
}

impl fmt::Debug for Resampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resampler").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

/// A filter between two rates, for a number of channels.
struct Filter {
    inner: Async<f32>,
    channels: usize,
    /// The most sample frames of one run.
    max_input: usize,
    input: Vec<f32>,
    output: Vec<f32>,
}

impl Filter {
    fn new(from: u32, to: u32, channels: u8) -> Result<Self, FormatError> {
        let ratio = f64::from(to) / f64::from(from);
        // A cast of these never loses anything: at most 96 × 24 samples.
        let len = (FILTER_LEN / ratio.min(1.0)).ceil() as usize;
        let phases = to / gcd(from, to);
        let (oversampling, interpolation) = if phases <= MAX_EXACT {
            (phases as usize, SincInterpolationType::Nearest)
        } else {
            (INTERPOLATED, SincInterpolationType::Cubic)
        };
        let parameters = SincInterpolationParameters::new(len, WindowFunction::Blackman)
            .oversampling_factor(oversampling)
            .interpolation(interpolation);
        let max_input = from.div_ceil(RUNS_PER_SECOND) as usize;
        let channels = usize::from(channels);
        let inner = Async::new_sinc(ratio, 1.0, &parameters, max_input, channels, FixedAsync::Input)
            .map_err(|_| FormatError::Resampling { from, to })?;
        let output = vec![0.0; inner.output_frames_max() * channels];
        let input = Vec::with_capacity(max_input * channels);
        let mut filter = Self { inner, channels, max_input, input, output };
        filter.prime();
        Ok(filter)
    }

    /// Gives a new filter the few samples that it needs ahead, so that from then on as much comes out as goes
    /// in.
    fn prime(&mut self) {
        self.input.clear();
        self.input.resize(AHEAD * self.channels, 0.0);
        self.run_once(AHEAD);
    }

    /// In samples of the output.
    fn delay(&self) -> usize {
        self.inner.output_delay()
    }

    /// Enough input for this much output.
    fn input_for(&self, frames: usize) -> usize {
        (frames as f64 / self.inner.resample_ratio()).ceil() as usize + 1
    }

    fn run(&mut self, samples: &[i16], output: &mut Vec<i16>) {
        for part in samples.chunks(self.max_input * self.channels) {
            self.input.clear();
            self.input.extend(part.iter().copied().map(to_f32));
            let written = self.run_once(part.len() / self.channels).unwrap_or(0);
            let samples = self.output.get(..written * self.channels).unwrap_or_default();
            output.extend(samples.iter().copied().map(to_i16));
        }
    }

    /// Filters the input; `None`: it was refused, which only another number of samples can cause.
    fn run_once(&mut self, frames: usize) -> Option<usize> {
        self.inner.set_chunk_size(frames).ok()?;
        let space = self.output.len() / self.channels;
        let input = InterleavedSlice::new(&self.input, self.channels, frames).ok()?;
        let mut output = InterleavedSlice::new_mut(&mut self.output, self.channels, space).ok()?;
        let (_, written) = self.inner.process_into_buffer(&input, &mut output, None).ok()?;
        Some(written)
    }
}

/// The greatest common divisor.
fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_allocated_after_the_first_frames() {
        let from = AudioFormat::new(44_100, 1).unwrap();
        let mut resampler = Resampler::new(from, AudioFormat::STEREO_48K).unwrap();
        let mut output = Vec::new();
        let mut capacities = Vec::new();
        for _ in 0..100 {
            output.clear();
            resampler.push(&[1; 882], &mut output);
            let filter = resampler.inner.as_ref().unwrap();
            capacities.push([
                filter.input.capacity(),
                filter.output.capacity(),
                resampler.mixed.capacity(),
                resampler.filtered.capacity(),
                output.capacity(),
            ]);
        }
        assert!(capacities[5..].iter().all(|other| *other == capacities[5]), "{capacities:?}");
    }
}
