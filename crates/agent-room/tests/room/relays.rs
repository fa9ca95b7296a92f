//! When a room requests relays (TURN), and what it reports of those that cannot be used. The protocol
//! itself is tested inside of the crate, and with real relays.

use std::time::Duration;

use agent_proto::Time;
use agent_room::{DisconnectReason, Input, JoinFailure};

use crate::support::Pair;

const UDP: &str = "turn:relay.test:3478?transport=udp";
const TLS: &str = "turns:relay.test:443?transport=tcp";

fn named(urls: &[&str]) -> Pair {
    let mut pair = Pair::new(|_| {});
    pair.turn_urls = urls.iter().map(|url| (*url).to_owned()).collect();
    pair
}

/// Why the join failed, after its timeout.
fn failure(pair: &mut Pair) -> String {
    pair.join();
    pair.run_until("the end", |pair| pair.closed.is_some());
    let Some(DisconnectReason::JoinFailed(failure)) = &pair.closed else { panic!("{:?}", pair.closed) };
    failure.to_string()
}

fn asked(pair: &Pair) -> Vec<&str> {
    pair.relays_asked.iter().map(|(_, server, _)| server.as_str()).collect()
}

#[test]
fn a_room_with_a_direct_path_asks_for_none() {
    let mut pair = named(&[UDP, "nonsense", "stun:stun.test:3478"]);
    pair.connect();
    pair.run_for(Duration::from_secs(20));
    assert!(pair.relays_asked.is_empty() && pair.relays_failed.is_empty());
}

#[test]
fn a_room_without_a_path_tries_relays_after_a_second_and_names_them() {
    let mut pair =
        named(&[UDP, TLS, "stun:stun.test:3478", "turn:relay.test:port", "turn:a:sesame@relay.test"]);
    pair.lose = |_| true;
    let text = failure(&mut pair);
    assert_eq!(asked(&pair), ["relay.test:3478", "relay.test:443"]);
    let after = pair.relays_asked[0].2 - Time::ZERO;
    assert!(after >= Duration::from_secs(1) && after < Duration::from_millis(1_100), "{after:?}");
    for part in [
        "no packet came back from 127.0.0.1:2000 (UDP)",
        "TURN: turn:relay.test:3478?transport=udp: no connection yet; turns:relay.test:443?transport=tcp: no connection yet",
        "a TURN server with an unusable URL: the port `port`: expected 1 to 65535",
        "a user name in the URL: it belongs into `username` and `credential`",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("sesame"), "{text}");
}

#[test]
fn without_servers_the_error_names_the_remedy() {
    let mut pair = named(&[]);
    pair.lose = |_| true;
    let text = failure(&mut pair);
    assert!(
        text.contains(
            "the server names no TURN server (`rtc.turn_servers`), which helps where UDP is blocked"
        ),
        "{text}"
    );
}

/// Each of them is a line of the log, and the next one is tried.
#[test]
fn a_server_that_cannot_be_reached_is_reported_and_the_others_are_tried() {
    let urls: Vec<String> = (1..=6).map(|n| format!("turn:relay{n}.test")).collect();
    let mut pair = named(&urls.iter().map(String::as_str).collect::<Vec<_>>());
    pair.lose = |_| true;
    pair.join();
    pair.run_until("relays", |pair| !pair.relays_asked.is_empty());
    assert_eq!(
        asked(&pair),
        ["relay1.test:3478", "relay2.test:3478", "relay3.test:3478", "relay4.test:3478"]
    );
    let relay = pair.relays_asked[1].0;
    pair.input(Input::RelayClosed { relay, error: "its name was not found".to_owned() });
    assert_eq!(pair.relays_closed, [relay]);
    let failed = ("turn:relay2.test:3478?transport=udp".to_owned(), "its name was not found".to_owned());
    assert_eq!(pair.relays_failed, [failed]);
    assert_eq!(asked(&pair)[4..], ["relay5.test:3478"]);
}

