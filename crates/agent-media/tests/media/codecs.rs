//! Codecs through the trait alone, so that each implementation can be held to it.

use std::time::Duration;

use proptest::prelude::*;

use agent_media::opus_packet;
use agent_media::{
    Application, AudioCodec, AudioDecoder, AudioEncoder, AudioFormat, CodecError, EncoderOptions,
};

use crate::CODECS;
use crate::sound::{power, power_at, snr, speech, tone};

fn encode(encoder: &mut dyn AudioEncoder, samples: &[i16], frame: usize) -> Vec<Vec<u8>> {
    let packet = |samples: &[i16]| {
        let mut packet = Vec::new();
        encoder.encode(samples, &mut packet).unwrap();
        packet
    };
    samples.chunks_exact(frame).map(packet).collect()
}

fn decode(decoder: &mut dyn AudioDecoder, packets: &[Vec<u8>]) -> Vec<i16> {
    let mut samples = Vec::new();
    for packet in packets {
        decoder.decode(packet, &mut samples).unwrap();
    }
    samples
}

#[test]
fn a_tone_survives_in_every_format() {
    for codec in CODECS {
        for (rate, channels) in [(8_000, 1), (12_000, 1), (16_000, 2), (24_000, 1), (48_000, 1), (48_000, 2)]
        {
            let format = AudioFormat::new(rate, channels).unwrap();
            let source = tone(format, 440.0, 0.25, rate as usize);
            let mut encoder = codec.encoder(format, &EncoderOptions::new()).unwrap();
            let packets = encode(&mut *encoder, &source, format.samples_in(Duration::from_millis(20)));
            for out in [AudioFormat::MONO_16K, AudioFormat::MONO_48K, AudioFormat::STEREO_48K] {
                let samples = decode(&mut *codec.decoder(out).unwrap(), &packets);
                assert_eq!(samples.len(), out.samples_in(Duration::from_secs(1)), "{format} to {out}");
                let step = usize::from(out.channels());
                let left: Vec<i16> = samples.iter().copied().step_by(step).collect();
                let half = &left[left.len() / 2..];
                let expected = power(&tone(out.mono(), 440.0, 0.25, 4_800));
                let (all, at_440) = (power(half), power_at(half, out.sample_rate(), 440.0));
                let most = if rate == 48_000 { 0.2 } else { 0.3 };
                assert!((all - expected).abs() < most, "{format} to {out}: {all} instead of {expected} dB");
                assert!(
                    (all - at_440).abs() < 0.1,
                    "{format} to {out}: {all} dB, of which {at_440} at 440 Hz"
                );
            }
        }
    }
}

#[test]
fn frames_of_all_durations() {
    for codec in CODECS {
        for millis in [10, 20, 40, 60] {
            for (application, least) in [(Application::Audio, 15.0), (Application::Voip, 6.0)] {
                let options = EncoderOptions::new().application(application);
                let format = AudioFormat::STEREO_48K;
                let frame = format.samples_in(Duration::from_millis(millis));
                let source = speech(format, 48_000);
                let mut encoder = codec.encoder(format, &options).unwrap();
                let packets = encode(&mut *encoder, &source, frame);
                for packet in &packets {
                    assert_eq!(opus_packet::duration(packet), Some(Duration::from_millis(millis)));
                }
                let copy = decode(&mut *codec.decoder(format).unwrap(), &packets);
                assert_eq!(copy.len(), packets.len() * frame);
                let left = |samples: &[i16]| samples.iter().copied().step_by(2).collect::<Vec<_>>();
                let snr = snr(&left(&source)[4_800..40_000], &left(&copy)[4_800..], 900);
                assert!(snr > least, "{millis} ms, {options:?}: {snr} dB");
            }
        }
    }
}

#[test]
fn the_bitrate_is_kept() {
    for codec in CODECS {
        for (format, bitrate) in [(AudioFormat::MONO_48K, 24_000), (AudioFormat::STEREO_48K, 96_000)] {
            let options = EncoderOptions::new().bitrate(bitrate);
            let mut encoder = codec.encoder(format, &options).unwrap();
            let source = tone(format, 440.0, 0.3, 2 * 48_000);
            let packets = encode(&mut *encoder, &source, format.samples_in(Duration::from_millis(20)));
            let bits = 8 * packets.iter().map(Vec::len).sum::<usize>() / 2;
            assert!(bits < bitrate as usize * 13 / 10, "{bits} instead of {bitrate} bits per second");

            // The change of an option applies to the next frames.
            encoder.configure(&options.bitrate(bitrate / 3)).unwrap();
            let packets = encode(&mut *encoder, &source, format.samples_in(Duration::from_millis(20)));
            let fewer = 8 * packets.iter().map(Vec::len).sum::<usize>() / 2;
            assert!(fewer < bits * 2 / 3, "{bits}, then {fewer} bits per second");
        }
    }
}

