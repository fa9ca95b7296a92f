//! A tone of 440 Hz, and something like a voice, through an encoder, a network, and a receiver.

use super::*;
use crate::{Application, EncoderOptions, RopusCodec, opus_packet};

const HERTZ: f64 = 440.0;
/// -20 dBFS.
const AMPLITUDE: f64 = 3_276.7;

/// What happens to packets on their way.
struct Network {
    /// Percent.
    loss: u32,
    /// Milliseconds.
    jitter: u64,
    /// Parts per million by which the sender's clock is slow.
    drift: f64,
}

const CLEAN: Network = Network { loss: 0, jitter: 0, drift: 0.0 };
const BAD: Network = Network { loss: 2, jitter: 30, ..CLEAN };

fn tone(at: u32) -> f64 {
    (f64::from(at) * HERTZ * std::f64::consts::TAU / 48_000.0).sin() * AMPLITUDE
}

/// Syllables of a voice of 150 Hz. An encoder takes a steady tone for noise: it has no copies, and DTX ends
/// it.
fn voice(at: u32) -> f64 {
    let turns = f64::from(at) / 48_000.0 * std::f64::consts::TAU;
    let harmonics = (1..20).map(|harmonic| (turns * 150.0 * f64::from(harmonic)).sin() / f64::from(harmonic));
    harmonics.sum::<f64>() * AMPLITUDE * (turns * 2.0).sin().abs()
}

/// The samples of a packet.
fn frame(number: u32, sound: fn(u32) -> f64) -> Vec<i16> {
    (number * 960..(number + 1) * 960).map(|at| sound(at) as i16).collect()
}

impl Network {
    fn packets(&self, seconds: u32, options: &EncoderOptions, sound: fn(u32) -> f64) -> Vec<EncodedPacket> {
        let mut encoder = RopusCodec.encoder(AudioFormat::MONO_48K, options).unwrap();
        let mut random = fastrand::Rng::with_seed(11);
        let mut packets = Vec::new();
        for number in 0..seconds * 50 {
            let mut payload = Vec::new();
            encoder.encode(&frame(number, sound), &mut payload).unwrap();
            let sent = Duration::from_secs_f64(f64::from(number) * 0.02 * (1.0 + self.drift / 1e6));
            let received = at(100) + sent + Duration::from_micros(random.u64(0..=self.jitter * 1_000));
            if random.u32(0..100) >= self.loss {
                let packet = EncodedPacket::new(payload, number.into(), number * 960);
                packets.push(EncodedPacket { received, ..packet });
            }
        }
        packets.sort_by_key(|packet| packet.received);
        packets
    }

    /// Heard sound, without the first and the last second, in one channel.
    fn heard(&self, format: AudioFormat, seconds: u32) -> (Vec<f64>, AudioReceiverStats) {
        let mut receiver =
            AudioReceiver::new(&RopusCodec, AudioReceiverOptions::new().format(format)).unwrap();
        let all = heard(&mut receiver, self.packets(seconds, &EncoderOptions::new(), tone));
        let channels = usize::from(format.channels());
        let samples = all.iter().flat_map(|(_, received)| received.audio.samples().iter().step_by(channels));
        let rate = format.sample_rate() as usize;
        let count = rate * (seconds as usize - 2);
        let sound: Vec<f64> = samples.map(|sample| f64::from(*sample)).skip(rate).take(count).collect();
        assert_eq!(sound.len(), count);
        (sound, receiver.stats())
    }
}

/// Rising zero crossings per second.
fn hertz(sound: &[f64], rate: u32) -> f64 {
    let crossings = sound.windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count();
    crossings as f64 * f64::from(rate) / sound.len() as f64
}

/// In decibels, compared with the tone.
fn level(sound: &[f64]) -> f64 {
    let mean = sound.iter().map(|sample| sample * sample).sum::<f64>() / sound.len() as f64;
    10.0 * (mean * 2.0 / AMPLITUDE / AMPLITUDE).log10()
}