/// By the configuration or by the server: no packet is sent in any other way, and none is waited for.
#[test]
fn forced_relays_are_requested_at_once_and_nothing_else_is_tried() {
    for by_the_server in [false, true] {
        let mut pair = Pair::new(|config| config.force_relay = !by_the_server);
        pair.turn_urls = vec![UDP.to_owned()];
        pair.server_forces_relay = by_the_server;
        pair.join();
        pair.run_until("a relay", |pair| !pair.relays_asked.is_empty());
        assert!(pair.now < Time::ZERO + Duration::from_millis(50), "{}", pair.now);
        pair.listen_on_tcp();
        pair.run_until("the end", |pair| pair.closed.is_some());
        assert!(pair.sent.is_empty() && pair.tcp_asked.is_empty() && pair.routes_asked.is_empty());
        let text = format!("{:?}", pair.closed);
        assert!(
            text.contains("no path through a relay, as `force_relay` demands it: turn:relay.test:3478"),
            "{text}"
        );
    }
}

#[test]
fn forced_relays_without_a_server_are_a_clear_error() {
    let mut pair = Pair::new(|config| config.force_relay = true);
    let text = failure(&mut pair);
    assert!(pair.now < Time::ZERO + Duration::from_millis(100), "at once: {}", pair.now);
    assert!(
        text.contains("the LiveKit server named no TURN server: name one in its configuration"),
        "{text}"
    );
}

/// There is nothing to wait for, and the timeout of a join may be long.
#[test]
fn forced_relays_that_all_refuse_fail_the_join_at_once() {
    let mut pair = Pair::new(|config| config.force_relay = true);
    pair.leaves_failed_join = false;
    pair.turn_urls = [UDP, "turn:relay.test:port", TLS].map(str::to_owned).to_vec();
    pair.join();
    pair.run_until("relays", |pair| pair.relays_asked.len() == 2);
    for (relay, error) in [(1, "nothing answers there"), (2, "no TLS connection")] {
        assert!(pair.failed_joins.is_empty(), "one may answer");
        pair.input(Input::RelayClosed { relay, error: error.to_owned() });
    }
    let [JoinFailure::Media { detail }] = &pair.failed_joins[..] else { panic!("{:?}", pair.failed_joins) };
    for part in [
        "no path through a relay, as `force_relay` demands it",
        "turn:relay.test:3478?transport=udp: nothing answers there",
        "turns:relay.test:443?transport=tcp: no TLS connection",
        "a TURN server with an unusable URL: the port `port`",
    ] {
        assert!(detail.contains(part), "{detail}");
    }
    assert!(pair.now < Time::ZERO + Duration::from_millis(100), "{}", pair.now);
    // A retry asks them again.
    pair.input(Input::JoinRetried { timeout: Duration::from_secs(5) });
    pair.run_until("relays again", |pair| pair.relays_asked.len() == 4);
    assert_eq!(pair.failed_joins.len(), 1);
}

/// The peer of the connection is no TURN server: its bytes are garbage, and the room stays as it is.
#[test]
fn a_relay_that_answers_nonsense_is_given_up() {
    let mut pair = named(&[TLS]);
    pair.lose = |_| true;
    pair.join();
    pair.run_until("a relay", |pair| !pair.relays_asked.is_empty());
    let relay = pair.relays_asked[0].0;
    pair.input(Input::RelayOpened { relay, local: "10.0.0.1:4000".parse().unwrap() });
    assert_eq!(pair.relay_messages.len(), 1, "a request for an allocation");
    assert!(
        !pair.relay_messages[0].1.windows(6).any(|bytes| bytes == b"sesame"),
        "no credentials are sent before they are demanded"
    );
    pair.input(Input::RelayReceived { relay, contents: "HTTP/1.1 400 Bad Request\r\n\r\n".into() });
    assert_eq!(pair.room.violations(), 1);
    assert_eq!(pair.relays_closed, [relay]);
    assert!(pair.relays_failed[0].1.contains("it sends what is no TURN"), "{:?}", pair.relays_failed);
}
