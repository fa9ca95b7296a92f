//! The list of servers of a room.

use std::time::Duration;

use agent_proto::{Time, livekit as proto};

use crate::turn::relays::{IceServer, RelayEvent, Relays};

fn server(urls: &[&str]) -> IceServer {
    proto::IceServer {
        urls: urls.iter().map(|url| (*url).to_owned()).collect(),
        username: "ada".to_owned(),
        credential: "sesame".to_owned(),
    }
    .into()
}

fn events(relays: &mut Relays) -> Vec<RelayEvent> {
    std::iter::from_fn(|| relays.poll()).collect()
}

fn opened(relays: &mut Relays) -> Vec<(u32, String)> {
    events(relays)
        .into_iter()
        .filter_map(|event| match event {
            RelayEvent::Open { relay, host, .. } => Some((relay, host)),
            _ => None,
        })
        .collect()
}

#[test]
fn whatever_the_server_names_is_limited() {
    let mut relays = Relays::new(7);
    let urls: Vec<String> = (0..1000).map(|n| format!("turn:relay{n}.test")).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    relays.set_servers(vec![server(&urls), server(&["nonsense"; 100]), server(&urls)], false);
    relays.open();
    assert_eq!(opened(&mut relays).len(), 4, "at a time");
    for relay in 1..=20 {
        relays.closed(relay, &"x".repeat(1_000_000));
        relays.open();
    }
    let text = relays.explain();
    assert!(text.contains("relay7.test") && !text.contains("relay8.test") && text.len() < 4_000, "{text}");
    assert!(!relays.can_open());
    events(&mut relays);
    // The number of connections is limited, however often it starts over.
    let mut connections = 0;
    for _ in 0..100 {
        relays.start_over();
        relays.open();
        connections += opened(&mut relays).len();
    }
    assert_eq!(connections, 64 - 8);
    let mut long = Relays::new(7);
    let server = proto::IceServer {
        urls: vec!["turn:relay.test".to_owned()],
        username: "u".repeat(2_000),
        credential: String::new(),
    };
    long.set_servers(vec![server.into()], false);
    assert!(
        long.explain().contains("a user name or credential of more than 1024 bytes"),
        "{}",
        long.explain()
    );
}

/// A resumed connection names the servers again, with other credentials.
#[test]
fn working_allocations_are_kept_when_servers_are_named_again() {
    let mut relays = Relays::new(7);
    relays.set_servers(vec![server(&["turn:a.test", "turn:b.test", "turn:gone.test"])], false);
    relays.open();
    assert_eq!(opened(&mut relays).len(), 3);
    relays.opened(1, "10.0.0.1:1".parse().unwrap(), false, Time::ZERO);
    relays.closed(2, "no");
    events(&mut relays);
    relays.set_servers(vec![server(&["turn:b.test", "turn:a.test"])], false);
    assert_eq!(events(&mut relays), [RelayEvent::Close { relay: 3 }]);
    relays.open();
    assert_eq!(opened(&mut relays), [(4, "b.test".to_owned())], "the failed one is retried");
    // The one with an address waits for its answer.
    assert!(relays.poll_timeout().is_some_and(|at| at <= Time::ZERO + Duration::from_millis(250)));
    relays.keep_only(None);
    assert_eq!(events(&mut relays), [RelayEvent::Close { relay: 4 }, RelayEvent::Close { relay: 1 }]);
    assert_eq!(relays.poll_timeout(), None);
}

#[test]
fn no_credentials_are_shown() {
    let mut relays = Relays::new(7);
    relays.set_servers(vec![server(&["turn:a.test"])], false);
    let shown = format!("{relays:?} {:?}", server(&["turn:a.test"]));
    assert!(!shown.contains("sesame") && !shown.contains("ada"), "{shown}");
}
