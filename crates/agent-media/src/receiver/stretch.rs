//! Makes sound longer or shorter by whole periods of its pitch, which is hardly heard.

use crate::AudioFormat;

/// 400 Hz, or a multiple of a shorter period.
const SHORTEST_PERIOD_PER_SECOND: usize = 400;

/// 100 Hz.
const LONGEST_PERIOD_PER_SECOND: usize = 100;

/// Periods are searched at about this rate, and then refined.
const COARSE_RATE: usize = 8_000;

/// Sound must be as similar to itself a period later: of 1.
const SIMILAR: f32 = 0.85;

/// Mean square below which a seam is inaudible: -55 dBFS.
const QUIET: f32 = 3_400.0;

/// Makes interleaved samples longer by at most `by` samples of each channel, or shorter if it is negative,
/// and returns by how many. Zero if the sound has no period, or is too short.
pub(super) fn stretch(samples: &mut Vec<i16>, format: AudioFormat, by: i64) -> i64 {
    let channels = usize::from(format.channels());
    let rate = usize::try_from(format.sample_rate()).unwrap_or(0);
    let most = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX);
    let longest = most.min(rate / LONGEST_PERIOD_PER_SECOND).min(samples.len() / channels / 2);
    let period = match is_quiet(samples) {
        true => Some(longest),
        false => {
            let mono: Vec<f32> = samples.chunks_exact(channels).map(mean).collect();
            period(&mono, rate / SHORTEST_PERIOD_PER_SECOND, longest, (rate / COARSE_RATE).max(1))
        }
    };
    let Some(period) = period.filter(|period| *period > 0) else { return 0 };
    let Some((first, rest)) = samples.split_at_checked(period * channels) else { return 0 };
    let Some(second) = rest.get(..first.len()) else { return 0 };
    let stretched: Vec<i16> = if by < 0 {
        let seam = fade(first, second, channels);
        seam.chain(rest.iter().skip(first.len()).copied()).collect()
    } else {
        let seam = fade(second, first, channels);
        first.iter().copied().chain(seam).chain(rest.iter().copied()).collect()
    };
    *samples = stretched;
    let period = i64::try_from(period).unwrap_or(0);
    if by < 0 { -period } else { period }
}

/// From one sound to the other; both have the same length.
fn fade(from: &[i16], to: &[i16], channels: usize) -> impl Iterator<Item = i16> {
    let length = (from.len() / channels) as f32;
    let pairs = from.chunks(channels).zip(to.chunks(channels)).enumerate();
    pairs.flat_map(move |(at, (from, to))| {
        let share = at as f32 / length;
        let mix = move |(from, to): (&i16, &i16)| {
            (f32::from(*from) * (1.0 - share) + f32::from(*to) * share).round() as i16
        };
        from.iter().zip(to).map(mix)
    })
}

/// Whether the sound is so quiet that a seam in it does not matter.
pub(super) fn is_quiet(samples: &[i16]) -> bool {
    let sum: f32 = samples.iter().map(|sample| f32::from(*sample) * f32::from(*sample)).sum();
    sum < QUIET * samples.len() as f32
}

/// After how many samples the sound repeats itself.
fn period(mono: &[f32], shortest: usize, longest: usize, step: usize) -> Option<usize> {
    if longest < shortest {
        return None;
    }
    let window = (mono.len() - longest).min(longest);
    let best = |lags: &mut dyn Iterator<Item = usize>, step: usize| {
        let rated = lags.map(|lag| (lag, similarity(mono, lag, window, step)));
        rated.max_by(|(_, one), (_, other)| one.total_cmp(other))
    };
    let (coarse, _) = best(&mut (shortest..=longest).step_by(step), step)?;
    let near = coarse.saturating_sub(step - 1).max(shortest)..=(coarse + step - 1).min(longest);
    let (lag, similarity) = best(&mut near.into_iter(), 1)?;
    (similarity >= SIMILAR).then_some(lag)
}