#[test]
fn silence_need_not_be_sent() {
    for codec in CODECS {
        for (dtx, expected) in [(true, 150..200), (false, 0..1)] {
            let mut encoder = codec.encoder(AudioFormat::MONO_48K, &EncoderOptions::new().dtx(dtx)).unwrap();
            let packets = encode(&mut *encoder, &vec![0; 4 * 48_000], 960);
            let unsent = packets.iter().filter(|packet| opus_packet::is_dtx(packet)).count();
            assert!(expected.contains(&unsent), "{unsent} of {}", packets.len());
            let samples = decode(&mut *codec.decoder(AudioFormat::MONO_48K).unwrap(), &packets);
            assert!(power(&samples) < 10.0);
        }
    }
}

/// Every tenth packet is lost.
fn with_losses(codec: &dyn AudioCodec, packets: &[Vec<u8>], fec: bool) -> Vec<i16> {
    let mut decoder = codec.decoder(AudioFormat::MONO_48K).unwrap();
    let mut samples = Vec::new();
    for (n, packet) in packets.iter().enumerate() {
        let added = match packets.get(n + 1) {
            Some(next) if n % 10 == 9 && fec => decoder.decode_fec(next, 960, &mut samples),
            _ if n % 10 == 9 => decoder.conceal(960, &mut samples),
            _ => decoder.decode(packet, &mut samples),
        };
        assert_eq!(added, Ok(960));
    }
    samples
}

#[test]
fn losses_are_concealed_or_rebuilt() {
    for codec in CODECS {
        let options = EncoderOptions::new().expected_loss(10);
        let source = speech(AudioFormat::MONO_48K, 4 * 48_000);
        let packets = encode(&mut *codec.encoder(AudioFormat::MONO_48K, &options).unwrap(), &source, 960);
        let with_copies = packets.iter().filter(|packet| opus_packet::has_fec(packet)).count();
        assert!(with_copies > packets.len() / 2, "{with_copies} of {} packets", packets.len());

        let whole = decode(&mut *codec.decoder(AudioFormat::MONO_48K).unwrap(), &packets);
        let (concealed, rebuilt) = (with_losses(codec, &packets, false), with_losses(codec, &packets, true));
        let (without, with) = (snr(&whole, &concealed, 0), snr(&whole, &rebuilt, 0));
        assert!(without > 3.0 && with > without + 4.0, "{without}, with copies {with} dB");
        let lost = |samples: &[i16]| {
            let frames = samples.chunks_exact(960).skip(9).step_by(10);
            power(&frames.flatten().copied().collect::<Vec<_>>())
        };
        let fade = lost(&concealed) - lost(&whole);
        assert!((-18.0..3.0).contains(&fade), "concealed at {fade} dB");

        let plain = options.fec(false);
        let packets = encode(&mut *codec.encoder(AudioFormat::MONO_48K, &plain).unwrap(), &source, 960);
        assert!(!packets.iter().any(|packet| opus_packet::has_fec(packet)));
    }
}

#[test]
fn invalid_frames_and_packets_are_refused() {
    for codec in CODECS {
        let format = AudioFormat::new(44_100, 1).unwrap();
        assert_eq!(
            codec.encoder(format, &EncoderOptions::new()).unwrap_err(),
            CodecError::SampleRate(44_100)
        );
        assert_eq!(codec.decoder(format).unwrap_err(), CodecError::SampleRate(44_100));
        let mut encoder = codec.encoder(AudioFormat::MONO_48K, &EncoderOptions::new()).unwrap();
        let mut packet = vec![7];
        assert!(matches!(encoder.encode(&[0; 100], &mut packet), Err(CodecError::FrameSize { .. })));
        assert_eq!(packet, [7]);
        let mut decoder = codec.decoder(AudioFormat::MONO_48K).unwrap();
        let mut samples = vec![7];
        assert_eq!(decoder.decode(&[], &mut samples), Err(CodecError::InvalidPacket(0)));
        assert_eq!(decoder.decode(&[0xfb, 0], &mut samples), Err(CodecError::InvalidPacket(2)));
        assert!(matches!(decoder.conceal(1, &mut samples), Err(CodecError::FrameSize { .. })));
        assert!(matches!(decoder.decode_fec(&[0xf8], 1, &mut samples), Err(CodecError::FrameSize { .. })));
        assert_eq!(samples, [7]);
    }
}

