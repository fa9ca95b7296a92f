//! Any packets in any order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// How a packet differs from the next one of an undisturbed stream.
#[derive(Clone, Debug)]
struct Step {
    /// Milliseconds since the packet before.
    wait: u64,
    /// Milliseconds that it waited in a queue.
    queued: u64,
    skipped: u64,
    place: Place,
    payload: Vec<u8>,
    dropped: Option<u64>,
}

#[derive(Clone, Debug)]
enum Place {
    Next,
    /// Sent before some others.
    Back(u64),
    Again,
    /// With a pause in timestamps.
    Pause(u32),
    Jump {
        sequence: u64,
        timestamp: u32,
    },
    Source(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let place = prop_oneof![
        20 => Just(Place::Next),
        3 => (1..6_u64).prop_map(Place::Back),
        1 => Just(Place::Again),
        2 => (0..60_000_u32).prop_map(Place::Pause),
        1 => (any::<u64>(), any::<u32>()).prop_map(|(sequence, timestamp)| Place::Jump { sequence, timestamp }),
        1 => (0..3_u32).prop_map(Place::Source),
    ];
    let payload = prop_oneof![
        8 => Just(SILENCE.to_vec()),
        2 => Just(WITH_COPY.to_vec()),
        1 => Just(DTX.to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    let wait = prop_oneof![10 => 0..40_u64, 1 => 0..2_500_u64];
    let skipped = prop_oneof![10 => Just(0_u64), 1 => 1..5_u64];
    let queued = prop_oneof![5 => Just(0_u64), 1 => 0..300_u64];
    let dropped = prop::option::weighted(0.03, 0..2_000_u64);
    let step = (wait, queued, skipped, place, payload, dropped);
    let step = step.prop_map(|(wait, queued, skipped, place, payload, dropped)| Step {
        wait,
        queued,
        skipped,
        place,
        payload,
        dropped,
    });
    prop::collection::vec(step, 0..300)
}

/// The packets of steps, and after which of them others were dropped.
fn packets(steps: Vec<Step>) -> Vec<(EncodedPacket, Time, Option<u64>)> {
    let (mut now, mut source, mut sequence, mut timestamp) = (at(1_000), 0, 1_000_u64, u32::MAX - 5_000);
    let packet = |step: Step| {
        now = now + Duration::from_millis(step.wait);
        sequence = sequence.wrapping_add(step.skipped);
        timestamp = timestamp.wrapping_add(u32::try_from(step.skipped).unwrap() * 960);
        let mut back = 0;
        match step.place {
            Place::Next => {}
            Place::Back(packets) => back = packets,
            Place::Again => back = 1,
            Place::Pause(samples) => timestamp = timestamp.wrapping_add(samples),
            Place::Jump { sequence: other, timestamp: at } => (sequence, timestamp) = (other, at),
            Place::Source(other) => source = other,
        }
        let samples = u32::try_from(back).unwrap() * 960;
        let packet = EncodedPacket {
            source,
            received: Time::from_nanos(now.as_nanos().saturating_sub(step.queued * 1_000_000)),
            ..EncodedPacket::new(step.payload, sequence.wrapping_sub(back), timestamp.wrapping_sub(samples))
        };
        if back == 0 {
            sequence = sequence.wrapping_add(1);
            timestamp = timestamp.wrapping_add(960);
        }
        (packet, now, step.dropped)
    };
    steps.into_iter().map(packet).collect()
}

proptest! {
    #[test]
    fn whatever_arrives(steps in steps(), stretch in 0..3_usize, max_delay in 0..1_500_u64) {
        let options = JitterOptions::default().max_delay(Duration::from_millis(max_delay));
        let stretches: [fn(i64) -> i64; 3] = [|_| 0, |wanted| wanted.clamp(-480, 480), |wanted| wanted];
        let mut player = Player { stretch: |_| 0, ..Player::new(options) };
        player.stretch = stretches[stretch];
        let mut arrivals: BTreeMap<u64, Vec<Time>> = BTreeMap::new();
        for (packet, now, dropped) in packets(steps) {
            if let Some(dropped) = dropped {
                player.buffer.note_dropped(dropped);
            }
            arrivals.entry(packet.sequence).or_default().push(packet.received);
            player.buffer.push(packet, now);
            player.drain();
            player.run_until(now);
            prop_assert!(player.buffer.poll_timeout().is_none_or(|next| next >= now));
        }
        player.run_until(Time::from_nanos(u64::MAX));
        prop_assert_eq!(player.buffer.poll_timeout(), None, "the stream pauses");

        let stats = player.buffer.stats();
        let counted = stats.played + stats.late + stats.duplicates + stats.discarded;
        prop_assert_eq!(stats.received, counted, "{:?}", stats);
        let mut seen = BTreeSet::new();
        let (mut played, mut end, mut media_time) = (0, Time::ZERO, Duration::ZERO);
        let bound = options.max_delay.min(JitterOptions::MAX_DELAY);
        for playout in &player.played {
            if playout.is_new_stream {
                seen.clear();
            }
            prop_assert!(playout.due >= end, "faster than real time");
            prop_assert!(playout.media_time >= media_time, "media time goes back");
            prop_assert!(playout.samples > 0 && playout.samples % 120 == 0, "{}", playout.samples);
            (end, media_time) = (playout.due, playout.media_time);
            if stretch == 0 {
                end = end + playout.duration();
            }
            if let PlayoutSound::Packet { sequence, .. } = playout.sound {
                prop_assert!(seen.insert(sequence), "twice: {}", sequence);
                played += 1;
                // Shortened sound ends earlier, which is known only after the next packet has come.
                let come = |arrival: &Time| stretch > 0 || *arrival <= playout.due;
                let waited = |arrival: &Time| come(arrival) && playout.due - *arrival <= bound;
                prop_assert!(arrivals[&sequence].iter().any(waited), "{} at {}: {:?}", sequence, playout.due, arrivals[&sequence]);
            }
        }
        prop_assert_eq!(played, stats.played);
    }

    /// Packets that come within the delay are played in their order, each of them once, and nothing else is.
    #[test]
    fn packets_in_time(late in prop::collection::vec(0..100_u64, 1..200)) {
        let options = JitterOptions::default().min_delay(Duration::from_millis(120));
        let packet = |(number, late): (usize, &u64)| {
            let number = u32::try_from(number).unwrap();
            let packet = EncodedPacket::new(SILENCE, number.into(), number * 960);
            EncodedPacket { received: at(1_000 + u64::from(number) * 20 + late), ..packet }
        };
        let mut packets: Vec<_> = late.iter().enumerate().map(packet).collect();
        packets.sort_by_key(|packet| packet.received);
        let mut player = Player::new(options);
        player.play(packets);
        let sequence = |playout: &Playout| match playout.sound {
            PlayoutSound::Packet { sequence, .. } => Some(sequence),
            _ => None,
        };
        let order: Vec<_> = player.played.iter().map_while(sequence).collect();
        prop_assert_eq!(order, (0..late.len() as u64).collect::<Vec<_>>());
    }

    /// A caller that is late for its timeouts gets the same sound as one that is always in time.
    #[test]
    fn late_callers(steps in steps(), turn in 1..60_usize) {
        let mut prompt = Player::new(options());
        let mut late = Player::new(options());
        let mut packets = packets(steps);
        packets.iter_mut().for_each(|(packet, now, _)| packet.received = *now);
        for turn in packets.chunks(turn) {
            let now = turn[turn.len() - 1].1;
            for (packet, arrival, _) in turn {
                prompt.run_until(*arrival);
                prompt.buffer.push(packet.clone(), *arrival);
                late.buffer.push(packet.clone(), now);
            }
            prompt.drain();
            late.drain();
        }
        prompt.run_until(Time::from_nanos(u64::MAX));
        late.run_until(Time::from_nanos(u64::MAX));
        prop_assert_eq!(prompt.played, late.played);
        prop_assert_eq!(prompt.buffer.stats(), late.buffer.stats());
    }
}
