use bytes::BytesMut;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const MTU: usize = 1200;

/// NAL units: none is empty, ends with a zero or contains a start code.
fn units(heads: &'static [&'static [u8]]) -> impl Strategy<Value = Vec<u8>> {
    let unit = (prop::sample::select(heads), vec(1_u8.., 3..4_000));
    vec(unit, 1..6).prop_map(|units| {
        let unit = |(head, payload): &(&[u8], Vec<u8>)| [&[0, 0, 0, 1], *head, payload].concat();
        units.iter().flat_map(unit).collect()
    })
}

fn obus() -> impl Strategy<Value = Vec<u8>> {
    // Sequence header, frame header, metadata, frame; with and without an extension.
    let head =
        prop::sample::select(vec![vec![0x0a_u8], vec![0x1a], vec![0x2e, 0x20], vec![0x32], vec![0x36, 0x08]]);
    vec((head, vec(any::<u8>(), 1..4_000)), 1..6).prop_map(|obus| {
        let mut frame = BytesMut::new();
        for (head, payload) in obus {
            frame.extend_from_slice(&head);
            let mut rest = payload.len();
            while rest > 127 {
                frame.extend_from_slice(&[u8::try_from(rest & 127).unwrap() | 128]);
                rest >>= 7;
            }
            frame.extend_from_slice(&[u8::try_from(rest).unwrap()]);
            frame.extend_from_slice(&payload);
        }
        frame.to_vec()
    })
}

/// A frame of each codec, as its payload format requires it.
fn frame() -> impl Strategy<Value = (VideoCodec, Vec<u8>)> {
    let of = |codec| move |frame| (codec, frame);
    // Frames of VP8 and VP9 whose header is no key frame's, as that would have a size.
    let whole = |first: u8| vec(any::<u8>(), 1..9_000).prop_map(move |rest| [vec![first], rest].concat());
    let key = vec(any::<u8>(), 1..9_000)
        .prop_map(|rest| [vec![0x10, 0, 0, 0x9d, 1, 0x2a, 0x40, 1, 0xf0, 0], rest].concat());
    prop_oneof![
        whole(0x11).prop_map(of(VideoCodec::Vp8)),
        key.prop_map(of(VideoCodec::Vp8)),
        whole(0x86).prop_map(of(VideoCodec::Vp9)),
        units(&[&[0x67], &[0x68], &[0x65], &[0x41]]).prop_map(of(VideoCodec::H264)),
        units(&[&[0x40, 1], &[0x42, 1], &[0x26, 1], &[0x02, 1]]).prop_map(of(VideoCodec::H265)),
        obus().prop_map(of(VideoCodec::Av1)),
    ]
}

fn codec() -> impl Strategy<Value = VideoCodec> {
    prop::sample::select(&VideoCodec::ALL[..])
}

/// Bytes that often look like those of a payload format.
fn wild() -> impl Strategy<Value = Bytes> {
    let first =
        prop::sample::select(&[0x10_u8, 0x90, 0x78, 0x7c, 0x5c, 0x60, 0x62, 0x08, 0x18, 0xca, 0xff][..]);
    prop_oneof![
        vec(any::<u8>(), 0..40),
        (first, vec(any::<u8>(), 0..40)).prop_map(|(first, rest)| [vec![first], rest].concat()),
    ]
    .prop_map(Bytes::from)
}

#[test]
fn the_last_unit_may_end_with_zero() {
    // As encrypted ones do, with the index of their key.
    let h264 = [0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x65, 0x88, 9, 12, 0];
    let h265 = [0, 0, 0, 1, 0x40, 1, 7, 0, 0, 0, 1, 0x26, 0x01, 9, 12, 0];
    for (codec, frame) in [(VideoCodec::H264, h264), (VideoCodec::H265, h265)] {
        let packets = split(codec, &frame, MTU, &mut PictureIds::default());
        assert_eq!(assemble(codec, &packets).expect("a frame").data, frame[..], "{codec}");
    }
}

