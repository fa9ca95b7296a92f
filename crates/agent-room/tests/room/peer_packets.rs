//! Packets of LiveKit's own crates for streams and RPC are read correctly.

use std::task::Poll;
use std::time::Duration;

use agent_proto::{decode, livekit as proto};
use agent_room::{
    IncomingStream, MAX_PACKET_LEN, RoomCommand, StreamError, StreamEvent, StreamKind, StreamLimits,
    StreamReaders,
};

use crate::support::Pair;

const RECORDED: &str = include_str!("peer_packets.txt");

/// A room that has received the packets of this name, as ada's.
fn receives(name: &str) -> Pair {
    let line = RECORDED.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).expect(name);
    let mut pair = Pair::new(|_| {});
    pair.connect();
    pair.command(1, RoomCommand::RegisterMethod("greet".to_owned()));
    for packet in line.split(' ') {
        let digits = packet.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap());
        let bytes: Vec<u8> = digits.map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect();
        let mut packet: proto::DataPacket = decode(&bytes.into(), MAX_PACKET_LEN).unwrap();
        (packet.participant_identity, packet.participant_sid) = ("ada".to_owned(), "PA_ada".to_owned());
        pair.send("_reliable", &packet);
    }
    pair.run_for(Duration::from_millis(50));
    assert_eq!(pair.room.violations(), 0);
    pair
}

/// The only stream of a room: its description, and what a reader gets.
fn stream(mut pair: Pair) -> (agent_room::StreamInfo, Result<Vec<u8>, StreamError>) {
    let Some(StreamEvent::Opened { info, .. }) = pair.streams.first() else { panic!("{:?}", pair.streams) };
    let info = (**info).clone();
    let mut readers = StreamReaders::new(StreamLimits::default());
    pair.streams.drain(..).for_each(|event| drop(readers.push(event)));
    let mut content = Vec::new();
    loop {
        match readers.read(IncomingStream(1)) {
            Poll::Ready(Some(Ok(piece))) => content.extend_from_slice(&piece),
            Poll::Ready(Some(Err(error))) => return (info, Err(error)),
            Poll::Ready(None) => return (info, Ok(content)),
            Poll::Pending => panic!("no end"),
        }
    }
}

#[test]
fn texts() {
    for (name, text, compressed) in [
        ("text in chunks", "hello 😀".to_owned(), false),
        ("text in one packet", "hello 😀".to_owned(), false),
        ("compressed text", "again ".repeat(30), true),
    ] {
        let (info, content) = stream(receives(name));
        assert_eq!(content.unwrap(), text.as_bytes(), "{name}");
        assert_eq!(
            (info.topic.as_str(), info.sender.as_str(), info.compressed),
            ("topic", "ada", compressed)
        );
        assert_eq!((info.total_length, info.attributes["k"].as_str()), (Some(text.len() as u64), "v"));
        assert!(info.is_text() && info.mime_type == "text/plain" && info.timestamp_ms > 1_700_000_000_000);
    }
    let (info, content) = stream(receives("text in parts"));
    assert_eq!((info.total_length, content.unwrap().as_slice()), (None, &b"one two"[..]));
    let (_, content) = stream(receives("text that was given up"));
    assert_eq!(content, Err(StreamError::Aborted { reason: "gone".to_owned() }));
}

#[test]
fn bytes() {
    for name in ["bytes in chunks", "bytes in one packet"] {
        let (info, content) = stream(receives(name));
        assert_eq!(content.unwrap(), [0, 255, 7], "{name}");
        assert_eq!(info.kind, StreamKind::Bytes { name: "f.bin".to_owned() });
        assert_eq!(info.mime_type, "application/x");
    }
}

#[test]
fn requests() {
    for name in ["request in a packet", "request in chunks", "request in one packet"] {
        let pair = receives(name);
        let [request] = &pair.rpc_requests[..] else { panic!("{name}: {:?}", pair.rpc_requests) };
        let shown = (request.caller.as_str(), request.method.as_str(), request.payload.as_str());
        assert_eq!(
            (shown, request.response_timeout),
            (("ada", "greet", "hi"), Duration::from_secs(8)),
            "{name}"
        );
        // The acknowledgement was sent at once.
        assert_eq!(pair.received.len(), 1);
        assert!(pair.streams.is_empty() && pair.unknown_methods.is_empty());
    }
}
