//! What is written for what is sent.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::super::{Abilities, Outgoing, SendDone, SendOwner, StreamKind, StreamOptions, StreamOut};
use super::*;
use crate::RoomError;
use proto::data_packet::Value;

fn new() -> Outgoing {
    Outgoing::new(4, 1_000_000)
}

fn options(kind: StreamKind) -> StreamOptions {
    StreamOptions { destinations: vec!["ada".to_owned()], ..StreamOptions::new("s", "chat", kind) }
}

fn command(id: u64) -> SendOwner {
    SendOwner::Command(id)
}

fn sends(outgoing: &mut Outgoing, options: StreamOptions, content: impl Into<Bytes>, to: Abilities) {
    outgoing.send(command(1), options, content.into(), 1234, to).unwrap();
}

fn shown(packet: &StreamOut) -> String {
    match &packet.value {
        Value::StreamHeader(header) => {
            let inline = header.inline_content.as_ref().map(|content| content.len());
            let compression = header.compression().as_str_name();
            format!(
                "header {} of {:?}, inline {inline:?}, {compression}",
                header.stream_id, header.total_length
            )
        }
        Value::StreamChunk(chunk) => format!("chunk {}: {} bytes", chunk.chunk_index, chunk.content.len()),
        Value::StreamTrailer(trailer) => format!("trailer {:?} {:?}", trailer.reason, trailer.attributes),
        other => format!("{other:?}"),
    }
}

/// The packets in one line each, with what their acceptance completes.
fn packets(outgoing: &mut Outgoing) -> Vec<String> {
    std::iter::from_fn(|| {
        let packet = outgoing.next_packet()?;
        let done: Option<SendDone> = outgoing.accepted(packet.stream);
        let done = done.map_or_else(String::new, |done| format!(" -> {done:?}"));
        Some(shown(&packet) + &done)
    })
    .collect()
}

const V1: Abilities = Abilities { rpc_streams: false, inline: false, deflate: false };
const INLINE: Abilities = Abilities { rpc_streams: true, inline: true, deflate: false };

#[test]
fn a_short_text_for_old_and_new_clients() {
    let mut outgoing = new();
    sends(&mut outgoing, options(StreamKind::text()), "hello", V1);
    let expected = [
        "header s of Some(5), inline None, NONE",
        "chunk 0: 5 bytes",
        "trailer \"\" {} -> (Command(1), Ok(()))",
    ];
    assert_eq!(packets(&mut outgoing), expected);
    sends(&mut outgoing, options(StreamKind::text()), "hello", INLINE);
    let expected = ["header s of Some(5), inline Some(5), NONE -> (Command(1), Ok(()))"];
    assert_eq!(packets(&mut outgoing), expected);
    // Too short to gain from compression.
    sends(&mut outgoing, options(StreamKind::text()), "hello", Abilities::ALL);
    assert_eq!(packets(&mut outgoing), expected);
    sends(&mut outgoing, options(StreamKind::text()), "", V1);
    let expected = ["header s of Some(0), inline None, NONE", "trailer \"\" {} -> (Command(1), Ok(()))"];
    assert_eq!(packets(&mut outgoing), expected);
    assert!(outgoing.is_idle());
}

#[test]
fn the_bytes_of_a_header() {
    let mut outgoing = new();
    let mut options = options(StreamKind::Bytes { name: "f".to_owned() });
    options.attributes.insert("k".to_owned(), "v".to_owned());
    sends(&mut outgoing, options, "x", V1);
    let packet = outgoing.next_packet().unwrap();
    assert_eq!(packet.destinations, ["ada"]);
    let Value::StreamHeader(header) = packet.value else { panic!("{packet:?}") };
    // stream_id 1, timestamp 2, topic 3, mime_type 4, total_length 5, attributes 8, byte_header 10 {name 1}.
    let expected = b"\x0a\x01s\x10\xd2\x09\x1a\x04chat\x22\x18application/octet-stream\x28\x01\
        \x42\x06\x0a\x01k\x12\x01v\x52\x03\x0a\x01f";
    assert_eq!(agent_proto::encode(&header), &expected[..]);
    assert_eq!(outgoing.accepted(packet.stream), None);
    let packet = outgoing.next_packet().unwrap();
    let Value::StreamChunk(chunk) = packet.value else { panic!("{packet:?}") };
    assert_eq!(agent_proto::encode(&chunk), &b"\x0a\x01s\x1a\x01x"[..]);
}