/// How similar the beginning is to what comes `lag` samples later: 1 if it is the same, 0 if it has nothing
/// in common, looking at every `step`th sample.
fn similarity(mono: &[f32], lag: usize, window: usize, step: usize) -> f32 {
    let first = mono.iter().take(window).step_by(step);
    let second = mono.iter().skip(lag).step_by(step);
    let (mut both, mut one, mut other) = (0.0, 0.0, 0.0);
    for (a, b) in first.zip(second) {
        both += a * b;
        one += a * a;
        other += b * b;
    }
    // Silence is similar to nothing: a seam in it could be at the beginning of a sound.
    if one > 0.0 && other > 0.0 { both / (one * other).sqrt() } else { 0.0 }
}

fn mean(samples: &[i16]) -> f32 {
    samples.iter().map(|sample| f32::from(*sample)).sum::<f32>() / samples.len() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(format: AudioFormat, hertz: f32, frames: usize) -> Vec<i16> {
        let rate = format.sample_rate() as f32;
        let sample = |at: usize| ((at as f32 * hertz * std::f32::consts::TAU / rate).sin() * 10_000.0) as i16;
        (0..frames).flat_map(|at| vec![sample(at); usize::from(format.channels())]).collect()
    }

    fn steepest(samples: &[i16], channels: usize) -> u16 {
        samples.windows(channels + 1).map(|pair| pair[0].abs_diff(pair[channels])).max().unwrap()
    }

    #[test]
    fn tones_have_no_seam() {
        for (rate, channels) in [(48_000, 1), (48_000, 2), (16_000, 1), (8_000, 2)] {
            let format = AudioFormat::new(rate, channels).unwrap();
            let frames = rate as usize / 50;
            for hertz in [110.0, 200.0, 440.0, 1_000.0] {
                for by in [-(frames as i64), frames as i64, -(frames as i64) / 3] {
                    let mut samples = tone(format, hertz, frames);
                    let before = steepest(&samples, channels.into());
                    let stretched = stretch(&mut samples, format, by);
                    let case = format!("{rate} Hz, {channels} channels, {hertz} Hz by {by}: {stretched}");
                    assert_eq!(
                        stretched.signum(),
                        if hertz < 150.0 && by.abs() < frames as i64 { 0 } else { by.signum() },
                        "{case}"
                    );
                    assert!(stretched.abs() <= by.abs(), "{case}");
                    assert_eq!(
                        samples.len() as i64,
                        (frames as i64 + stretched) * i64::from(channels),
                        "{case}"
                    );
                    let after = steepest(&samples, channels.into());
                    assert!(f32::from(after) < f32::from(before) * 1.3, "{case}: {before} {after}");
                    assert!(samples.iter().any(|sample| *sample > 9_000), "{case}");
                }
            }
        }
    }

    #[test]
    fn sound_that_cannot_be_stretched() {
        let format = AudioFormat::MONO_48K;
        let mut random = fastrand::Rng::with_seed(3);
        let noise: Vec<i16> = (0..960).map(|_| random.i16(-9_000..9_000)).collect();
        for (samples, by, expected) in [
            (noise.clone(), -480, 0),
            (tone(format, 440.0, 960), -100, 0),
            (tone(format, 440.0, 960), 0, 0),
            (tone(format, 440.0, 120), -120, 0),
            (vec![], 480, 0),
            (vec![i16::MAX], i64::MIN, 0),
            // It is inaudible.
            (noise.iter().map(|sample| sample / 300).collect(), -480, -480),
            (vec![0; 960], 300, 300),
            (vec![0; 960], -1, -1),
        ] {
            let mut stretched = samples.clone();
            assert_eq!(stretch(&mut stretched, format, by), expected);
            assert_eq!(stretched.len() as i64, samples.len() as i64 + expected);
        }
    }
}