#[test]
fn extreme_options_are_clamped() {
    for codec in CODECS {
        let options = EncoderOptions::new().bitrate(u32::MAX).complexity(u8::MAX).expected_loss(u8::MAX);
        let mut encoder = codec.encoder(AudioFormat::MONO_16K, &options).unwrap();
        encoder.configure(&EncoderOptions::new().bitrate(0).complexity(0)).unwrap();
        assert_eq!(encode(&mut *encoder, &[0; 320], 320).len(), 1);
    }
}

#[test]
fn a_reset_begins_a_new_stream() {
    for codec in CODECS {
        let source = speech(AudioFormat::MONO_16K, 16_000);
        let mut encoder = codec.encoder(AudioFormat::MONO_16K, &EncoderOptions::new()).unwrap();
        let first = encode(&mut *encoder, &source, 320);
        encoder.reset();
        assert_eq!(encode(&mut *encoder, &source, 320), first);
        let mut decoder = codec.decoder(AudioFormat::MONO_16K).unwrap();
        let samples = decode(&mut *decoder, &first);
        decoder.reset();
        assert_eq!(decode(&mut *decoder, &first), samples);
    }
}

/// What can happen to a decoder.
#[derive(Clone, Debug)]
enum Step {
    Garbage(Vec<u8>),
    /// A packet of the stream with one bit changed.
    Flipped(usize, usize),
    Packet(usize),
    Lost(usize),
    Fec(usize, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200).prop_map(Step::Garbage),
        (0..50_usize, 0..2_000_usize).prop_map(|(packet, bit)| Step::Flipped(packet, bit)),
        (0..50_usize).prop_map(Step::Packet),
        (0..4_000_usize).prop_map(Step::Lost),
        (0..50_usize, 1..12_usize).prop_map(|(packet, parts)| Step::Fec(packet, 480 * parts)),
    ];
    proptest::collection::vec(step, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 64 } else { 2_000 }))]

    #[test]
    fn no_packets_panic(steps in steps(), channels in 1..=2_u8, rate in 0..5_usize) {
        let format = AudioFormat::new(AudioFormat::OPUS_RATES[rate], channels).unwrap();
        for codec in CODECS {
            let source = speech(AudioFormat::STEREO_48K, 48_000);
            let mut encoder = codec.encoder(AudioFormat::STEREO_48K, &EncoderOptions::new().expected_loss(20));
            let packets = encode(&mut **encoder.as_mut().unwrap(), &source, 1_920);
            let mut decoder = codec.decoder(format).unwrap();
            for step in &steps {
                let mut samples = Vec::new();
                let result = match step {
                    Step::Garbage(bytes) => decoder.decode(bytes, &mut samples),
                    Step::Packet(n) => decoder.decode(&packets[*n], &mut samples),
                    Step::Flipped(n, bit) => {
                        let mut packet = packets[*n].clone();
                        let at = bit / 8 % packet.len();
                        packet[at] ^= 1 << (bit % 8);
                        decoder.decode(&packet, &mut samples)
                    }
                    Step::Lost(frames) => decoder.conceal(*frames, &mut samples),
                    Step::Fec(n, frames) => decoder.decode_fec(&packets[*n], *frames, &mut samples),
                };
                let frames = samples.len() / usize::from(channels);
                prop_assert_eq!(result.unwrap_or(0), frames);
                prop_assert!(format.duration_of(frames) <= Duration::from_millis(120));
            }
        }
    }

    #[test]
    fn no_samples_panic(seed in any::<u64>(), frame in 0..4_usize, channels in 1..=2_u8, audio in any::<bool>()) {
        let format = AudioFormat::new(48_000, channels).unwrap();
        let len = format.samples_in([10, 20, 40, 60].map(Duration::from_millis)[frame]);
        let application = if audio { Application::Audio } else { Application::Voip };
        for codec in CODECS {
            let options = EncoderOptions::new().application(application);
            let mut encoder = codec.encoder(format, &options).unwrap();
            let mut state = seed | 1;
            for amplitude in [0_u64, 1, 3, 100, 0xffff, 0, 0xffff] {
                let samples: Vec<i16> = std::iter::repeat_with(|| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    (state & amplitude) as i16
                })
                .take(len)
                .collect();
                let mut packet = Vec::new();
                encoder.encode(&samples, &mut packet).unwrap();
                prop_assert!((1..=opus_packet::MAX_PACKET_LEN).contains(&packet.len()));
                prop_assert_eq!(opus_packet::channels(&packet).is_some(), true);
            }
        }
    }
}