#[test]
fn content_is_cut_at_15_000_bytes_and_text_between_characters() {
    for (len, chunks) in [
        (14_999, vec![14_999]),
        (15_000, vec![15_000]),
        (15_001, vec![15_000, 1]),
        (30_000, vec![15_000, 15_000]),
    ] {
        let mut outgoing = new();
        sends(&mut outgoing, options(StreamKind::bytes()), vec![7; len], V1);
        let lines = packets(&mut outgoing);
        let expected: Vec<String> =
            chunks.iter().enumerate().map(|(n, len)| format!("chunk {n}: {len} bytes")).collect();
        assert_eq!(lines[1..lines.len() - 1], expected);
    }
    let mut outgoing = new();
    // A character of two bytes would be cut in half.
    let text = format!("{}é", "x".repeat(14_999));
    sends(&mut outgoing, options(StreamKind::text()), text, V1);
    assert_eq!(packets(&mut outgoing)[1..3], ["chunk 0: 14999 bytes", "chunk 1: 2 bytes"]);
}

#[test]
fn the_limit_of_a_single_packet_counts_everything() {
    let inline = |len: usize, destinations: usize| {
        let mut outgoing = new();
        let mut options = options(StreamKind::bytes());
        options.destinations = vec!["x".repeat(98); destinations];
        sends(&mut outgoing, options, vec![7; len], INLINE);
        packets(&mut outgoing)[0].contains("inline Some")
    };
    let most = (14_000..15_000).rev().find(|len| inline(*len, 1)).unwrap();
    assert!((14_800..14_900).contains(&most), "{most}");
    assert!(!inline(most - 99, 2) && inline(most - 100, 2), "each recipient takes 100 bytes");
}

#[test]
fn compression() {
    let long = "hello ".repeat(1000);
    let mut outgoing = new();
    sends(&mut outgoing, options(StreamKind::text()), long.clone(), Abilities::ALL);
    let lines = packets(&mut outgoing);
    assert!(lines[0].starts_with("header s of Some(6000), inline Some(") && lines[0].contains("DEFLATE_RAW"));
    assert_eq!(lines.len(), 1);
    let no = StreamOptions { compress: false, ..options(StreamKind::text()) };
    sends(&mut outgoing, no, long, Abilities::ALL);
    assert!(packets(&mut outgoing)[0].contains("inline Some(6000), NONE"));

    // Longer than is compressed at once: whether it becomes smaller is measured on its beginning.
    let hexadecimal = |len| {
        let mut random = fastrand::Rng::with_seed(7);
        std::iter::repeat_with(move || random.digit(16)).take(len).collect::<String>()
    };
    let lines = |content: Vec<u8>, to| {
        let mut outgoing = new();
        sends(&mut outgoing, options(StreamKind::bytes()), content, to);
        packets(&mut outgoing)
    };
    let compressed = lines(hexadecimal(400_000).into(), Abilities::ALL);
    let plain = lines(hexadecimal(400_000).into(), INLINE);
    assert_eq!(compressed[0], "header s of Some(400000), inline None, DEFLATE_RAW");
    assert_eq!(plain[0], "header s of Some(400000), inline None, NONE");
    assert!(compressed.len() < plain.len() * 2 / 3, "{} {}", compressed.len(), plain.len());
    assert!(compressed[1..10].iter().all(|line| line.ends_with(": 15000 bytes")));
    let mut random = fastrand::Rng::with_seed(7);
    let noise = lines(std::iter::repeat_with(|| random.u8(..)).take(400_000).collect(), Abilities::ALL);
    assert_eq!(noise[0], "header s of Some(400000), inline None, NONE");
}

#[test]
fn attachments_and_large_headers() {
    let mut outgoing = new();
    let info = super::super::TextStreamInfo { attached: vec!["file".to_owned()], ..Default::default() };
    sends(&mut outgoing, options(StreamKind::Text(info)), "see", INLINE);
    assert_eq!(packets(&mut outgoing)[0], "header s of Some(3), inline None, NONE");
    let mut large = options(StreamKind::text());
    large.attributes.insert("k".to_owned(), "v".repeat(15_000));
    let error = outgoing.send(command(1), large.clone(), "x".into(), 0, INLINE).unwrap_err();
    assert!(matches!(error, RoomError::HeaderTooLarge { len: 15_000.., limit: 15_000 }), "{error:?}");
    // The length of the content is not among them.
    let error = outgoing.open(1, large, 0).unwrap_err();
    assert!(matches!(error, RoomError::HeaderTooLarge { len: 15_000.., .. }), "{error:?}");
}

