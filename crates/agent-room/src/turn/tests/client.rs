//! The messages between a client and its server, line by line.

use bytes::Bytes;

use super::server::{PEER, Pair, RELAYED, address, credentials};
use crate::turn::client::Settings;
use crate::turn::framing::Deframer;
use crate::turn::message::{Attribute, Class, Method, Writer};

#[test]
fn an_allocation_and_packets_both_ways() {
    let mut pair = Pair::new("sesame");
    pair.answer_all();
    pair.send("one");
    pair.send("two");
    pair.answer_all();
    pair.send("three");
    assert!(pair.receive(&b"\x40\x00\x00\x04four"[..]), "over the channel");
    let other = address("192.0.2.99:9");
    let indication = Writer::new(Method::Data, Class::Indication, [1; 12])
        .add_address(Attribute::XorPeerAddress, other)
        .add(Attribute::Data, b"five");
    assert!(pair.receive(indication.finish()), "from a port without one");
    pair.client.close();
    pair.drain();
    assert_eq!(
        pair.log,
        [
            "Allocate for 600 s",
            "Allocate for 600 s with first",
            "allocated 192.0.2.1:50000",
            "ChannelBind to 192.0.2.99:7882 with first",
            "channel 0x4000: one",
            "channel 0x4000: two",
            "channel 0x4000: three",
            "from 192.0.2.99:7882: four",
            "from 192.0.2.99:9: five",
            "Refresh for 0 s with first",
        ]
    );
    assert_eq!(pair.client.poll_timeout(), None);
    pair.send("six");
    assert_eq!(pair.log.len(), 10, "it is closed");
}

#[test]
fn allocation_and_channels_are_renewed_in_time() {
    let mut pair = Pair::allocated();
    pair.send("one");
    pair.answer_all();
    pair.log.clear();
    pair.live(600);
    assert_eq!(
        pair.log,
        [
            "ChannelBind to 192.0.2.99:7882 with first",
            "Refresh for 600 s with first",
            "ChannelBind to 192.0.2.99:7882 with first",
            "Refresh for 600 s with first",
        ]
    );
    // As often as the lifetime requires.
    pair.lifetime = 4;
    pair.live(301);
    pair.log.clear();
    pair.live(8);
    assert_eq!(pair.log.len(), 4, "{:?}", pair.log);
}

#[test]
fn another_nonce_is_used_for_everything_from_then_on() {
    let mut pair = Pair::allocated();
    pair.nonce = "second".to_owned();
    pair.send("one");
    pair.answer_all();
    pair.live(301);
    assert_eq!(
        pair.log,
        [
            "ChannelBind to 192.0.2.99:7882 with first",
            "ChannelBind to 192.0.2.99:7882 with second",
            "channel 0x4000: one",
            "ChannelBind to 192.0.2.99:7882 with second",
            "Refresh for 600 s with second",
        ]
    );
}

#[test]
fn wrong_credentials_are_tried_once() {
    let mut pair = Pair::new("wrong");
    pair.answer_all();
    assert_eq!(pair.log.len(), 3, "{:?}", pair.log);
    assert!(
        pair.log[2].starts_with("failed: it refuses the user name and credential (401, Unauthorized)"),
        "{:?}",
        pair.log
    );
    assert_eq!(pair.client.poll_timeout(), None);
}

#[test]
fn without_credentials_none_are_sent() {
    let mut pair = Pair::new("sesame");
    let mut nobody = credentials("");
    nobody.username = "".into();
    let settings = Settings { stream: false, ipv6: false };
    pair.client = crate::turn::client::TurnClient::new(nobody, settings, 7, pair.now);
    pair.requests.clear();
    pair.log.clear();
    pair.drain();
    pair.answer_all();
    assert!(pair.log[1].starts_with("failed: it demands credentials"), "{:?}", pair.log);
}

/// Each nonce is refused: the client gives up, instead of repeating the request forever.
#[test]
fn a_server_that_always_requires_another_nonce_is_given_up() {
    let mut pair = Pair::allocated();
    pair.pass(300);
    for n in 0..10 {
        if !pair.requests.is_empty() {
            pair.nonce = format!("nonce {n}");
            pair.refuse_next(438, "Stale Nonce");
        }
    }
    assert_eq!(pair.log.iter().filter(|line| line.starts_with("Refresh")).count(), 4, "{:?}", pair.log);
    assert_eq!(pair.log.last().unwrap(), "failed: it ended our allocation (error 438, Stale Nonce)");
}

#[test]
fn a_lost_allocation_is_reported() {
    let mut pair = Pair::allocated();
    pair.pass(300);
    pair.refuse_next(437, "Allocation\nMismatch");
    assert_eq!(pair.log[1], "failed: it ended our allocation (error 437, Allocation\\nMismatch)");
    // Or by the next peer.
    let mut pair = Pair::allocated();
    pair.send("one");
    pair.refuse_next(437, "");
    assert_eq!(pair.log[1], "failed: it ended our allocation (error 437)");
}

