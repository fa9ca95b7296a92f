//! From frames to packets and back, over a channel that loses, repeats and reorders.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use agent_proto::Time;

use crate::data_tracks::packet::Packet;
use crate::data_tracks::packetizer::Packetizer;
use crate::data_tracks::reassembly::Reassembly;
use crate::data_tracks::{DataTrackFrame, MAX_DATA_FRAME_LEN};

fn packets(packetizer: &mut Packetizer, len: usize) -> Vec<Packet> {
    let payload: Bytes = (0..len).map(|n| n as u8).collect::<Vec<_>>().into();
    packetizer.packets(&DataTrackFrame::new(payload), None, Time::ZERO)
}

fn push(reassembly: &mut Reassembly, packets: impl IntoIterator<Item = Packet>) -> Vec<usize> {
    let whole = packets.into_iter().filter_map(|packet| reassembly.push(packet));
    whole
        .map(|whole| {
            let payload = whole.frame.payload;
            assert!(payload.iter().enumerate().all(|(n, byte)| n as u8 == *byte));
            payload.len()
        })
        .collect()
}

#[test]
fn frames_of_all_sizes_come_back() {
    let (mut packetizer, mut reassembly) = (Packetizer::new(7), Reassembly::default());
    for (len, count) in [(0, 1), (1, 1), (15_988, 1), (15_989, 2), (100_000, 7), (MAX_DATA_FRAME_LEN, 126)] {
        let packets = packets(&mut packetizer, len);
        assert_eq!(packets.len(), count);
        assert!(packets.iter().all(|packet| packet.handle == 7 && packet.encode().len() <= 16_000));
        assert!(packets[0].start && packets[count - 1].last);
        assert_eq!(push(&mut reassembly, packets), [len]);
        assert_eq!((reassembly.bytes(), reassembly.take_dropped()), (0, 0));
    }
    let frame = DataTrackFrame::new(vec![1; 20_000]).with_user_timestamp(77);
    let mut packets = packetizer.packets(&frame, None, Time::ZERO + Duration::from_secs(2));
    assert!(packets.iter().all(|packet| packet.timestamp == 180_000));
    assert_eq!(reassembly.push(packets.remove(0)), None);
    assert_eq!(reassembly.push(packets.remove(0)).unwrap().frame, frame);
}

#[test]
fn packets_in_any_order_make_a_frame_and_repetitions_none() {
    let (mut packetizer, mut reassembly) = (Packetizer::new(1), Reassembly::default());
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 2]] {
        let packets = packets(&mut packetizer, 40_000);
        let twice = order.iter().flat_map(|n| [packets[*n].clone(), packets[*n].clone()]);
        assert_eq!(push(&mut reassembly, twice), [40_000]);
    }
    assert_eq!(reassembly.take_dropped(), 0);
}

#[test]
fn a_later_frame_ends_an_incomplete_one_whose_rest_is_late() {
    let (mut packetizer, mut reassembly) = (Packetizer::new(1), Reassembly::default());
    let (mut first, second) = (packets(&mut packetizer, 40_000), packets(&mut packetizer, 20_000));
    let lost = first.remove(1);
    assert_eq!(push(&mut reassembly, first), [0; 0]);
    assert!(reassembly.bytes() > 20_000);
    let [a, b] = <[Packet; 2]>::try_from(second).unwrap();
    assert_eq!(push(&mut reassembly, [a, lost, b]), [20_000]);
    assert_eq!((reassembly.bytes(), reassembly.take_dropped(), reassembly.take_dropped()), (0, 1, 0));
}

#[test]
fn numbers_wrap_around_and_a_publisher_may_restart_its_count() {
    let (mut packetizer, mut reassembly) = (Packetizer::new(1), Reassembly::default());
    for number in 0..70_000 {
        // Two packets of some.
        let len = if number % 50 == 0 { 20_000 } else { 1 };
        assert_eq!(push(&mut reassembly, packets(&mut packetizer, len)), [len]);
    }
    for _ in 0..3 {
        // Whatever the number of its first frame is, at most some are late.
        let mut packetizer = Packetizer::new(1);
        let whole = (0..400).flat_map(|_| push(&mut reassembly, packets(&mut packetizer, 1))).count();
        assert!(whole >= 400 - 256, "{whole}");
    }
}

#[test]
fn a_frame_without_an_end_is_given_up() {
    let mut reassembly = Reassembly::default();
    let part = |sequence| Packet {
        handle: 1,
        sequence,
        start: sequence == 0,
        payload: vec![0; 16_000].into(),
        ..Packet::default()
    };
    for sequence in 0..1000 {
        assert_eq!(reassembly.push(part(sequence)), None);
        assert!(reassembly.bytes() <= 129 * 16_100);
    }
    assert!(reassembly.take_dropped() >= 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Packets with few different numbers, so that they collide.
    #[test]
    fn any_packets_keep_the_memory_bounded(
        parts in prop::collection::vec((0..4_u16, 0..200_u16, any::<(bool, bool)>(), 0..3_usize), 0..600)
    ) {
        let mut reassembly = Reassembly::default();
        for (frame, sequence, (start, last), size) in parts {
            let payload = vec![0; size * 8_000].into();
            let packet = Packet { handle: 1, frame, sequence, start, last, payload, ..Packet::default() };
            reassembly.push(packet);
            prop_assert!(reassembly.bytes() <= 129 * 16_100);
        }
    }

    #[test]
    fn frames_of_which_all_packets_arrive_are_complete(sizes in prop::collection::vec(0..70_000_usize, 1..8), lost in any::<u64>()) {
        let (mut packetizer, mut reassembly) = (Packetizer::new(1), Reassembly::default());
        let mut number = 0;
        for size in sizes {
            let packets = packets(&mut packetizer, size);
            let all = packets.len();
            let arrived: Vec<_> = packets.into_iter().filter(|_| {
                number += 1;
                lost >> (number % 64) & 1 == 0
            }).collect();
            let expected: &[usize] = if arrived.len() == all { &[size] } else { &[] };
            prop_assert_eq!(push(&mut reassembly, arrived), expected);
        }
    }
}
