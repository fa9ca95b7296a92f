//! Opus packets of any bytes.

use proptest::prelude::*;

use agent_media::opus_packet;

proptest! {
    #[test]
    fn any_bytes_have_bounded_facts(packet in proptest::collection::vec(any::<u8>(), 0..1_500)) {
        let samples = opus_packet::samples(&packet);
        prop_assert!(samples.is_none_or(|samples| (120..=opus_packet::MAX_SAMPLES).contains(&samples)));
        prop_assert_eq!(opus_packet::channels(&packet).is_some(), samples.is_some());
        prop_assert_eq!(opus_packet::duration(&packet).is_some(), samples.is_some());
        prop_assert!(!opus_packet::has_fec(&packet) || samples.is_some());
    }

    /// Several frames, of which the header alone decides how many there are.
    #[test]
    fn headers_of_many_frames(head in any::<u8>(), rest in proptest::collection::vec(any::<u8>(), 0..20)) {
        let mut packet = vec![0xfb, head];
        packet.extend(rest);
        let samples = opus_packet::samples(&packet);
        prop_assert!(samples.is_none_or(|samples| samples == u32::from(head & 0x3f) * 960));
    }
}