#[test]
fn a_stream_that_is_written_in_parts() {
    let mut outgoing = new();
    outgoing.open(1, options(StreamKind::text()), 0).unwrap();
    assert_eq!(outgoing.write(2, 1, "one".into()), Ok(false));
    assert_eq!(
        packets(&mut outgoing),
        [
            "header s of None, inline None, NONE -> (Command(1), Ok(()))",
            "chunk 0: 3 bytes -> (Command(2), Ok(()))"
        ]
    );
    assert!(outgoing.is_idle());
    assert_eq!(outgoing.write(3, 1, Bytes::new()), Ok(true));
    assert_eq!(outgoing.write(4, 1, vec![b'x'; 15_001].into()), Ok(false));
    let attributes = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    outgoing.close(5, 1, "enough".to_owned(), attributes).unwrap();
    assert_eq!(
        packets(&mut outgoing),
        [
            "chunk 1: 15000 bytes",
            "chunk 2: 1 bytes -> (Command(4), Ok(()))",
            "trailer \"enough\" {\"k\": \"v\"} -> (Command(5), Ok(()))"
        ]
    );
    assert_eq!(outgoing.write(6, 1, "late".into()), Err(RoomError::StreamClosed));
    assert_eq!(outgoing.close(7, 1, String::new(), BTreeMap::new()), Err(RoomError::StreamClosed));
    assert_eq!(outgoing.write(8, 99, "x".into()), Err(RoomError::StreamClosed));
}

#[test]
fn streams_take_turns() {
    let mut outgoing = new();
    for id in ["a", "b"] {
        let options = StreamOptions::new(id, "chat", StreamKind::bytes());
        sends(&mut outgoing, options, vec![7; 30_000], V1);
    }
    let mut order = Vec::new();
    while let Some(packet) = outgoing.next_packet() {
        order.push(packet.stream);
        outgoing.accepted(packet.stream);
    }
    assert_eq!(order, [1, 2, 1, 2, 1, 2, 1, 2]);
}

#[test]
fn waiting_content_is_limited() {
    let mut outgoing = new();
    let send = |outgoing: &mut Outgoing, len: usize| {
        outgoing.send(command(1), options(StreamKind::bytes()), vec![7; len].into(), 0, V1)
    };
    send(&mut outgoing, 600_000).unwrap();
    assert_eq!(send(&mut outgoing, 600_000), Err(RoomError::QueueFull));
    for _ in 0..3 {
        send(&mut outgoing, 1).unwrap();
    }
    assert_eq!(send(&mut outgoing, 1), Err(RoomError::QueueFull));
    packets(&mut outgoing);
    send(&mut outgoing, 1_000_000).unwrap();
    packets(&mut outgoing);
    outgoing.open(2, options(StreamKind::bytes()), 0).unwrap();
    let written = (10..).take_while(|id| outgoing.write(*id, 2, "x".into()).is_ok()).count();
    assert_eq!(written, 1024);
}

#[test]
fn a_new_session_ends_what_has_begun() {
    let mut outgoing = new();
    outgoing.open(1, options(StreamKind::text()), 0).unwrap();
    packets(&mut outgoing);
    outgoing.write(2, 1, "lost".into()).unwrap();
    outgoing.close(3, 1, String::new(), BTreeMap::new()).unwrap();
    let taken = outgoing.next_packet().unwrap();
    outgoing.send(command(4), options(StreamKind::text()), "kept".into(), 0, INLINE).unwrap();
    let (failed, done) = outgoing.interrupted();
    assert_eq!(failed, [taken.stream]);
    let error = || Err(RoomError::StreamInterrupted);
    assert_eq!(done, [(command(2), error()), (command(3), error())]);
    assert_eq!(outgoing.write(5, 1, "x".into()), Err(RoomError::StreamClosed));
    assert_eq!(packets(&mut outgoing).len(), 1);
    assert!(outgoing.is_idle());
}

#[test]
fn every_sender_is_notified_once_when_the_room_is_over() {
    let mut outgoing = new();
    sends(&mut outgoing, options(StreamKind::text()), "x", V1);
    outgoing.open(2, options(StreamKind::text()), 0).unwrap();
    outgoing.write(3, 2, "x".into()).unwrap();
    let done = outgoing.take_all(&RoomError::NotConnected);
    let owners: Vec<SendOwner> = done.into_iter().map(|(owner, _)| owner).collect();
    assert_eq!(owners, [command(1), command(2), command(3)]);
}
