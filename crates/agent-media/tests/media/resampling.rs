//! Resampling of streams, pushed in pieces of any size.

use std::f64::consts::TAU;

use proptest::prelude::*;

use agent_media::{AudioFormat, Resampler};

use crate::sound::{power, power_at, tone};

fn format(rate: u32, channels: u8) -> AudioFormat {
    AudioFormat::new(rate, channels).unwrap()
}

/// The output for an input that comes in pieces of this many sample frames.
fn resampled(from: AudioFormat, to: AudioFormat, samples: &[i16], frames: usize) -> Vec<i16> {
    let mut resampler = Resampler::new(from, to).unwrap();
    let mut output = Vec::new();
    for piece in samples.chunks(frames * usize::from(from.channels())) {
        resampler.push(piece, &mut output);
    }
    resampler.flush(&mut output);
    output
}

#[test]
fn a_tone_keeps_frequency_and_level() {
    for (from, to) in [
        (format(48_000, 1), format(16_000, 1)),
        (format(16_000, 1), format(48_000, 2)),
        (format(24_000, 2), format(48_000, 1)),
        (format(44_100, 2), format(48_000, 2)),
        (format(22_050, 1), format(48_000, 1)),
        (format(44_101, 1), format(48_000, 1)),
        (format(192_000, 1), format(8_000, 1)),
        (format(8_000, 1), format(192_000, 1)),
    ] {
        let source = tone(from, 440.0, 0.5, from.sample_rate() as usize);
        let output = resampled(from, to, &source, from.sample_rate() as usize / 50);
        let left: Vec<i16> = output.iter().copied().step_by(to.channels().into()).collect();
        let half = &left[left.len() / 4..left.len() * 3 / 4];
        let (expected, all) = (power(&tone(to.mono(), 440.0, 0.5, 48_000)), power(half));
        let at_440 = power_at(half, to.sample_rate(), 440.0);
        assert!(
            (all - expected).abs() < 0.05 && (all - at_440).abs() < 0.05,
            "{from} to {to}: {expected} {all} {at_440}"
        );
        let noise = all - power_beside(half, to.sample_rate());
        assert!(noise > 60.0, "{from} to {to}: noise at -{noise} dB");
    }
}

/// The power of what is left without the tone of 440 Hz.
fn power_beside(samples: &[i16], rate: u32) -> f64 {
    let angle = |n: usize| n as f64 * 440.0 / f64::from(rate) * TAU;
    let len = samples.len() as f64;
    let sum = |wave: fn(f64) -> f64| -> f64 {
        samples.iter().enumerate().map(|(n, s)| f64::from(*s) * wave(angle(n))).sum::<f64>() * 2.0 / len
    };
    let (cos, sin) = (sum(f64::cos), sum(f64::sin));
    let rest = |(n, s): (usize, &i16)| f64::from(*s) - cos * angle(n).cos() - sin * angle(n).sin();
    let total: f64 = samples.iter().enumerate().map(|pair| rest(pair).powi(2)).sum();
    10.0 * (total / len).log10()
}

#[test]
fn frequencies_that_the_output_cannot_carry_are_filtered() {
    let (from, to) = (format(48_000, 1), format(16_000, 1));
    for frequency in [8_800.0, 12_000.0, 20_000.0] {
        let source = tone(from, frequency, 0.9, 48_000);
        let output = resampled(from, to, &source, 960);
        let quieter = power(&source) - power(&output[1_000..15_000]);
        assert!(quieter > 70.0, "{frequency} Hz is only {quieter} dB quieter");
    }
}

#[test]
fn the_reported_delay_is_the_actual_one() {
    for (from, to) in
        [(48_000, 16_000), (16_000, 48_000), (44_100, 48_000), (48_000, 11_025), (8_000, 48_000)]
    {
        let (from, to) = (format(from, 1), format(to, 1));
        let resampler = Resampler::new(from, to).unwrap();
        assert!(resampler.delay().as_micros() <= 6_000, "{:?}", resampler.delay());
        let mut source = vec![0; from.sample_rate() as usize / 5];
        let at = source.len() / 2;
        // A click that both rates can carry.
        let width = from.sample_rate() as usize / 4_000;
        source[at - width..=at + width].fill(10_000);
        let output = resampled(from, to, &source, 777);
        let peak = output.iter().enumerate().max_by_key(|(_, sample)| **sample).unwrap().0;
        let (late, promised) = (to.duration_of(peak), from.duration_of(at) + resampler.delay());
        let wrong = late.abs_diff(promised);
        assert!(wrong.as_micros() < 500, "{from} to {to}: {late:?} instead of {promised:?}");
    }
}

#[test]
fn equal_rates_are_only_mixed() {
    let (mono, stereo) = (format(16_000, 1), format(16_000, 2));
    assert_eq!(resampled(stereo, mono, &[1, 3, -5, 5, 9], 1), [2, 0]);
    assert_eq!(resampled(mono, stereo, &[1, 2], 1), [1, 1, 2, 2]);
    assert_eq!(resampled(mono, mono, &[1, 2], 7), [1, 2]);
    assert!(Resampler::new(mono, stereo).unwrap().delay().is_zero());
}

/// A real-time stream has in each period what is sent in it.
#[test]
fn the_output_is_as_long_as_the_input() {
    for from in [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 96_000, 192_000] {
        for to in AudioFormat::OPUS_RATES {
            let (from, to) = (format(from, 1), format(to, 1));
            let mut resampler = Resampler::new(from, to).unwrap();
            let mut output = Vec::new();
            let frame = from.sample_rate() as usize / 100;
            for n in 1..=200 {
                resampler.push(&vec![0; frame], &mut output);
                let expected = n * frame * to.sample_rate() as usize / from.sample_rate() as usize;
                assert!(
                    output.len().abs_diff(expected) <= 1,
                    "{from} to {to}: {} of {expected}",
                    output.len()
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn pieces_of_any_size_give_the_same(
        from in prop_oneof![8_000..=192_000_u32, Just(44_100), Just(48_000), Just(16_000)],
        to in prop_oneof![8_000..=192_000_u32, Just(48_000), Just(16_000)],
        channels in (1..=2_u8, 1..=2_u8),
        pieces in proptest::collection::vec(0..5_000_usize, 1..12),
    ) {
        let (from, to) = (format(from, channels.0), format(to, channels.1));
        let frames: usize = pieces.iter().sum();
        let source = tone(from, 300.0, 0.9, frames);
        let mut resampler = Resampler::new(from, to).unwrap();
        let (mut output, mut rest) = (Vec::new(), source.as_slice());
        for piece in pieces {
            let (now, later) = rest.split_at(piece * usize::from(from.channels()));
            resampler.push(now, &mut output);
            rest = later;
        }
        let len = output.len() / usize::from(to.channels());
        let expected = frames as f64 * f64::from(to.sample_rate()) / f64::from(from.sample_rate());
        prop_assert!((len as f64 - expected).abs() <= 2.0, "{} instead of {}", len, expected);
        resampler.flush(&mut output);
        let at_once = resampled(from, to, &source, frames.max(1));
        prop_assert!(output.len().abs_diff(at_once.len()) <= 4);
        // Positions are kept in floating point, so the last bit may differ.
        prop_assert!(output.iter().zip(&at_once).all(|(a, b)| a.abs_diff(*b) <= 2));
    }
}
