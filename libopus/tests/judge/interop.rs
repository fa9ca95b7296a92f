//! Streams of one codec, decoded by the other.

use std::time::Duration;

use agent_libopus::LibopusCodec;
use agent_media::opus_packet;
use agent_media::{Application, AudioCodec, AudioFormat, EncoderOptions, RopusCodec};

use crate::sound::{power, power_at, snr, speech, tone};

const LIBOPUS: &dyn AudioCodec = &LibopusCodec;
const ROPUS: &dyn AudioCodec = &RopusCodec;

/// The packets of 20 ms.
fn encode(
    codec: &dyn AudioCodec,
    format: AudioFormat,
    options: &EncoderOptions,
    samples: &[i16],
) -> Vec<Vec<u8>> {
    let mut encoder = codec.encoder(format, options).unwrap();
    let packet = |samples: &[i16]| {
        let mut packet = Vec::new();
        encoder.encode(samples, &mut packet).unwrap();
        packet
    };
    samples.chunks_exact(format.samples_in(Duration::from_millis(20))).map(packet).collect()
}

fn decode(codec: &dyn AudioCodec, format: AudioFormat, packets: &[Vec<u8>]) -> Vec<i16> {
    let mut decoder = codec.decoder(format).unwrap();
    let mut samples = Vec::new();
    for packet in packets {
        decoder.decode(packet, &mut samples).unwrap();
    }
    samples
}

/// What is spoken through a codec of each kind of stream, at the usual bitrates.
fn streams() -> Vec<(AudioFormat, EncoderOptions)> {
    let voip = EncoderOptions::new().application(Application::Voip);
    vec![
        (AudioFormat::MONO_48K, EncoderOptions::new()),
        (AudioFormat::STEREO_48K, EncoderOptions::new().bitrate(96_000)),
        (AudioFormat::MONO_48K, voip),
        (AudioFormat::MONO_16K, voip.bitrate(24_000)),
        (AudioFormat::MONO_48K, voip.expected_loss(10)),
        (AudioFormat::MONO_48K, voip.dtx(true)),
    ]
}

#[test]
fn each_codec_decodes_packets_of_the_other() {
    for (format, options) in streams() {
        let source = speech(format, 3 * format.sample_rate() as usize);
        let out = AudioFormat::MONO_48K;
        let original = speech(out, 3 * 48_000);
        // How true to the original the reference is.
        let alone = decode(LIBOPUS, out, &encode(LIBOPUS, format, &options, &source));
        let reference = snr(&original[9_600..120_000], &alone[9_600..], 900);
        for (encoder, decoder) in [(ROPUS, LIBOPUS), (LIBOPUS, ROPUS)] {
            let packets = encode(encoder, format, &options, &source);
            let (own, other) = (decode(encoder, out, &packets), decode(decoder, out, &packets));
            let who = format!("{} to {}, {format}, {options:?}", encoder.name(), decoder.name());
            let agree = snr(&own[9_600..140_000], &other[9_600..], 2);
            assert!(agree > 35.0, "{who}: the decoders agree to {agree} dB");
            let reached = snr(&original[9_600..120_000], &other[9_600..], 900);
            assert!(reached > reference - 2.0, "{who}: {reached} dB, libopus alone {reference} dB");
        }
    }
}

#[test]
fn a_tone_keeps_its_level() {
    for (format, options) in [
        (AudioFormat::MONO_48K, EncoderOptions::new()),
        (AudioFormat::MONO_48K, EncoderOptions::new().bitrate(24_000)),
        (AudioFormat::STEREO_48K, EncoderOptions::new()),
    ] {
        let source = tone(format, 440.0, 0.25, 2 * 48_000);
        let expected = power(&tone(AudioFormat::MONO_48K, 440.0, 0.25, 48_000));
        for (encoder, decoder) in [(ROPUS, LIBOPUS), (LIBOPUS, ROPUS), (ROPUS, ROPUS)] {
            let packets = encode(encoder, format, &options, &source);
            let samples = decode(decoder, AudioFormat::MONO_48K, &packets);
            let (all, at_440) = (power(&samples[48_000..]), power_at(&samples[48_000..], 48_000, 440.0));
            let who = format!("{} to {}, {format}, {options:?}", encoder.name(), decoder.name());
            assert!(
                (all - expected).abs() < 0.2 && (all - at_440).abs() < 0.1,
                "{who}: {expected}, {all}, {at_440}"
            );
        }
    }
}