proptest! {
    #[test]
    fn split_frames_are_joined((codec, frame) in frame(), limit in 20_usize..2_000) {
        let packets = split(codec, &frame, limit, &mut PictureIds::default());
        prop_assert!(packets.iter().all(|packet| !packet.is_empty() && packet.len() <= limit));
        let joined = assemble(codec, &packets).expect("the packets are those of a frame");
        prop_assert_eq!(&joined.data[..], &frame[..]);
        prop_assert_eq!(joined.key_frame, is_key_frame(codec, &frame));
        prop_assert!(!joined.key_frame || starts_key_frame(codec, &packets[0]) || !has_parameters_first(codec, &frame));
    }

    /// Whatever is missing, repeated or cut off: no panic, and no more memory than what came in.
    #[test]
    fn damaged_frames_are_refused_or_short(
        (codec, frame) in frame(),
        at in any::<prop::sample::Index>(),
        damage in 0..4,
        cut in any::<prop::sample::Index>(),
    ) {
        let mut packets = split(codec, &frame, 200, &mut PictureIds::default());
        let at = at.index(packets.len());
        match damage {
            0 => drop(packets.remove(at)),
            1 => packets.insert(at, packets[at].clone()),
            2 => packets.swap(at, 0),
            _ => packets[at] = packets[at].slice(..cut.index(packets[at].len())),
        }
        within_bounds(codec, &packets);
    }

    #[test]
    fn anything_can_come(codec in codec(), packets in vec(wild(), 0..20)) {
        within_bounds(codec, &packets);
        packets.iter().for_each(|packet| {
            starts_key_frame(codec, packet);
        });
    }

    #[test]
    fn anything_can_be_sent(codec in codec(), frame in vec(prop_oneof![Just(0_u8), Just(1), any::<u8>()], 0..3_000), limit in 0_usize..300) {
        let packets = split(codec, &frame, limit, &mut PictureIds::default());
        let len: usize = packets.iter().map(Bytes::len).sum();
        prop_assert!(len <= 8 * frame.len() + 16);
        is_key_frame(codec, &frame);
    }
}

/// A key frame is looked for by the parameters that it begins with.
fn has_parameters_first(codec: VideoCodec, frame: &[u8]) -> bool {
    match codec {
        VideoCodec::H264 => frame.get(4).is_some_and(|head| head & 0x1f == 7),
        VideoCodec::H265 => frame.get(4).is_some_and(|head| matches!(head >> 1, 32 | 33)),
        _ => true,
    }
}

fn within_bounds(codec: VideoCodec, packets: &[Bytes]) {
    if let Some(picture) = assemble(codec, packets) {
        let len: usize = packets.iter().map(Bytes::len).sum();
        assert!(picture.data.len() <= 3 * len + 5, "{codec}: {} bytes of {len}", picture.data.len());
    }
}

/// Writes the bits of a header.
#[derive(Default)]
struct Header(Vec<bool>);

