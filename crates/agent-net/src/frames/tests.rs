//! Tests against another implementation.

use std::io::Cursor;

use proptest::prelude::*;
use tokio_tungstenite::tungstenite::Message as TheirMessage;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as TheirFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{Role as TheirRole, WebSocket as Peer};

use super::*;

/// A server's frame as another implementation writes it.
fn served(opcode: OpCode, last: bool, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    TheirFrame::message(payload.to_vec(), opcode, last).format(&mut bytes).unwrap();
    bytes
}

/// Decodes all messages in these bytes, fed in pieces of this size.
fn decoded(bytes: &[u8], piece: usize, limit: usize) -> (Vec<Message>, Option<FrameError>) {
    decoded_from(Role::Server, bytes, piece, limit)
}

fn decoded_from(from: Role, bytes: &[u8], piece: usize, limit: usize) -> (Vec<Message>, Option<FrameError>) {
    let mut decoder = Decoder::new(from, limit);
    let (mut input, mut messages) = (BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        input.extend_from_slice(piece);
        loop {
            match decoder.decode(&mut input) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}

proptest! {
    #[test]
    fn another_implementation_reads_written_messages(payload: Vec<u8>, long in 0usize..70_000, mask: [u8; 4]) {
        let mut written = BytesMut::from(&b"before"[..]);
        let long = vec![7; long];
        encode(Opcode::Binary, &payload, Some(mask), &mut written);
        encode(Opcode::Binary, &long, Some(mask), &mut written);
        encode(Opcode::Pong, b"hello", Some(mask), &mut written);
        let written = written.split_off(6).to_vec();
        let mut peer = Peer::from_partially_read(Cursor::new(Vec::new()), written, TheirRole::Server, None);
        prop_assert_eq!(peer.read().unwrap().into_data(), payload);
        prop_assert_eq!(peer.read().unwrap().into_data(), long);
        prop_assert_eq!(peer.read().unwrap(), TheirMessage::Pong(Bytes::from_static(b"hello")));
    }

    #[test]
    fn messages_of_another_implementation_are_read(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
        piece in 1usize..50,
    ) {
        let mut bytes = Vec::new();
        for (n, part) in parts.iter().enumerate() {
            let opcode = if n == 0 { Data::Binary } else { Data::Continue };
            bytes.extend(served(OpCode::Data(opcode), n + 1 == parts.len(), part));
        }
        let (messages, error) = decoded(&bytes, piece, 100_000);
        prop_assert_eq!(error, None);
        let mut expected: Vec<Message> = parts.iter().skip(1).map(|_| Message::Part).collect();
        expected.push(Message::Binary(parts.concat().into()));
        prop_assert_eq!(messages, expected);
    }

    #[test]
    fn the_server_side_agrees_with_another_implementation(payload: Vec<u8>, long in 0usize..70_000, mask: [u8; 4], piece in 1usize..5000) {
        let long = vec![7; long];
        let mut written = BytesMut::new();
        encode(Opcode::Binary, &payload, None, &mut written);
        encode(Opcode::Binary, &long, None, &mut written);
        let written = written.to_vec();
        let mut peer = Peer::from_partially_read(Cursor::new(Vec::new()), written, TheirRole::Client, None);
        prop_assert_eq!(peer.read().unwrap().into_data(), payload.clone());
        prop_assert_eq!(peer.read().unwrap().into_data(), long.clone());

        let mut sent = Vec::new();
        for payload in [&payload, &long] {
            let mut frame = TheirFrame::message(payload.clone(), OpCode::Data(Data::Binary), true);
            frame.header_mut().mask = Some(mask);
            frame.format(&mut sent).unwrap();
        }
        let (messages, error) = decoded_from(Role::Client, &sent, piece, 100_000);
        prop_assert_eq!(error, None);
        prop_assert_eq!(messages, [Message::Binary(payload.into()), Message::Binary(long.into())]);
        let (messages, error) = decoded_from(Role::Client, &served(OpCode::Data(Data::Binary), true, b"x"), 1, 10);
        let what = "a client's frame is not masked";
        prop_assert_eq!((messages, error), (vec![], Some(FrameError::Violation { from: Role::Client, what })));
    }

    #[test]
    fn no_bytes_are_a_panic(bytes: Vec<u8>, piece in 1usize..20) {
        decoded(&bytes, piece, 1000);
        decoded_from(Role::Client, &bytes, piece, 1000);
    }
}

#[test]
fn control_frames_come_between_the_parts_of_a_message() {
    let bytes = [
        &[0x02, 1, b'a'][..],
        &[0x89, 2, b'h', b'i'],
        &[0x8a, 0],
        &[0x80, 1, b'b'],
        &[0x81, 1, b'c'],
        &[0x88, 5, 0x03, 0xe9, b'b', b'y', b'e'],
        &[0x88, 0],
    ]
    .concat();
    for piece in 1..bytes.len() {
        let (messages, error) = decoded(&bytes, piece, 2);
        assert_eq!(error, None);
        assert_eq!(
            messages,
            [
                Message::Part,
                Message::Ping(Bytes::from_static(b"hi")),
                Message::Pong,
                Message::Binary(Bytes::from_static(b"ab")),
                Message::Text(Bytes::from_static(b"c")),
                Message::Close(Some(CloseReason { code: 1001, text: "bye".into() })),
                Message::Close(None),
            ]
        );
    }
}

#[test]
fn protocol_violations_are_errors_before_the_payload_arrives() {
    let long = |len: u64| [&[0x82, 127][..], &len.to_be_bytes()].concat();
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("reserved", vec![0xc2, 0]),
        ("unknown kind", vec![0x83, 0]),
        ("masked", vec![0x82, 0x80]),
        ("split", vec![0x09, 0]),
        ("too long", vec![0x89, 126, 0, 126]),
        ("never began", vec![0x80, 1]),
        ("within another", vec![0x02, 0, 0x82, 1]),
        ("not UTF-8", vec![0x81, 1, 0xff]),
        ("one byte", vec![0x88, 1, 3]),
        ("must not be sent", vec![0x88, 2, 0x03, 0xed]),
        ("must not be sent", vec![0x88, 2, 0, 0]),
        ("reason is not UTF-8", vec![0x88, 3, 0x03, 0xe8, 0xff]),
        ("more than 1000 bytes", long(1001)),
        ("more than 1000 bytes", long(u64::MAX)),
        ("more than 1000 bytes", [&[0x02, 126, 0x03, 0xe8][..], &[0; 1000], &[0x80, 1]].concat()),
    ];
    for (text, bytes) in table {
        let (_, error) = decoded(&bytes, 1, 1000);
        let error = error.unwrap_or_else(|| panic!("{text}: no error")).to_string();
        assert!(error.contains(text), "{text}: {error}");
    }
    assert_eq!(decoded(&[&[0x82, 126, 0x03, 0xe8][..], &[0; 1000]].concat(), 7, 1000).0.len(), 1);
}
