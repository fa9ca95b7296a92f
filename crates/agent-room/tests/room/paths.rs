//! How a room finds its path to the server's media: which local addresses it uses, how many it considers, and
//! its error if there is no path.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use agent_proto::livekit as proto;
use agent_room::{AddressKind, DisconnectReason, JoinFailure, NetworkPath, RoomEvent};

use crate::support::Pair;
use proto::signal_request::Message as Request;
use proto::signal_response::Message as Response;

/// Why the join failed, after its timeout.
fn failure(mut pair: Pair) -> String {
    pair.join();
    pair.run_until("the end", |pair| pair.closed.is_some());
    let Some(DisconnectReason::JoinFailed(failure)) = pair.closed else { panic!("{:?}", pair.closed) };
    failure.to_string()
}

#[test]
fn addresses_follow_from_those_of_the_server_and_are_sent_to_it() {
    for mut pair in [Pair::new(|_| {}), Pair::over_ipv6()] {
        pair.connect();
        assert!(!pair.descriptions[0].contains("a=candidate:"), "nothing is guessed for the offer");
        let candidates: Vec<&str> = pair
            .requests
            .iter()
            .filter_map(|request| match request {
                Request::Trickle(trickle) => Some(trickle.candidate_init.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(candidates.len(), 1, "{candidates:?}");
        let own =
            if pair.routes_asked[0].is_ipv4() { " 127.0.0.1 1000 typ host" } else { " ::1 1000 typ host" };
        assert!(candidates[0].contains(own), "{candidates:?}");
        let client = if pair.routes_asked[0].is_ipv4() { "127.0.0.1:1000" } else { "[::1]:1000" };
        let path = NetworkPath::udp(client.parse().unwrap(), pair.routes_asked[0]);
        assert_eq!(pair.paths, std::slice::from_ref(&path));
        let joined = pair.events.iter().find_map(|event| match event {
            RoomEvent::Connected(joined) => Some(joined.network_path.clone()),
            _ => None,
        });
        assert_eq!(joined, Some(Some(path)));
        assert_eq!(pair.room.violations(), 0);
    }
}

#[test]
fn different_address_families_are_named_in_the_error() {
    let mut pair = Pair::over_ipv6();
    let v4: IpAddr = "192.0.2.7".parse().unwrap();
    pair.routes = |remote| remote.is_ipv4().then(|| "192.0.2.7".parse().unwrap());
    let text = failure(pair);
    assert!(
        text.contains("the server offers media at [::1]:2000 (UDP), and this machine has no route there"),
        "{text}"
    );
    assert!(text.contains(&format!("it has IPv4 address {v4} and no IPv6 address for it")), "{text}");
    assert!(text.contains("`.join_timeout(…)`") && text.contains("`rtc.node_ip`"), "{text}");
}

#[test]
fn a_machine_without_any_route_reports_it() {
    let mut pair = Pair::new(|_| {});
    pair.routes = |_| None;
    let text = failure(pair);
    assert!(text.contains("no IPv4 address for it and no IPv6 address for it"), "{text}");
}

#[test]
fn a_server_that_announces_nothing_is_distinguished() {
    let mut pair = Pair::new(|_| {});
    pair.tamper = without_candidates;
    let text = failure(pair);
    assert!(
        text.contains("the server announced no address for its media: check `rtc` in its configuration"),
        "{text}"
    );
    let mut pair = Pair::new(|_| {});
    pair.answers = false;
    assert!(failure(pair).contains("the server did not answer our offer"));
}

#[test]
fn unreachable_candidates_do_not_prevent_a_connection() {
    let mut pair = Pair::new(|_| {});
    // As the system does for link-local addresses without an interface.
    pair.routes = |remote| remote.is_ipv4().then(|| "127.0.0.1".parse().unwrap());
    pair.join();
    for (candidate, invalid) in [
        // A browser's mDNS name, other protocols, another address family, other components.
        ("candidate:1 1 udp 9 3c1f4f4e-01.local 50000 typ host", false),
        ("candidate:1 1 tcp 9 10.0.0.9 9 typ host tcptype active", false),
        ("candidate:1 1 udp 9 fe80::1 50000 typ host", false),
        ("candidate:1 1 udp 9 fd00::1 50000 typ host", false),
        ("candidate:1 2 udp 9 10.0.0.9 50001 typ host", false),
        ("candidate:1 1 ssltcp 9 10.0.0.9 443 typ host", false),
        ("candidate:1 1 udp 9 10.0.0.9 50000 typ srflx raddr 0.0.0.0 rport 0", false),
        ("candidate:1 1 udp 9 0.0.0.0 50000 typ host", true),
        ("candidate:1 1 udp 9 :: 50000 typ host", true),
        ("candidate:1 1 udp 9 224.0.0.1 50000 typ host", true),
        ("candidate:1 1 udp 9 255.255.255.255 50000 typ host", true),
        ("candidate:1 1 udp 9 10.0.0.9 0 typ host", true),
        ("candidate:1 1 udp 9 <b>evil</b> 50000 typ host", true),
        ("candidate:1", true),
        ("nonsense", true),
    ] {
        let before = pair.room.violations();
        pair.trickle(candidate);
        pair.run_for(Duration::from_millis(5));
        assert_eq!(pair.room.violations() - before, u64::from(invalid), "{candidate}");
    }
    pair.run_until("the connection", |pair| !pair.paths.is_empty());
    let [path] = &pair.paths[..] else { panic!("{:?}", pair.paths) };
    assert_eq!(path.as_str(), "udp");
}

#[test]
fn a_packet_is_sent_only_where_the_system_would_send_it_from_there() {
    let mut pair = Pair::new(|_| {});
    pair.routes =
        |remote| Some(if remote.ip().is_loopback() { "127.0.0.1" } else { "10.0.0.2" }.parse().unwrap());
    pair.join();
    pair.trickle("candidate:1 1 udp 2130706431 10.0.0.9 50000 typ host");
    pair.run_until("the connection", |pair| !pair.paths.is_empty());
    pair.run_for(Duration::from_secs(1));
    let of = |source: &str, destination: &str| {
        pair.sent.iter().filter(|(s, d)| s.to_string() == source && d.to_string() == destination).count()
    };
    assert!(of("127.0.0.1:1000", "127.0.0.1:2000") > 0);
    assert!(of("10.0.0.2:1000", "10.0.0.9:50000") > 0);
    assert_eq!(of("127.0.0.1:1000", "10.0.0.9:50000") + of("10.0.0.2:1000", "127.0.0.1:2000"), 0);
}

fn without_candidates(sdp: String) -> String {
    sdp.lines().filter(|line| !line.starts_with("a=candidate:")).map(|line| format!("{line}\r\n")).collect()
}

/// An answer of the server with `count` more candidates.
fn with_candidates(sdp: String, count: u32) -> String {
    let more = (0..count).map(|n| {
        let [_, b, c, d] = n.to_be_bytes();
        format!("a=candidate:{n} 1 udp 2130706431 10.{b}.{c}.{d} 50000 typ host\r\n")
    });
    format!("{sdp}{}", more.collect::<String>())
}

#[test]
fn an_answer_over_the_limit_is_refused() {
    let mut pair = Pair::new(|_| {});
    pair.tamper = |sdp| with_candidates(sdp, 40_000);
    pair.join();
    pair.run_until("the end", |pair| pair.closed.is_some());
    let Some(DisconnectReason::JoinFailed(JoinFailure::Media { detail })) = &pair.closed else {
        panic!("{:?}", pair.closed)
    };
    assert!(detail.contains("bytes is over the limit of 262144 bytes"), "{detail}");
    assert!(pair.routes_asked.is_empty(), "none of it was looked at");
}

#[test]
fn candidates_of_an_answer_are_counted() {
    let mut pair = Pair::new(|_| {});
    pair.tamper = |sdp| with_candidates(sdp, 4_000);
    pair.connect();
    assert_eq!(pair.routes_asked.len(), 64);
    // One is the server's own.
    assert_eq!(pair.room.violations(), 4_000 - 63);
}

#[test]
fn trickled_candidates_are_counted_with_them() {
    let mut pair = Pair::new(|_| {});
    pair.connect();
    for n in 0..1_000 {
        pair.trickle(&format!(
            "candidate:1 1 {} 9 10.1.2.3 {} typ host tcptype passive",
            ["udp", "tcp"][n % 2],
            n + 1
        ));
        // The same one again costs nothing.
        pair.trickle("candidate:1 1 udp 9 127.0.0.1 2000 typ host");
    }
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.routes_asked.len(), 1 + 32, "half of them are TCP");
    assert_eq!(pair.room.violations(), 1_000 - 63);
}

#[test]
fn candidates_before_the_answer_are_counted_too() {
    let mut pair = Pair::new(|_| {});
    pair.answers = false;
    pair.join();
    for port in 1..=100 {
        pair.trickle(&format!("candidate:1 1 udp 9 10.1.2.3 {port} typ host"));
    }
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.room.violations(), 100 - 64);
    assert!(pair.routes_asked.is_empty(), "they wait for the answer");
}

/// An answer with other candidates than the one before, that names another ICE generation without a password.
fn of_another_generation(sdp: String) -> String {
    static ANSWERS: AtomicU32 = AtomicU32::new(0);
    let answer = ANSWERS.fetch_add(1, Ordering::Relaxed);
    let candidates = (1..=60)
        .map(|port| format!("a=candidate:{port} 1 udp 2130706431 10.1.2.{answer} {port} typ host\r\n"));
    let (session, media) = sdp.split_once("m=").unwrap();
    format!("{session}a=ice-ufrag:generation{answer}\r\nm={media}{}", candidates.collect::<String>())
}

/// Only a restart of ours begins another ICE generation.
#[test]
fn candidates_are_counted_over_all_answers_of_a_generation() {
    let mut pair = Pair::new(|_| {});
    pair.connect();
    pair.tamper = of_another_generation;
    for _ in 0..10 {
        let requirement = proto::MediaSectionsRequirement { num_audios: 0, num_videos: 0 };
        pair.server_sends(Response::MediaSectionsRequirement(requirement));
        pair.run_for(Duration::from_millis(100));
    }
    assert_eq!(pair.routes_asked.len(), 64);
    // One is the server's own.
    assert_eq!(pair.room.violations(), 10 * 60 - 63);
    assert!(pair.closed.is_none());
}

fn long_candidate() -> String {
    format!("candidate:1 1 udp 9 10.0.0.1 1 typ host {}", "x y ".repeat(500))
}

#[test]
fn a_candidate_that_is_too_long_is_not_read() {
    let mut pair = Pair::new(|_| {});
    pair.tamper = |sdp| format!("{sdp}a={}\r\n", long_candidate());
    pair.connect();
    assert_eq!(pair.room.violations(), 1, "in an answer");
    pair.trickle(&long_candidate());
    pair.run_for(Duration::from_millis(100));
    assert_eq!(pair.room.violations(), 2, "by itself");
    assert_eq!(pair.routes_asked.len(), 1, "only the server's own");
}

#[test]
fn tracks_in_an_answer_are_found_in_one_pass() {
    let mut pair = Pair::new(|_| {});
    pair.connect();
    let participants = (0..300)
        .map(|n| proto::ParticipantInfo {
            sid: format!("PA_{n}"),
            identity: format!("p{n}"),
            tracks: vec![proto::TrackInfo { sid: format!("TR_{n}"), ..Default::default() }],
            ..Default::default()
        })
        .collect();
    pair.server_sends(Response::Update(proto::ParticipantUpdate { participants, ..Default::default() }));
    pair.run_for(Duration::from_millis(20));
    let before = (pair.events.len(), pair.room.violations());
    let mid_to_track_id = (0..2_000).map(|n| (format!("{n:04}"), format!("TR_{n}"))).collect();
    pair.server_sends(Response::Answer(proto::SessionDescription { mid_to_track_id, ..Default::default() }));
    pair.run_for(Duration::from_millis(20));
    assert_eq!(pair.events.len() - before.0, 300, "each of those that are published");
    // Those beyond the number of sections that we may have offered, and an unsolicited answer.
    assert_eq!(pair.room.violations() - before.1, 2_000 - 512 + 1);
}

#[test]
fn tracks_of_a_participant_are_bounded() {
    let mut pair = Pair::new(|_| {});
    pair.connect();
    let track = |n| proto::TrackInfo { sid: format!("TR_{n}"), ..Default::default() };
    let participants = vec![proto::ParticipantInfo {
        sid: "PA_ada".to_owned(),
        identity: "ada".to_owned(),
        tracks: (0..20_000).map(track).collect(),
        ..Default::default()
    }];
    let before = pair.events.len();
    pair.server_sends(Response::Update(proto::ParticipantUpdate { participants, ..Default::default() }));
    pair.run_for(Duration::from_millis(20));
    assert_eq!(pair.events.len() - before, 1 + 500, "one who joined, and her tracks");
    assert_eq!(pair.room.violations(), 1);
}

#[test]
fn tcp_is_reported_with_its_reason() {
    let mut pair = Pair::new(|_| {});
    pair.tcp = true;
    pair.join();
    let remote = pair.listen_on_tcp();
    pair.run_until("another way", |pair| !pair.tcp_asked.is_empty());
    pair.connect_tcp(remote);
    pair.run_until("the connection", |pair| !pair.paths.is_empty());
    let [path] = &pair.paths[..] else { panic!("{:?}", pair.paths) };
    assert_eq!(
        (path.as_str(), path.local_kind, path.remote_kind),
        ("tcp", AddressKind::Host, AddressKind::Host)
    );
    assert_eq!((path.local, path.remote), ("127.0.0.1:1500".parse().unwrap(), remote));
    assert_eq!(
        path.reason,
        "no UDP packet came back from 127.0.0.1:2000: check that UDP to the server's RTC ports is open from here"
    );
}