#[test]
fn a_tone() {
    for (network, rate, channels, hertz_off, quietest) in [
        (&CLEAN, 48_000, 2, 0.5, -1.0),
        (&CLEAN, 48_000, 1, 0.5, -1.0),
        (&CLEAN, 16_000, 1, 0.5, -1.0),
        (&CLEAN, 44_100, 1, 0.5, -1.0),
        (&BAD, 48_000, 2, 3.0, -30.0),
        (&BAD, 16_000, 1, 3.0, -30.0),
        (&Network { drift: 500.0, ..BAD }, 48_000, 1, 3.0, -30.0),
        (&Network { drift: -500.0, ..CLEAN }, 48_000, 1, 0.5, -1.0),
    ] {
        let (sound, stats) = network.heard(AudioFormat::new(rate, channels).unwrap(), 20);
        let case = format!(
            "{rate} Hz, {channels} channels, {} % loss, {} ppm: {stats:?}",
            network.loss, network.drift
        );
        let (frequency, loudness) = (hertz(&sound, rate), level(&sound));
        let block = usize::try_from(rate / 100).unwrap();
        let gap = sound.chunks(block).map(level).fold(0.0, f64::min);
        assert!((frequency - HERTZ).abs() < hertz_off, "{frequency}: {case}");
        assert!(loudness.abs() < 1.0, "{loudness} dB: {case}");
        assert!(gap > quietest, "{gap} dB: {case}");
        assert_eq!(stats.invalid, 0);
    }
}

/// Speech is encoded with copies of the packets before, which take the place of lost ones.
#[test]
fn copies_of_lost_packets() {
    let options =
        EncoderOptions::new().application(Application::Voip).bitrate(24_000).fec(true).expected_loss(20);
    let network = Network { loss: 10, ..BAD };
    let mut receiver = AudioReceiver::new(&RopusCodec, AudioReceiverOptions::new()).unwrap();
    let all = heard(&mut receiver, network.packets(10, &options, voice));
    let stats = receiver.stats();
    assert!(stats.jitter.recovered * 3 > stats.jitter.lost, "{stats:?}");
    let concealed = all.iter().filter(|(_, received)| received.is_concealed).count();
    assert!(concealed > 0 && stats.invalid == 0, "{concealed}: {stats:?}");
}

/// Two seconds of voice, of silence that is mostly not sent, and of voice: the sound continues.
#[test]
fn silence_that_is_not_sent() {
    for announced in [true, false] {
        let mut encoder = RopusCodec
            .encoder(AudioFormat::MONO_48K, &EncoderOptions::new().application(Application::Voip).dtx(true))
            .unwrap();
        let (mut packets, mut unsent, mut is_silent) = (Vec::new(), 0, false);
        for number in 0..300_u32 {
            let sound = if (100..200).contains(&number) { |_| 0.0 } else { voice };
            let mut payload = Vec::new();
            encoder.encode(&frame(number, sound), &mut payload).unwrap();
            let is_dtx = opus_packet::is_dtx(&payload);
            if is_dtx && (is_silent || !announced) {
                unsent += 1;
            } else {
                let packet = EncodedPacket::new(payload, packets.len() as u64, number * 960);
                packets.push(EncodedPacket { received: at(u64::from(number) * 20), ..packet });
            }
            is_silent = is_dtx;
        }
        assert!(unsent > 50, "{unsent}");
        let mut receiver = AudioReceiver::new(&RopusCodec, AudioReceiverOptions::new()).unwrap();
        let all = heard(&mut receiver, packets);
        for pair in all.windows(2) {
            let ((before, sound), (after, _)) = (&pair[0], &pair[1]);
            let gap = (*after - *before).as_secs_f64() - sound.audio.duration().as_secs_f64();
            assert!(gap.abs() < 1e-6, "{gap} at {before}");
        }
        let level_in = |from: u64, to: u64| {
            let inside = all.iter().filter(|(time, _)| (at(from)..at(to)).contains(time));
            let levels = inside.map(|(_, received)| received.audio.level().rms);
            levels.fold(-127.0, f32::max)
        };
        let levels = [level_in(200, 1_900), level_in(2_400, 3_900), level_in(4_200, 5_900)];
        assert!(levels[0] > -25.0 && levels[1] < -55.0 && levels[2] > -25.0, "{announced}: {levels:?}");
        assert_eq!(receiver.stats().jitter.lost, 0);
    }
}
