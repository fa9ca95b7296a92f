//! The sender on virtual time, with a codec that shows what was encoded.

use std::time::Duration;

use proptest::prelude::*;

use agent_media::{
    AudioCodec, AudioDecoder, AudioEncoder, AudioFormat, AudioSender, AudioSenderOptions, AudioSenderOutput,
    CodecError, EncoderOptions, FrameDuration, OutgoingPacket, RopusCodec,
};
use agent_proto::Time;

use crate::sound::tone;

const FORMAT: AudioFormat = AudioFormat::MONO_48K;

/// Packets are the samples; silence is a packet of one byte.
#[derive(Debug)]
struct PlainCodec;

#[derive(Debug)]
struct PlainEncoder(AudioFormat);

impl AudioCodec for PlainCodec {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn encoder(&self, format: AudioFormat, _: &EncoderOptions) -> Result<Box<dyn AudioEncoder>, CodecError> {
        CodecError::check_rate(format)?;
        Ok(Box::new(PlainEncoder(format)))
    }

    fn decoder(&self, _: AudioFormat) -> Result<Box<dyn AudioDecoder>, CodecError> {
        Err(CodecError::Failed { codec: "plain", what: "no decoder" })
    }
}

impl AudioEncoder for PlainEncoder {
    fn encode(&mut self, samples: &[i16], packet: &mut Vec<u8>) -> Result<(), CodecError> {
        CodecError::check_frame(self.0, samples.len())?;
        packet.push(0xf8);
        if samples.iter().any(|sample| *sample != 0) {
            packet.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        }
        Ok(())
    }

    fn configure(&mut self, _: &EncoderOptions) -> Result<(), CodecError> {
        Ok(())
    }

    fn reset(&mut self) {}
}

