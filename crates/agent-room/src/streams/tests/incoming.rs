//! Order, repeats, gaps, limits, and senders that leave.

use std::collections::BTreeMap;

use super::super::StreamLimits;
use super::*;

fn incoming() -> Incoming {
    Incoming::new(StreamLimits { open_per_sender: 2, open: 3, content: 1000, ..StreamLimits::default() })
}

fn receive(incoming: &mut Incoming, packets: impl IntoIterator<Item = StreamPacket>) -> Vec<String> {
    packets.into_iter().for_each(|packet| incoming.receive(ada(), packet));
    events(incoming)
}

#[test]
fn a_stream_in_chunks() {
    let mut incoming = incoming();
    let attributes = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    let end = Trailer { stream_id: "s".to_owned(), attributes, ..Trailer::default() };
    let packets = [
        StreamPacket::Header(text("s")),
        chunk("s", 0, b"one "),
        chunk("s", 1, b""),
        chunk("s", 2, b"two"),
        StreamPacket::Trailer(end),
    ];
    assert_eq!(
        receive(&mut incoming, packets),
        ["1 opened: s on chat by ada", "1 content: one ", "1 content: two", "1 ended: {\"k\": \"v\"}",]
    );
    assert_eq!(receive(&mut incoming, [chunk("s", 3, b"late"), trailer("s", "")]), [""; 0]);
    assert_eq!(incoming.take_violations(), 0);
}

#[test]
fn a_stream_in_one_packet() {
    let mut incoming = incoming();
    let inline = Header { inline_content: Some("all".into()), ..text("s") };
    let expected = ["1 opened: s on chat by ada", "1 content: all", "1 ended: {}"];
    assert_eq!(receive(&mut incoming, [StreamPacket::Header(inline)]), expected);
    let empty = Header { inline_content: Some("".into()), ..text("s") };
    let expected = ["2 opened: s on chat by ada", "2 ended: {}"];
    assert_eq!(receive(&mut incoming, [StreamPacket::Header(empty)]), expected);
}

#[test]
fn repeats_are_dropped_and_a_gap_is_an_error() {
    let mut incoming = incoming();
    let header = || StreamPacket::Header(text("s"));
    let packets = [header(), chunk("s", 0, b"a"), header(), chunk("s", 0, b"a"), chunk("s", 1, b"b")];
    let expected = ["1 opened: s on chat by ada", "1 content: a", "1 content: b"];
    assert_eq!(receive(&mut incoming, packets), expected);
    let packets = [chunk("s", 3, b"d"), chunk("s", 2, b"c"), trailer("s", "")];
    let expected = ["1 failed: the stream is incomplete: chunk 2 is missing before 3"];
    assert_eq!(receive(&mut incoming, packets), expected);
    // The id is free again.
    assert_eq!(receive(&mut incoming, [header()]), ["2 opened: s on chat by ada"]);
}

#[test]
fn the_sender_may_give_up() {
    let mut incoming = incoming();
    let packets = [StreamPacket::Header(bytes("s")), trailer("s", " out of\npaper ")];
    let expected = ["1 opened: s on chat by ada", "1 failed: the sender ended the stream: out of\\npaper"];
    assert_eq!(receive(&mut incoming, packets), expected);
}

#[test]
fn streams_of_different_senders_are_kept_apart() {
    let mut incoming = incoming();
    let bob = || PacketSender { sid: "PA_b".to_owned(), identity: "ada".to_owned() };
    incoming.receive(ada(), StreamPacket::Header(text("s")));
    incoming.receive(bob(), chunk("s", 0, b"forged"));
    incoming.receive(bob(), trailer("s", ""));
    incoming.receive(bob(), StreamPacket::Header(text("s")));
    incoming.receive(ada(), chunk("s", 0, b"a"));
    let expected = ["1 opened: s on chat by ada", "2 opened: s on chat by ada", "1 content: a"];
    assert_eq!(events(&mut incoming), expected);
}

#[test]
fn an_agent_may_set_another_identity_in_the_header() {
    let mut incoming = incoming();
    let agent = |identity: &str| PacketSender { sid: "PA_agent".to_owned(), identity: identity.to_owned() };
    incoming.receive(agent("ada"), StreamPacket::Header(text("s")));
    incoming.receive(agent("agent"), chunk("s", 0, b"spoken"));
    incoming.receive(agent("agent"), trailer("s", ""));
    let expected = ["1 opened: s on chat by ada", "1 content: spoken", "1 ended: {}"];
    assert_eq!(events(&mut incoming), expected);
}

