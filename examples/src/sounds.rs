//! Sounds for the tests of examples.

use std::f64::consts::TAU;
use std::time::Duration;

use agent_worker::media::{AudioFormat, AudioFrame};

/// Something like vowels, in syllables: the harmonics of a voice of 130 Hz that falls and rises. The format
/// is mono.
#[must_use]
pub fn vowels(format: AudioFormat, duration: Duration) -> AudioFrame {
    let (rate, mut phase) = (f64::from(format.sample_rate()), 0.0);
    let mut sample = |n: usize| {
        let time = n as f64 / rate;
        phase += (130.0 + 20.0 * (time * TAU).sin()) * TAU / rate;
        let harmonic = |k: u32| {
            let hertz = 130.0 * f64::from(k);
            let near = |formant: f64| (-((hertz - formant) / 150.0).powi(2)).exp();
            (near(700.0) + 0.6 * near(1_200.0) + 0.3 * near(2_500.0) + 0.05) * (phase * f64::from(k)).sin()
        };
        let syllable = (time * 4.0 * TAU / 2.0).sin().powi(2);
        (4_000.0 * syllable * (1..30).map(harmonic).sum::<f64>()) as i16
    };
    let mut audio = AudioFrame::silence(format, duration);
    audio.samples_mut().iter_mut().enumerate().for_each(|(n, value)| *value = sample(n));
    audio
}
