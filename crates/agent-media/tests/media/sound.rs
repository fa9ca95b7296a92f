//! Sound to test with, and how to compare it.

use std::f64::consts::TAU;

use agent_media::AudioFormat;

/// A tone of this frequency and amplitude (1.0: the loudest), the same in all channels.
pub(crate) fn tone(format: AudioFormat, frequency: f64, amplitude: f64, frames: usize) -> Vec<i16> {
    let rate = f64::from(format.sample_rate());
    let sample = |n: usize| (n as f64 * frequency / rate * TAU).sin() * amplitude * 32_767.0;
    let all = (0..frames).flat_map(|n| std::iter::repeat_n(sample(n) as i16, format.channels().into()));
    all.collect()
}

/// Something like speech: a voice of changing pitch with formants, in syllables with pauses between them.
pub(crate) fn speech(format: AudioFormat, frames: usize) -> Vec<i16> {
    let rate = f64::from(format.sample_rate());
    let mut phase = 0.0;
    let mut samples = Vec::new();
    for n in 0..frames {
        let t = n as f64 / rate;
        let pitch = 120.0 + 30.0 * (t * 1.3 * TAU).sin();
        phase += pitch / rate;
        let syllable = (t * 3.0 * TAU).sin().max(0.0).sqrt();
        let formant = 500.0 + 250.0 * (t * 2.1 * TAU).sin();
        let harmonic = |k: f64| {
            let away = (k * pitch - formant) / 300.0;
            (phase * k * TAU).sin() * (0.05 + (-away * away).exp()) / k.sqrt()
        };
        let sum: f64 = (1..=20).map(|k| harmonic(f64::from(k))).sum();
        let sample = (syllable * sum * 6_000.0).clamp(-32_000.0, 32_000.0) as i16;
        samples.extend(std::iter::repeat_n(sample, format.channels().into()));
    }
    samples
}

/// The mean power of samples, in decibels of their unit.
pub(crate) fn power(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    10.0 * (sum / samples.len().max(1) as f64).log10()
}

/// How much of a signal is a tone of this frequency: its power in decibels, of the unit of [`power`].
pub(crate) fn power_at(samples: &[i16], rate: u32, frequency: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let (sin, cos) = (n as f64 * frequency / f64::from(rate) * TAU).sin_cos();
        re += f64::from(*sample) * cos;
        im += f64::from(*sample) * sin;
    }
    let len = samples.len().max(1) as f64;
    10.0 * (2.0 * (re * re + im * im) / (len * len)).log10()
}

/// The signal-to-noise ratio in decibels of a copy that is late by up to `max_lag` samples, after the best
/// gain. The lag is that of the best correlation in the beginning.
pub(crate) fn snr(original: &[i16], copy: &[i16], max_lag: usize) -> f64 {
    const SEARCHED: usize = 20_000;
    let late = |lag: usize| copy.get(lag..).unwrap_or_default();
    let product = |a: &[i16], b: &[i16]| -> i64 {
        a.iter().zip(b).map(|(a, b)| i64::from(i32::from(*a) * i32::from(*b))).sum()
    };
    let beginning = &original[..original.len().min(SEARCHED)];
    let lag = (0..=max_lag).max_by_key(|lag| product(beginning, late(*lag))).unwrap_or(0);
    let copy = late(lag);
    let original = &original[..original.len().min(copy.len())];
    let own = product(original, original) as f64;
    let gain = product(original, copy) as f64 / own;
    let noise = original.iter().zip(copy).map(|(a, b)| (f64::from(*b) - gain * f64::from(*a)).powi(2));
    10.0 * (own * gain * gain / noise.sum::<f64>().max(1.0)).log10()
}