#[test]
fn both_leave_out_silence() {
    let options = EncoderOptions::new().application(Application::Voip).dtx(true);
    let silence = vec![0; 4 * 48_000];
    let unsent = |codec| {
        let packets = encode(codec, AudioFormat::MONO_48K, &options, &silence);
        packets.iter().filter(|packet| opus_packet::is_dtx(packet)).count()
    };
    let (ropus, libopus) = (unsent(ROPUS), unsent(LIBOPUS));
    assert!(ropus.abs_diff(libopus) <= 5, "ropus leaves out {ropus} packets, libopus {libopus}");

    // Speech after the silence is decoded by the other codec.
    let source = [silence, speech(AudioFormat::MONO_48K, 48_000)].concat();
    for (encoder, decoder) in [(ROPUS, LIBOPUS), (LIBOPUS, ROPUS)] {
        let packets = encode(encoder, AudioFormat::MONO_48K, &options, &source);
        let samples = decode(decoder, AudioFormat::MONO_48K, &packets);
        let (sent, received) = (power(&source[4 * 48_000..]), power(&samples[4 * 48_000..]));
        assert!((sent - received).abs() < 2.0, "{}: {sent}, then {received} dB", encoder.name());
        assert!(power(&samples[48_000..3 * 48_000]) < 15.0);
    }
}

/// Every tenth packet is lost.
fn with_losses(codec: &dyn AudioCodec, packets: &[Vec<u8>], fec: bool) -> Vec<i16> {
    let mut decoder = codec.decoder(AudioFormat::MONO_48K).unwrap();
    let mut samples = Vec::new();
    for (n, packet) in packets.iter().enumerate() {
        match packets.get(n + 1).filter(|_| fec) {
            Some(next) if n % 10 == 9 => decoder.decode_fec(next, 960, &mut samples),
            _ if n % 10 == 9 => decoder.conceal(960, &mut samples),
            _ => decoder.decode(packet, &mut samples),
        }
        .unwrap();
    }
    samples
}

#[test]
fn copies_are_read_by_the_other() {
    let options = EncoderOptions::new().application(Application::Voip).expected_loss(10);
    let source = speech(AudioFormat::MONO_48K, 8 * 48_000);
    let mut gains = Vec::new();
    for (encoder, decoder) in [(ROPUS, LIBOPUS), (LIBOPUS, ROPUS), (LIBOPUS, LIBOPUS), (ROPUS, ROPUS)] {
        let packets = encode(encoder, AudioFormat::MONO_48K, &options, &source);
        let whole = decode(decoder, AudioFormat::MONO_48K, &packets);
        let without = snr(&whole, &with_losses(decoder, &packets, false), 0);
        let with = snr(&whole, &with_losses(decoder, &packets, true), 0);
        gains.push(format!(
            "{} to {}: {without:.1}, with copies {with:.1} dB",
            encoder.name(),
            decoder.name()
        ));
        assert!(with > without + 4.0, "{gains:?}");
    }
    println!("{}", gains.join("\n"));
}

/// The default codec conceals more quietly than libopus, but does conceal.
#[test]
fn concealment_has_energy() {
    let source = speech(AudioFormat::MONO_48K, 8 * 48_000);
    for options in [EncoderOptions::new(), EncoderOptions::new().application(Application::Voip)] {
        let packets = encode(LIBOPUS, AudioFormat::MONO_48K, &options, &source);
        let faded = |codec| {
            let lost = |samples: &[i16]| {
                let frames = samples.chunks_exact(960).skip(9).step_by(10);
                power(&frames.flatten().copied().collect::<Vec<_>>())
            };
            lost(&with_losses(codec, &packets, false)) - lost(&decode(codec, AudioFormat::MONO_48K, &packets))
        };
        let (ropus, libopus) = (faded(ROPUS), faded(LIBOPUS));
        println!("{:?}: ropus {ropus:.1}, libopus {libopus:.1} dB", options.application);
        assert!(
            (-18.0..3.0).contains(&ropus) && ropus > libopus - 15.0,
            "ropus {ropus} dB, libopus {libopus} dB"
        );
    }
}
