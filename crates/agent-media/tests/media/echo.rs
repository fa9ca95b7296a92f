//! The delay that an agent adds to sound that it receives and sends back, on virtual time.

use std::time::Duration;

use agent_media::{
    Application, AudioCodec, AudioFormat, AudioReceiver, AudioReceiverOptions, AudioSender,
    AudioSenderOptions, AudioSenderOutput, EncodedPacket, EncoderOptions, RopusCodec,
};
use agent_proto::Time;

/// The format of the sound that the agent receives.
const SENT: AudioFormat = AudioFormat::STEREO_48K;

/// Bursts of sound: how many there are, at which packet each one begins, and how many packets it has.
const BURSTS: u32 = 20;
const EVERY: u32 = 47;
const LENGTH: u32 = 15;

fn at(millis: f64) -> Time {
    Time::ZERO + Duration::from_secs_f64(millis / 1_000.0)
}

/// Packets of bursts with silence before each, with the times at which they arrive, up to `jitter`
/// milliseconds late.
fn packets(jitter: f64) -> Vec<EncodedPacket> {
    let options = EncoderOptions::new().application(Application::Audio);
    let mut encoder = RopusCodec.encoder(SENT, &options).unwrap();
    let mut random = fastrand::Rng::with_seed(5);
    let mut packets: Vec<_> = (0..BURSTS * EVERY + LENGTH)
        .map(|number| {
            let turns = |at: u32| f64::from(at) / 48_000.0 * 440.0 * std::f64::consts::TAU;
            let is_loud = number >= EVERY && number % EVERY < LENGTH;
            let loudness = if is_loud { 8_000.0 } else { 0.0 };
            let samples: Vec<i16> = (number * 960..(number + 1) * 960)
                .flat_map(|at| [(turns(at).sin() * loudness) as i16; 2])
                .collect();
            let mut payload = Vec::new();
            encoder.encode(&samples, &mut payload).unwrap();
            let arrival = f64::from(number) * 20.0 + 20.0 + random.f64() * jitter;
            let packet = EncodedPacket::new(payload, number.into(), number * 960);
            let mut packet = packet;
            packet.received = at(arrival);
            packet
        })
        .collect();
    packets.sort_by_key(|packet| packet.received);
    packets
}

/// When each burst begins for someone who plays each packet when it arrives, in milliseconds.
fn heard(packets: &[(Time, Vec<u8>)]) -> Vec<f64> {
    let mut decoder = RopusCodec.decoder(AudioFormat::MONO_48K).unwrap();
    let (mut begins, mut quiet) = (Vec::new(), 0);
    for (time, packet) in packets {
        let mut samples = Vec::new();
        decoder.decode(packet, &mut samples).unwrap();
        for (at, sample) in samples.iter().enumerate() {
            quiet += 1;
            if sample.unsigned_abs() > 2_000 {
                if quiet > 4_800 {
                    begins.push((*time - Time::ZERO).as_secs_f64() * 1_000.0 + at as f64 / 48.0);
                }
                quiet = 0;
            }
        }
    }
    begins
}

/// What an agent sends that sends back what it receives.
fn echoed(format: AudioFormat, packets: Vec<EncodedPacket>) -> Vec<(Time, Vec<u8>)> {
    let mut receiver = AudioReceiver::new(&RopusCodec, AudioReceiverOptions::new().format(format)).unwrap();
    let mut sender = AudioSender::new(&RopusCodec, AudioSenderOptions::new().format(format)).unwrap();
    let mut sent = Vec::new();
    let mut packets = packets.into_iter().peekable();
    loop {
        let arrival = packets.peek().map(|packet| packet.received);
        let timeouts = [arrival, receiver.poll_timeout(), sender.poll_timeout()];
        let Some(now) = timeouts.into_iter().flatten().min() else { return sent };
        while let Some(packet) = packets.next_if(|packet| packet.received <= now) {
            receiver.push(packet, now);
        }
        receiver.handle_timeout(now);
        while let Some(received) = receiver.poll_output() {
            let taken = sender.push(format, received.audio.samples(), now).unwrap();
            assert_eq!(taken.frames, received.audio.frames());
        }
        sender.handle_timeout(now);
        while let Some(output) = sender.poll_output() {
            if let AudioSenderOutput::Packet(packet) = output {
                sent.push((now, packet.payload.to_vec()));
            }
        }
    }
}

#[test]
fn an_echo_adds_little_delay() {
    for (format, jitter, most) in [
        (AudioFormat::MONO_48K, 0.3, 20.0),
        (AudioFormat::MONO_48K, 5.0, 30.0),
        (AudioFormat::STEREO_48K, 5.0, 30.0),
        (AudioFormat::MONO_16K, 5.0, 30.0),
        (AudioFormat::MONO_48K, 15.0, 30.0),
    ] {
        let packets = packets(jitter);
        let direct: Vec<_> =
            packets.iter().map(|packet| (packet.received, packet.payload.to_vec())).collect();
        let (direct, echoed) = (heard(&direct), heard(&echoed(format, packets)));
        assert_eq!((direct.len(), echoed.len()), (BURSTS as usize, BURSTS as usize), "{format}, {jitter} ms");
        let added: Vec<f64> = direct.iter().zip(&echoed).map(|(direct, echoed)| echoed - direct).collect();
        let mean = added.iter().sum::<f64>() / added.len() as f64;
        println!("{format}, {jitter} ms of jitter: {mean:.1} ms: {added:.1?}");
        assert!(mean < most, "{format}, {jitter} ms of jitter: {added:?}");
    }
}