fn at(micros: u64) -> Time {
    Time::from_nanos(micros * 1_000)
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn sender(options: AudioSenderOptions) -> AudioSender {
    AudioSender::new(&PlainCodec, options).unwrap()
}

fn outputs(sender: &mut AudioSender) -> Vec<AudioSenderOutput> {
    std::iter::from_fn(|| sender.poll_output()).collect()
}

/// The packets that are due until `end`, with the times at which they are sent.
fn run(sender: &mut AudioSender, end: Time) -> Vec<(Time, OutgoingPacket)> {
    let mut packets = Vec::new();
    let mut now = None;
    loop {
        for output in outputs(sender) {
            if let AudioSenderOutput::Packet(packet) = output {
                packets.push((now.unwrap_or(Time::ZERO), packet));
            }
        }
        match sender.poll_timeout() {
            Some(time) if time <= end => {
                assert!(now.is_none_or(|now| now < time), "a timeout at {now:?} is followed by {time}");
                sender.handle_timeout(time);
                now = Some(time);
            }
            _ => return packets,
        }
    }
}

fn times(packets: &[(Time, OutgoingPacket)]) -> Vec<(u64, u32, bool)> {
    let line = |(time, packet): &(Time, OutgoingPacket)| {
        (time.as_nanos() / 1_000_000, packet.timestamp, packet.marker)
    };
    packets.iter().map(line).collect()
}

fn samples(packet: &OutgoingPacket) -> Vec<i16> {
    packet.payload[1..].chunks(2).map(|two| i16::from_le_bytes([two[0], two[1]])).collect()
}

#[test]
fn packets_are_sent_in_real_time() {
    let mut sender = sender(AudioSenderOptions::new());
    let pushed = sender.push(FORMAT, &[5; 4_800], Time::ZERO).unwrap();
    assert_eq!((pushed.frames, pushed.room_in), (4_800, None));
    assert_eq!(sender.queued_duration(Time::ZERO), ms(100));
    let packets = run(&mut sender, at(99_000));
    let expected =
        [(0, 0, true), (20, 960, false), (40, 1_920, false), (60, 2_880, false), (80, 3_840, false)];
    assert_eq!(times(&packets), expected);
    assert_eq!(packets[0].1.duration, ms(20));
    assert!(packets.iter().all(|(_, packet)| samples(packet) == [5; 960]));
    assert_eq!(sender.position(at(99_000)), ms(99));
    assert!(!sender.is_played_out(at(99_000)));

    assert_eq!(sender.poll_timeout(), Some(at(100_000)));
    sender.handle_timeout(at(100_000));
    assert_eq!(outputs(&mut sender), [AudioSenderOutput::PlayedOut]);
    assert!(sender.is_played_out(at(100_000)));
    assert_eq!((sender.position(at(200_000)), sender.poll_timeout()), (ms(100), None));
}

#[test]
fn a_pause_is_in_the_timestamps() {
    let mut sender = sender(AudioSenderOptions::new());
    sender.push(FORMAT, &[5; 960], at(7_000)).unwrap();
    run(&mut sender, at(1_000_000));
    sender.push(FORMAT, &[5; 1_920], at(1_007_500)).unwrap();
    let first = outputs(&mut sender);
    assert!(
        matches!(&first[..], [AudioSenderOutput::Packet(packet)] if packet.timestamp == 48 * 1_000 + 24 && packet.marker),
        "{first:?}"
    );
    assert_eq!(sender.poll_timeout(), Some(at(1_027_500)));
}

#[test]
fn jitter_of_the_source_adds_no_delay() {
    let mut sender = sender(AudioSenderOptions::new());
    let mut last = Vec::new();
    for (n, late) in [0, 39, 3, 20, 40, 0].into_iter().enumerate() {
        let now = at((20 * n as u64 + late) * 1_000);
        sender.handle_timeout(now);
        sender.push(FORMAT, &[5; 960], now).unwrap();
        // The next one may be due only later: none is early.
        last.extend(outputs(&mut sender).into_iter().filter_map(|output| match output {
            AudioSenderOutput::Packet(packet) => Some((packet.timestamp, packet.marker)),
            AudioSenderOutput::PlayedOut => None,
        }));
    }
    let expected: Vec<_> = (0..6).map(|n| (960 * n, n == 0)).collect();
    assert_eq!(last, expected[..last.len()]);
    assert!(last.len() >= 5, "{last:?}");
}

#[test]
fn the_queue_is_bounded() {
    let mut sender = sender(AudioSenderOptions::new().queue(ms(100)));
    let pushed = sender.push(FORMAT, &[5; 9_600], Time::ZERO).unwrap();
    // The first packet has made room.
    assert_eq!((pushed.frames, pushed.room_in), (4_800 + 960, Some(ms(20))));
    let pushed = sender.push(FORMAT, &[5; 4_800], at(5_000)).unwrap();
    assert_eq!((pushed.frames, pushed.room_in), (0, Some(ms(15))));
    assert_eq!(sender.push(FORMAT, &[5; 4_800], at(20_000)).unwrap().frames, 960);

    // Of another rate.
    let pushed = sender.push(AudioFormat::MONO_16K, &[5; 16_000], at(60_000)).unwrap();
    assert!((580..=640).contains(&pushed.frames), "{pushed:?}");
    assert!(sender.queued_duration(at(60_000)) <= ms(120));
    assert!(sender.push(AudioFormat::STEREO_48K, &[1, 2, 3], at(60_000)).is_err());
}

#[test]
fn clear_stops_at_once() {
    let mut sender = sender(AudioSenderOptions::new());
    sender.push(FORMAT, &[5; 24_000], Time::ZERO).unwrap();
    run(&mut sender, at(50_000));
    assert_eq!(sender.clear(at(50_000)), ms(440));
    assert_eq!((sender.queued_duration(at(50_000)), sender.position(at(50_000))), (ms(10), ms(50)));
    assert!(run(&mut sender, at(59_000)).is_empty());
    // What follows at once is sent when the last packet is over.
    sender.push(FORMAT, &[7; 960], at(55_000)).unwrap();
    assert_eq!(times(&run(&mut sender, at(100_000))), [(60, 2_880, false)]);
}

/// Pieces of a source, one after the other in real time; returns how much was left out, and when the last
/// packet was sent, in milliseconds after it was due by its timestamp.
fn left_out(sender: &mut AudioSender, sample: i16, pieces: impl Iterator<Item = u64>) -> (Duration, i64) {
    let (mut now, mut last) = (0, 0);
    for piece in pieces {
        sender.handle_timeout(at(now * 1_000));
        sender.push(FORMAT, &vec![sample; piece as usize * 48], at(now * 1_000)).unwrap();
        for (time, packet) in run(sender, at((now + piece) * 1_000 - 1)) {
            let sent = if time == Time::ZERO { at(now * 1_000) } else { time };
            last = (sent - Time::ZERO).as_millis() as i64 - i64::from(packet.timestamp / 48);
        }
        now += piece;
    }
    (sender.stats().left_out, last)
}

#[test]
fn silence_that_always_waits_is_left_out() {
    // A piece that is longer, and then pieces of a packet each: the rest waits.
    let longer = || std::iter::once(27).chain(std::iter::repeat_n(20, 100));
    let mut quiet = sender(AudioSenderOptions::new());
    assert_eq!(left_out(&mut quiet, 1, longer()), (ms(7), 0));
    assert_eq!(quiet.position(at(10_000_000)), ms(27 + 2_000));
    // It is no silence, or is needed: by pieces that are no packets, and while there is more than real time.
    assert_eq!(left_out(&mut sender(AudioSenderOptions::new()), 100, longer()), (ms(0), 7));
    for piece in [10, 15, 30, 50] {
        let pieces = std::iter::repeat_n(piece, 100);
        assert_eq!(left_out(&mut sender(AudioSenderOptions::new()), 1, pieces).0, ms(0), "{piece} ms");
    }
    let mut fast = sender(AudioSenderOptions::new());
    for n in 0..200 {
        fast.push(FORMAT, &[1; 1_000], at(n * 10_000)).unwrap();
        outputs(&mut fast);
    }
    assert_eq!(fast.stats().left_out, ms(0));
}

/// A rest of a packet waits for the next piece also if that comes a little late.
#[test]
fn a_late_piece_is_no_end_of_the_sound() {
    let mut sender = sender(AudioSenderOptions::new());
    sender.push(FORMAT, &[100; 27 * 48], Time::ZERO).unwrap();
    let mut packets = run(&mut sender, at(27_900));
    for n in 0..50 {
        // Each is 1 ms late, and every tenth one 15 ms.
        let now = 28_000 + n * 20_000 + if n % 10 == 9 { 14_000 } else { 0 };
        packets.extend(run(&mut sender, at(now)));
        sender.push(FORMAT, &[100; 960], at(now)).unwrap();
    }
    packets.extend(run(&mut sender, at(1_028_000)));
    assert!(packets.len() >= 49, "{}", packets.len());
    for (time, packet) in packets {
        assert!(samples(&packet).iter().all(|sample| *sample == 100), "silence in the packet of {time}");
    }
}

#[test]
fn the_last_samples_wait_for_more_and_are_filled_up() {
    let mut sender = sender(AudioSenderOptions::new());
    sender.push(FORMAT, &[5; 1_000], Time::ZERO).unwrap();
    let packets = run(&mut sender, at(200_000));
    assert_eq!(times(&packets), [(0, 0, true), (60, 960, false)]);
    let last = samples(&packets[1].1);
    assert!(last[..40].iter().all(|s| *s == 5) && last[40..].iter().all(|s| *s == 0));
    assert_eq!(sender.position(at(200_000)), FORMAT.duration_of(1_000));

    // More comes in time.
    sender.push(FORMAT, &[5; 1_000], at(1_000_000)).unwrap();
    sender.push(FORMAT, &[6; 920], at(1_039_000)).unwrap();
    let packets = run(&mut sender, at(1_039_000));
    assert_eq!(packets.len(), 2);
    assert_eq!(samples(&packets[1].1)[40..], [6; 920]);

    // Known to be the last ones.
    sender.push(FORMAT, &[5; 1_000], at(2_000_000)).unwrap();
    sender.flush(at(2_000_000));
    assert_eq!(times(&run(&mut sender, at(3_000_000)))[1..], [(2_020, 960 + 2_000 * 48, false)]);
}

/// That the last samples waited is no pause: their sound follows the one before, also if the timer is late.
#[test]
fn the_last_samples_that_waited_follow_without_a_hole() {
    // The end of the second one is in the resampler, and makes a whole packet.
    for (format, frames) in [(FORMAT, 1_440), (AudioFormat::MONO_16K, 640), (AudioFormat::MONO_16K, 700)] {
        for late in [0, 1, 100] {
            let mut sender = sender(AudioSenderOptions::new());
            sender.push(format, &vec![5; frames], Time::ZERO).unwrap();
            let mut sent = Vec::new();
            while let Some(due) = sender.poll_timeout() {
                sender.handle_timeout(due + ms(late));
                sent.extend(outputs(&mut sender).into_iter().filter_map(|output| match output {
                    AudioSenderOutput::Packet(packet) => Some((packet.timestamp, packet.marker)),
                    AudioSenderOutput::PlayedOut => None,
                }));
            }
            let expected: Vec<_> = (0..sent.len() as u32).map(|n| (960 * n, n == 0)).collect();
            assert_eq!(sent, expected, "{frames} of {format}, {late} ms late");
            assert!(sent.len() >= 2, "{sent:?}");
        }
    }
    // Sound after a pause is late, whatever waited.
    let mut sender = sender(AudioSenderOptions::new());
    sender.push(FORMAT, &[5; 960], Time::ZERO).unwrap();
    sender.push(FORMAT, &[5; 480], at(61_000)).unwrap();
    assert_eq!(times(&run(&mut sender, at(101_000)))[1..], [(101, 101 * 48, true)]);
}

#[test]
fn the_end_of_resampled_sound_is_sent() {
    let mut sender = sender(AudioSenderOptions::new());
    let source = tone(AudioFormat::MONO_16K, 440.0, 0.5, 1_600);
    sender.push(AudioFormat::MONO_16K, &source, Time::ZERO).unwrap();
    let packets = run(&mut sender, at(1_000_000));
    assert_eq!(packets.len(), 6, "100 ms, and 3 ms of delay");
    assert!(samples(&packets[5].1)[..144].iter().any(|sample| sample.unsigned_abs() > 5_000));
    assert!(sender.is_played_out(at(1_000_000)));
}

#[test]
fn a_new_format_follows_without_loss() {
    let mut sender = sender(AudioSenderOptions::new().format(AudioFormat::STEREO_48K));
    for (n, format) in
        [AudioFormat::MONO_16K, AudioFormat::STEREO_48K, AudioFormat::MONO_48K].iter().enumerate()
    {
        let frames = format.frames_in(ms(20));
        let pushed = sender.push(*format, &tone(*format, 440.0, 0.5, frames), at(n as u64)).unwrap();
        assert_eq!(pushed.frames, frames);
    }
    let queued = sender.queued_duration(at(2));
    assert!(queued.abs_diff(ms(63)) < ms(1), "{queued:?}");
}

#[test]
fn silence_and_muted_sound_pass_unsent() {
    let mut sender = sender(AudioSenderOptions::new());
    sender.push(FORMAT, &[vec![5; 960], vec![0; 1_920], vec![5; 960]].concat(), Time::ZERO).unwrap();
    assert_eq!(times(&run(&mut sender, at(79_000))), [(0, 0, true), (60, 2_880, true)]);
    sender.set_muted(true);
    sender.push(FORMAT, &[5; 1_920], at(79_000)).unwrap();
    assert!(run(&mut sender, at(115_000)).is_empty());
    assert_eq!(sender.position(at(120_000)), ms(120));
    sender.set_muted(false);
    sender.push(FORMAT, &[5; 960], at(115_000)).unwrap();
    assert_eq!(times(&run(&mut sender, at(130_000))), [(120, 5_760, true)]);
    let stats = sender.stats();
    assert_eq!((stats.packets, stats.unsent, stats.failed), (3, 4, 0));
    assert_eq!(stats.bytes, 3 * 1_921);
}

#[test]
fn levels_are_those_of_the_packet() {
    let mut sender = sender(AudioSenderOptions::new());
    sender.push(FORMAT, &[vec![16_384; 960], vec![1; 960]].concat(), Time::ZERO).unwrap();
    let packets = run(&mut sender, at(30_000));
    let levels: Vec<_> =
        packets.iter().map(|(_, packet)| (packet.level.dbov(), packet.level.is_voice())).collect();
    assert_eq!(levels, [(-6, true), (-90, false)]);
}

#[test]
fn frames_of_other_durations() {
    for (frame, millis) in [(FrameDuration::Ms10, 10), (FrameDuration::Ms40, 40), (FrameDuration::Ms60, 60)] {
        let mut sender = sender(AudioSenderOptions::new().frame(frame));
        sender.push(FORMAT, &vec![5; 3 * 48 * millis], Time::ZERO).unwrap();
        let packets = run(&mut sender, at(500_000));
        let period = millis as u64;
        let expected = [0, 1, 2].map(|n| (n * period, (n * period * 48) as u32, n == 0));
        assert_eq!(times(&packets), expected);
    }
}

#[test]
fn a_rate_without_a_codec_is_refused() {
    let options = AudioSenderOptions::new().format(AudioFormat::new(44_100, 1).unwrap());
    assert!(AudioSender::new(&RopusCodec, options).is_err());
}

/// The sample rates that are pushed: mostly the sender's own.
const RATES: [u32; 7] = [16_000, 24_000, 44_100, 48_000, 48_000, 48_000, 48_000];

/// What can happen to a sender.
#[derive(Clone, Debug)]
enum Step {
    Push {
        rate: usize,
        channels: u8,
        frames: usize,
        loud: bool,
    },
    Wait(u64),
    /// Sleep until the timeout, and this many microseconds too long.
    Timeout(u64),
    Clear,
    Flush,
    Mute(bool),
    Back(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..7_usize, 1..=2_u8, 0..6_000_usize, any::<bool>())
            .prop_map(|(rate, channels, frames, loud)| Step::Push { rate, channels, frames, loud }),
        2 => (0..100_000_u64).prop_map(Step::Wait),
        4 => prop_oneof![Just(0), 0..2_000_u64, 0..500_000_u64].prop_map(Step::Timeout),
        1 => Just(Step::Clear),
        1 => Just(Step::Flush),
        1 => any::<bool>().prop_map(Step::Mute),
        1 => (0..50_000_u64).prop_map(Step::Back),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_order_of_events(steps in steps(), frame in 0..4_usize, queue in 0..300_u64) {
        let frame = [FrameDuration::Ms10, FrameDuration::Ms20, FrameDuration::Ms40, FrameDuration::Ms60][frame];
        let period = frame.duration();
        let limit = ms(queue).max(2 * period);
        let mut sender = sender(AudioSenderOptions::new().frame(frame).queue(ms(queue)));
        let (mut micros, mut start, mut sent, mut last) = (1_000_000_u64, None, Duration::ZERO, None);
        let mut latest = micros;
        for step in steps {
            match step {
                Step::Push { rate, channels, frames, loud } => {
                    let format = AudioFormat::new(RATES[rate], channels).unwrap();
                    let samples = vec![if loud { 9 } else { 0 }; frames * usize::from(channels)];
                    let pushed = sender.push(format, &samples, at(micros)).unwrap();
                    prop_assert!(pushed.frames <= frames);
                    prop_assert_eq!(pushed.room_in.is_some(), pushed.frames < frames);
                    prop_assert!(pushed.room_in.is_none_or(|wait| wait > Duration::ZERO || micros < latest));
                }
                Step::Wait(by) => micros += by,
                Step::Timeout(late) => {
                    if let Some(due) = sender.poll_timeout() {
                        micros = micros.max(due.as_nanos().div_ceil(1_000)) + late;
                    }
                    sender.handle_timeout(at(micros));
                }
                Step::Clear => {
                    sender.clear(at(micros));
                    prop_assert!(sender.queued_duration(at(micros)) <= 2 * period || micros < latest);
                }
                Step::Flush => sender.flush(at(micros)),
                Step::Mute(muted) => sender.set_muted(muted),
                // A clock that goes back changes nothing.
                Step::Back(by) => micros = micros.saturating_sub(by),
            }
            latest = latest.max(micros);
            let now = at(latest);
            if micros == latest {
                sender.handle_timeout(now);
                prop_assert!(sender.poll_timeout().is_none_or(|time| time > now), "{sender:?}");
                prop_assert!(sender.position(now) <= now - at(0));
            }
            // The first packet, be it silence, is sent when it is complete.
            let stats = sender.stats();
            if stats.packets + stats.unsent > 0 {
                start.get_or_insert(at(micros));
            }
            for output in outputs(&mut sender) {
                let AudioSenderOutput::Packet(packet) = output else { continue };
                // Timestamps are times.
                let start = start.unwrap_or_default();
                let due = start + media_time(&packet);
                let late = now - due;
                prop_assert!(due <= now + Duration::from_micros(1), "sent at {now}, due {due}");
                prop_assert!(late <= ms(200) + ms(1), "sent at {now}, due {due}");
                prop_assert!(last.is_none_or(|last| packet.timestamp >= last), "{last:?}, then {packet:?}");
                last = Some(packet.timestamp + (period.as_micros() * 48 / 1_000) as u32);
                sent += period;
                prop_assert!(sent <= now - start + period + ms(1), "{sent:?} sent at {now}");
                prop_assert_eq!(packet.payload.len(), 1 + 2 * FORMAT.samples_in(period));
            }
            // A packet is played, and the time of silence that was left out passes: that is less than a
            // packet.
            let queued = sender.queued_duration(now);
            prop_assert!(queued <= limit + 2 * period, "{queued:?} queued");
        }
        // Everything ends.
        let mut ends = 0;
        while let Some(time) = sender.poll_timeout() {
            sender.handle_timeout(time);
            outputs(&mut sender);
            ends += 1;
            prop_assert!(ends < 1_000);
        }
        prop_assert!(sender.is_played_out(at(latest + 10_000_000)));
    }
}

/// What a timestamp means.
fn media_time(packet: &OutgoingPacket) -> Duration {
    Duration::from_nanos(u64::from(packet.timestamp) * 1_000_000_000 / 48_000)
}
