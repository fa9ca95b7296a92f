//! The format of packets.

use bytes::Bytes;
use proptest::prelude::*;

use crate::data_tracks::packet::{Extensions, FrameEncryption, Packet};

fn any_packet() -> impl Strategy<Value = Packet> {
    let encryption = prop::option::of(any::<(u8, [u8; 12])>());
    let numbers = (1..=u16::MAX, any::<u16>(), any::<u16>(), any::<u32>());
    let payload = prop::collection::vec(any::<u8>(), 0..40);
    (numbers, any::<(bool, bool)>(), encryption, any::<Option<u64>>(), payload).prop_map(
        |((handle, sequence, frame, timestamp), (start, last), encryption, user_timestamp, payload)| Packet {
            handle,
            sequence,
            frame,
            timestamp,
            start,
            last,
            extensions: Extensions {
                encryption: encryption.map(|(key_index, iv)| FrameEncryption { key_index, iv }),
                user_timestamp,
            },
            payload: payload.into(),
        },
    )
}

proptest! {
    #[test]
    fn encoded_packets_are_decoded(packet in any_packet()) {
        let bytes = packet.encode();
        prop_assert_eq!(bytes.len(), packet.extensions.header_len() + packet.payload.len());
        prop_assert_eq!((bytes.len() - packet.payload.len()) % 4, 0);
        prop_assert_eq!(Packet::decode(&bytes), Some(packet));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let bytes = Bytes::from(bytes);
        if let Some(packet) = Packet::decode(&bytes) {
            prop_assert!(packet.handle != 0 && packet.payload.len() + 12 <= bytes.len());
            prop_assert_eq!(Packet::decode(&packet.encode()), Some(packet));
        }
    }

    #[test]
    fn a_cut_or_changed_packet_is_read_or_refused(packet in any_packet(), at: prop::sample::Index, byte: u8) {
        let mut bytes = packet.encode().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Packet::decode(&Bytes::from(bytes.clone()));
        bytes.truncate(at);
        let _ = Packet::decode(&Bytes::from(bytes));
    }
}

/// Bytes by the description of the format.
#[test]
fn the_bytes_of_a_packet() {
    let mut packet = Packet {
        handle: 0x0102,
        sequence: 0x0304,
        frame: 0x0506,
        timestamp: 0x0708_090a,
        start: true,
        payload: Bytes::from_static(b"hi"),
        ..Packet::default()
    };
    assert_eq!(packet.encode()[..], [0x10, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, b'h', b'i']);
    (packet.start, packet.last) = (false, true);
    packet.extensions.user_timestamp = Some(0x1112_1314_1516_1718);
    // Three words: the count, ten bytes of an extension, no padding.
    let extensions = [0, 2, 2, 8, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18];
    let bytes = packet.encode();
    assert_eq!((bytes[0], &bytes[12..24], &bytes[24..]), (0x0c, &extensions[..], &b"hi"[..]));
    packet.extensions.encryption = Some(FrameEncryption { key_index: 7, iv: [9; 12] });
    // Seven words: 2 + 15 + 10 bytes, and one of padding.
    let bytes = packet.encode();
    assert_eq!(
        (&bytes[12..17], bytes[29], bytes[39], &bytes[40..]),
        (&[0, 6, 1, 13, 7][..], 2, 0, &b"hi"[..])
    );
    assert_eq!(Packet::decode(&bytes), Some(packet));
}

#[test]
fn other_versions_and_broken_extensions_are_refused_and_unknown_ones_skipped() {
    let decode = |bytes: &[u8]| Packet::decode(&Bytes::copy_from_slice(bytes));
    let header = |flags: u8| [flags, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let with = |rest: &[u8]| decode(&[&header(0x1c)[..], rest].concat());
    assert!(decode(&header(0x18)).is_some());
    assert_eq!(decode(&header(0x38)), None, "another version");
    assert_eq!(decode(&header(0x18)[..11]), None, "too short");
    assert_eq!(decode(&[0x18, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), None, "the handle 0");
    assert_eq!(with(&[0]), None, "no count of words");
    assert_eq!(with(&[0, 1, 0, 0]), None, "fewer words than counted");
    assert_eq!(with(&[0, 0, 9, 9]), None, "an extension that is longer than all");
    let read = with(&[0, 2, 255, 2, b'P', b'A', 9, 0, 0, 0, 0, 0, b'x']).unwrap();
    assert_eq!((read.extensions, &read.payload[..]), (Extensions::default(), &b"x"[..]));
    // A newer version may append to an extension; a shorter one is ignored.
    let read = with(&[0, 3, 2, 10, 0, 0, 0, 0, 0, 0, 0, 5, 1, 1, 0, 0, b'x']).unwrap();
    assert_eq!((read.extensions.user_timestamp, &read.payload[..]), (Some(5), &b"x"[..]));
    assert_eq!(with(&[0, 1, 2, 4, 0, 0, 0, 5]).unwrap().extensions.user_timestamp, None);
}

fn bytes_of(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap());
    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

#[test]
fn packets_of_livekits_crate_are_read_and_written() {
    fn some<T>(field: &str, parse: impl Fn(&str) -> T) -> Option<T> {
        (field != "-").then(|| parse(field))
    }
    let lines = include_str!("peer_packets.txt").lines().filter(|line| !line.starts_with('#'));
    let mut read = 0;
    for line in lines {
        let (fields, bytes) = line.split_once(": ").unwrap();
        let fields: Vec<_> = fields.split(' ').collect();
        let [marker, handle, sequence, frame, timestamp, user_timestamp, key_index, iv, payload] = fields[..]
        else {
            panic!("{line}")
        };
        let encryption = some(key_index, |key_index| FrameEncryption {
            key_index: key_index.parse().unwrap(),
            iv: bytes_of(iv).try_into().unwrap(),
        });
        let packet = Packet {
            handle: handle.parse().unwrap(),
            sequence: sequence.parse().unwrap(),
            frame: frame.parse().unwrap(),
            timestamp: timestamp.parse().unwrap(),
            start: matches!(marker, "Start" | "Single"),
            last: matches!(marker, "Final" | "Single"),
            extensions: Extensions {
                encryption,
                user_timestamp: some(user_timestamp, |number| number.parse().unwrap()),
            },
            payload: some(payload, bytes_of).unwrap_or_default().into(),
        };
        let bytes = Bytes::from(bytes_of(bytes));
        assert_eq!(Packet::decode(&bytes), Some(packet.clone()));
        assert_eq!(packet.encode(), bytes);
        read += 1;
    }
    assert_eq!(read, 12);
}