impl Header {
    fn put(mut self, count: u32, value: u32) -> Self {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    fn golomb(self, value: u32) -> Self {
        let bits = (value + 1).ilog2();
        self.put(bits, 0).put(bits + 1, value + 1)
    }

    fn bytes(mut self) -> Vec<u8> {
        self.0.push(true);
        self.0
            .chunks(8)
            .map(|bits| (0..8).fold(0, |byte, at| byte << 1 | u8::from(bits.get(at) == Some(&true))))
            .collect()
    }
}

#[test]
fn the_size_of_h264_is_in_its_parameters() {
    // Constrained Baseline, 1920 × 1088 without 8 lines.
    let parameters = Header::default()
        .put(8, 66)
        .put(8, 0xc0)
        .put(8, 31)
        .golomb(0)
        .golomb(0)
        .golomb(2)
        .golomb(1)
        .put(1, 0)
        .golomb(119)
        .golomb(67)
        .put(1, 1)
        .put(1, 1)
        .put(1, 1)
        .golomb(0)
        .golomb(0)
        .golomb(0)
        .golomb(4)
        .bytes();
    let packets = [[vec![0x67], parameters].concat(), vec![0x68, 1, 2], vec![0x65, 0x88, 3]].map(Bytes::from);
    let picture = assemble(VideoCodec::H264, &packets).unwrap();
    assert_eq!((picture.key_frame, picture.size), (true, Some((1920, 1080))));
}

#[test]
fn the_size_of_vp9_is_in_its_header_or_in_the_descriptor() {
    let frame = Header::default()
        .put(2, 2)
        .put(6, 0b00_0010)
        .put(24, 0x49_83_42)
        .put(4, 0b0010)
        .put(16, 639)
        .put(16, 359)
        .bytes();
    let packets = split(VideoCodec::Vp9, &frame, MTU, &mut PictureIds::default());
    let picture = assemble(VideoCodec::Vp9, &packets).unwrap();
    assert_eq!((picture.key_frame, picture.size), (true, Some((640, 360))));

    // Two spatial layers, one description of pictures.
    let descriptor = [0x8a, 0x81, 0x23, 0x38, 0, 160, 0, 90, 1, 64, 0, 180, 1, 0x04, 1];
    let packet = Bytes::from([&descriptor[..], &frame].concat());
    let picture = assemble(VideoCodec::Vp9, &[packet]).unwrap();
    assert_eq!((picture.size, &picture.data[..]), (Some((320, 180)), &frame[..]));
}

#[test]
fn aggregated_and_split_units_are_joined_to_units_with_start_codes() {
    let packets: [&[u8]; 3] = [&[0x78, 0, 2, 0x67, 1, 0, 2, 0x68, 2], &[0x7c, 0x85, 3, 4], &[0x7c, 0x45, 5]];
    let picture = assemble(VideoCodec::H264, &packets.map(Bytes::copy_from_slice)).unwrap();
    assert_eq!(&picture.data[..], [0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2, 0, 0, 0, 1, 0x65, 3, 4, 5]);
    assert!(picture.key_frame && starts_key_frame(VideoCodec::H264, packets[0]));
    // The end of a unit, or its length, is missing.
    assert_eq!(assemble(VideoCodec::H264, &[packets[0], packets[1]].map(Bytes::copy_from_slice)), None);
    assert_eq!(assemble(VideoCodec::H264, &[Bytes::from_static(&[0x78, 0, 2, 0x67, 1, 0])]), None);

    let packets: [&[u8]; 3] =
        [&[0x60, 1, 0, 3, 0x42, 1, 9, 0, 3, 0x44, 1, 8], &[0x62, 1, 0x93, 7], &[0x62, 1, 0x53, 6]];
    let picture = assemble(VideoCodec::H265, &packets.map(Bytes::copy_from_slice)).unwrap();
    assert_eq!(
        &picture.data[..],
        [0, 0, 0, 1, 0x42, 1, 9, 0, 0, 0, 1, 0x44, 1, 8, 0, 0, 0, 1, 0x26, 1, 7, 6]
    );
    assert!(picture.key_frame && starts_key_frame(VideoCodec::H265, packets[0]));
}

#[test]
fn units_of_av1_get_their_sizes() {
    // A temporal delimiter, a sequence header and the first part of a frame; then its rest.
    let packets: [&[u8]; 2] = [&[0x78, 1, 0x10, 2, 0x08, 9, 0x30, 1, 2], &[0x90, 3]];
    let picture = assemble(VideoCodec::Av1, &packets.map(Bytes::copy_from_slice)).unwrap();
    assert_eq!(&picture.data[..], [0x0a, 1, 9, 0x32, 3, 1, 2, 3]);
    assert!(picture.key_frame);
    let split = split(VideoCodec::Av1, &picture.data, MTU, &mut PictureIds::default());
    assert_eq!(split, [Bytes::from_static(&[0x28, 2, 0x08, 9, 0x30, 1, 2, 3])]);
}

#[test]
fn pictures_of_vp8_are_numbered() {
    let mut ids = PictureIds(0x7fff);
    let first = split(VideoCodec::Vp8, &[0x11; 10], 9, &mut ids);
    assert_eq!(first[0][..], [0x90, 0x80, 0xff, 0xff, 0x11, 0x11, 0x11, 0x11, 0x11]);
    assert_eq!(first[1][..4], [0x80, 0x80, 0xff, 0xff]);
    assert_eq!(split(VideoCodec::Vp8, &[0x11], 9, &mut ids)[0][..], [0x90, 0x80, 0x80, 0x00, 0x11]);
}
