//! Any bytes in any order.

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_packets_become_sound(
        packets in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..60), 0..60_u64, 0..4_u64, any::<bool>(), 0..3_u32),
            1..60,
        ),
        rate in prop_oneof![Just(48_000_u32), 8_000..192_000_u32],
        channels in 1..3_u8,
    ) {
        let format = AudioFormat::new(rate, channels).unwrap();
        let mut receiver =
            AudioReceiver::new(&crate::RopusCodec, AudioReceiverOptions::new().format(format)).unwrap();
        let (mut now, mut sequence) = (1_000, 0);
        let packets: Vec<_> = packets.into_iter().map(|(mut payload, wait, skipped, is_opus, source)| {
            now += wait;
            sequence += skipped;
            if is_opus {
                payload.splice(0..0, [0x48]);
            }
            let timestamp = u32::try_from(sequence * 960).unwrap();
            let packet = EncodedPacket::new(payload, sequence, timestamp);
            EncodedPacket { received: at(now), source: source / 2, ..packet }
        }).collect();
        let all = heard(&mut receiver, packets);
        let sound: Duration = all.iter().map(|(_, received)| received.audio.duration()).sum();
        let first = all.first().map_or(Time::ZERO, |(due, _)| *due);
        prop_assert!(sound <= at(now + 2_000) - first + Duration::from_millis(130), "faster than real time");
        let times: Vec<_> = all.iter().map(|(_, received)| received.media_time).collect();
        prop_assert!(times.is_sorted());
        // A packet of 120 ms, made longer by a period of at most 10 ms; a resampler adds less than a sample.
        let longest = all.iter().map(|(_, received)| received.audio.duration()).max();
        prop_assert!(longest <= Some(Duration::from_millis(131)), "{longest:?}");
    }
}