#[test]
fn refusals_contain_the_remedy() {
    for (code, expected) in [
        (486, "its quota for this user is used up"),
        (508, "it has no port left"),
        (300, "it names another server instead"),
        (440, "it has no address of the family"),
    ] {
        let mut pair = Pair::new("sesame");
        pair.refuse_next(code, "No");
        let line = pair.log.last().unwrap();
        assert!(line.contains(&format!("(error {code}, No)")) && line.contains(expected), "{line}");
    }
}

/// As livekit-server's own one does with addresses of private networks.
#[test]
fn a_refused_peer_is_asked_for_once() {
    let mut pair = Pair::allocated();
    pair.send("one");
    pair.refuse_next(403, "Forbidden");
    pair.send("two");
    assert_eq!(
        pair.log,
        ["ChannelBind to 192.0.2.99:7882 with first", "192.0.2.99:7882 refused: 403 Forbidden"]
    );
}

#[test]
fn requests_are_repeated_until_the_server_counts_as_dead() {
    let mut pair = Pair::new("sesame");
    pair.pass(7);
    assert_eq!(pair.log.len(), 5, "{:?}", pair.log);
    pair.pass(1);
    assert!(pair.log[5].starts_with("failed: it does not answer as a TURN server"), "{:?}", pair.log);
    // Where the way is reliable, once.
    let mut pair = Pair::over("sesame", Settings { stream: true, ipv6: false });
    pair.pass(7);
    assert_eq!(pair.log.len(), 1, "{:?}", pair.log);
    pair.pass(1);
    assert!(pair.log[1].starts_with("failed: it does not answer as a TURN server"), "{:?}", pair.log);
    let mut pair = Pair::allocated();
    pair.pass(400);
    assert_eq!(pair.log.last().unwrap(), "failed: it stopped answering");
}

/// An attacker who sees nothing cannot make up an allocation.
#[test]
fn an_answer_without_a_signature_is_ignored() {
    let mut pair = Pair::new("sesame");
    pair.refuse_next(401, "");
    let request = pair.requests.remove(0);
    let id = *request[8..].first_chunk::<12>().unwrap();
    let forged = Writer::new(Method::Allocate, Class::Success, id)
        .add_address(Attribute::XorRelayedAddress, address(RELAYED));
    assert!(!pair.receive(forged.finish()));
    assert_eq!(pair.log.len(), 2, "{:?}", pair.log);
}

#[test]
fn peers_of_the_other_family_are_left_out_and_all_are_limited() {
    let mut pair = Pair::allocated();
    pair.client.send(address("[2001:db8::1]:9"), b"x", pair.now);
    pair.drain();
    assert!(pair.log.is_empty());
    for port in 1..=200 {
        pair.client.send(address(&format!("192.0.2.9:{port}")), b"x", pair.now);
    }
    pair.drain();
    assert_eq!(pair.log.len(), 64);
    // What waits for a channel is limited, too.
    pair.log.clear();
    for _ in 0..100 {
        pair.client.send(address("192.0.2.9:1"), b"x", pair.now);
    }
    pair.answer_all();
    assert_eq!(pair.log.iter().filter(|line| line.starts_with("channel 0x4000")).count(), 4);
}

#[test]
fn messages_come_out_of_a_stream_in_any_pieces() {
    let padded = [&b"\x40\x00\x00\x05hello\0\0\0"[..], b"\x40\x01\x00\x00"].concat();
    let message = Writer::new(Method::Data, Class::Indication, [1; 12]).add(Attribute::Data, b"x").finish();
    let bytes = [&padded[..], &message].concat();
    for size in 1..bytes.len() {
        let mut deframer = Deframer::default();
        let mut found: Vec<Bytes> = Vec::new();
        for piece in bytes.chunks(size) {
            deframer.push(piece);
            while let Some(message) = deframer.next().unwrap() {
                found.push(message);
            }
        }
        assert_eq!(found, [&b"\x40\x00\x00\x05hello"[..], b"\x40\x01\x00\x00", &message], "{size}");
    }
    for wrong in [&b"HTTP"[..], b"\x40\x00\xff\xff", b"\x00\x01\xff\xff"] {
        let mut deframer = Deframer::default();
        deframer.push(wrong);
        assert!(deframer.next().is_err(), "{wrong:?}");
    }
}

#[test]
fn neither_credentials_nor_keys_are_shown() {
    let pair = Pair::allocated();
    let shown = format!("{:?} {:?}", pair.client, credentials("sesame"));
    assert!(!shown.contains("sesame") && !shown.contains("ada"), "{shown}");
    assert_eq!(address(PEER).port(), 7882);
}