#[test]
fn a_sender_that_leaves_has_two_seconds_for_what_is_under_way() {
    let mut incoming = incoming();
    receive(&mut incoming, [StreamPacket::Header(text("a")), StreamPacket::Header(text("b"))]);
    incoming.sender_left("PA_a", Some("ada"), at(0));
    assert_eq!(incoming.poll_timeout(), Some(at(2000)));
    incoming.handle_timeout(at(1999));
    assert_eq!(receive(&mut incoming, [trailer("a", "")]), ["1 ended: {}"]);
    incoming.handle_timeout(at(2000));
    let expected = ["2 failed: the sender left the room before the end of the stream"];
    assert_eq!(events(&mut incoming), expected);
    assert_eq!(incoming.poll_timeout(), None);
    // A participant whose identity is the sid of another one changes nothing for that one.
    receive(&mut incoming, [StreamPacket::Header(text("c"))]);
    incoming.sender_left("PA_b", Some("PA_a"), at(3000));
    incoming.handle_timeout(at(5000));
    assert_eq!(events(&mut incoming), [""; 0]);
    assert_eq!(incoming.poll_timeout(), None);
}

#[test]
fn a_stream_that_begins_after_its_sender_left_ends_with_the_others() {
    let mut incoming = incoming();
    incoming.sender_left("PA_a", Some("ada"), at(0));
    receive(&mut incoming, [StreamPacket::Header(text("late"))]);
    incoming.handle_timeout(at(2000));
    assert_eq!(events(&mut incoming), ["1 failed: the sender left the room before the end of the stream"]);
}

#[test]
fn too_many_open_streams_fail() {
    let mut incoming = incoming();
    let header = |id: &str| StreamPacket::Header(text(id));
    receive(&mut incoming, [header("a"), header("b")]);
    let expected = ["3 opened: c on chat by ada", "3 failed: the sender has 2 streams open already"];
    assert_eq!(receive(&mut incoming, [header("c"), chunk("c", 0, b"x")]), expected);
    let other = |n: u32| PacketSender { sid: format!("PA_{n}"), identity: String::new() };
    incoming.receive(other(1), header("a"));
    incoming.receive(other(2), header("a"));
    assert!(events(&mut incoming).last().unwrap().contains("3 streams open already"));
    // One that is closed makes room, and one in a single packet needs none.
    receive(&mut incoming, [trailer("a", "")]);
    incoming.receive(other(2), header("a"));
    incoming
        .receive(other(3), StreamPacket::Header(Header { inline_content: Some("x".into()), ..text("a") }));
    assert!(events(&mut incoming).iter().all(|event| !event.contains("failed")));
}

#[test]
fn unusable_headers() {
    let mut incoming = incoming();
    let unknown = Header { compression: 9, ..text("a") };
    let huge = Header { total_length: Some(1001), ..text("b") };
    let expected = [
        "1 opened: a on chat by ada",
        "1 failed: the compression 9 of the stream is not supported",
        "2 opened: b on chat by ada",
        "2 failed: the content of the stream is over the limit of 1000 bytes",
    ];
    let packets = [unknown, huge].map(StreamPacket::Header);
    assert_eq!(receive(&mut incoming, packets), expected);
    let packets = [
        Header { stream_id: String::new(), ..text("") },
        text(&"x".repeat(257)),
        Header { content_header: None, ..text("c") },
    ];
    assert_eq!(receive(&mut incoming, packets.map(StreamPacket::Header)), [""; 0]);
    assert_eq!(incoming.take_violations(), 3);
}

#[test]
fn a_new_session_and_the_end_of_the_room_end_all_streams() {
    let mut incoming = incoming();
    receive(&mut incoming, [StreamPacket::Header(text("a"))]);
    incoming.sender_left("PA_a", Some("ada"), at(0));
    incoming.interrupted();
    assert!(events(&mut incoming)[0].starts_with("1 failed: the connection was re-established"));
    assert_eq!(incoming.poll_timeout(), None);
    receive(&mut incoming, [StreamPacket::Header(text("a"))]);
    incoming.room_ended();
    assert_eq!(events(&mut incoming), ["2 failed: the room ended before the stream"]);
}
