//! Rooms on networks that let nothing through but a relay: coturn, as a real livekit-server names it, and
//! livekit-server's own. Direct packets are dropped on our side, over UDP and TCP, so that what arrives came
//! through the relay. An official client, which is reached directly, is on the other side.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agent_testkit::{
    ClientEvent, OfficialClient, RealServer, RealServerBuilder, TurnServerBuilder, official_host,
    real_server_with, turn_server_with,
};
use agent_worker::net::{MediaPath, NetOptions};
use agent_worker::room::{AddressKind, AudioTrackOptions, JoinRequest, RoomConnector, RoomEvents, WebRtc};
use agent_worker::{Room, RoomEvent};

use crate::audio_out::{client, event, hears, listen, pass_on, tone};
use crate::support::captured_log::CapturedLog;
use crate::support::guide_tables::{self, steady, up_to};

const SOON: Duration = Duration::from_secs(20);
/// The server has sockets on loopback alone. Otherwise it announces several of them as 127.0.0.1, and if its
/// first check comes from the wrong one, it never answers on the other.
const ON_LOOPBACK: &str = "  node_ip: 127.0.0.1\n  ips:\n    includes: [\"127.0.0.1/32\"]\n";
/// What is logged of the path.
const THROUGH_A_RELAY: &str = "media and data of the room go through a relay";
const OF_NO_USE: &str = "a TURN server cannot be used";

/// A network on which only packets from and to relays get through.
fn only_relays() -> NetOptions {
    NetOptions::default().media_filter(|path| path == MediaPath::Relay)
}

/// A server with these entries in its list of TURN servers.
async fn server_with(turn_servers: &[String]) -> Option<RealServer> {
    let rtc = format!("{ON_LOOPBACK}  turn_servers:\n{}", turn_servers.concat());
    real_server_with(RealServerBuilder::default().rtc_addresses(rtc)).await
}

async fn join(server: &RealServer, net: NetOptions, room: &str) -> Room {
    let token = server.token().identity("agent").join_room(room).sign().expect("a token");
    let joined = WebRtc::new(net).connect(JoinRequest::new(server.url(), token)).await;
    joined.expect("the room is joined")
}

/// Sends a message each way.
async fn exchange(room: &Room, events: &mut RoomEvents, ada: &mut OfficialClient) {
    room.publish_data("chat", "hello").await.expect("sent");
    let received = |event: &ClientEvent| matches!(event, ClientEvent::Data(data) if data.payload == b"hello");
    ada.wait_for(received, SOON).await.expect("she receives our message");
    ada.send(agent_testkit::DataMessage::new("hi").topic("chat")).await.expect("sent");
    let received =
        |event: &RoomEvent| matches!(event, RoomEvent::DataReceived(data) if &data.payload[..] == b"hi");
    event(events, "her message", received).await;
}

/// Passes the client's tone on to her over this path, for at least this many seconds, and exchanges data
/// before and after.
async fn meet(server: &RealServer, net: NetOptions, name: &str, path: &str, seconds: u32) {
    let room = join(server, net, name).await;
    let used = room.network_path().expect("a path");
    assert_eq!(
        (used.as_str(), used.local_kind, used.remote_kind),
        (path, AddressKind::Relayed, AddressKind::Host)
    );
    let mut events = room.events();
    let mut ada = client(server, name, "ada").await;
    let frames = tone(&room, &mut events, &ada, 440).await;
    let track = room.publish_encoded_audio(AudioTrackOptions::new("echo")).await.expect("published");
    let sid = track.sid();
    let passing = pass_on(frames, track);
    listen(&mut ada, &sid).await;
    exchange(&room, &mut events, &mut ada).await;
    for _ in 0..seconds {
        hears(&mut ada, &sid, 440.0).await;
    }
    exchange(&room, &mut events, &mut ada).await;
    passing.abort();
    room.leave().await;
    ada.leave().await.expect("left");
}

/// The allocation ends after some seconds unless it is refreshed, and each nonce is soon too old.
#[tokio::test]
async fn sound_and_data_through_a_relay_over_udp_that_is_refreshed() {
    let settings =
        TurnServerBuilder::default().config_line("max-allocate-lifetime=3").config_line("stale-nonce=2");
    let Some(relay) = turn_server_with(settings).await else { return };
    let Some(server) = server_with(&[relay.server_config("udp")]).await else { return };
    if official_host().await.is_none() {
        return;
    }
    let log = CapturedLog::start(tracing::Level::WARN);
    meet(&server, only_relays(), "udp", "relay_udp", 4).await;
    let lines = log.lines_with(THROUGH_A_RELAY);
    let [line] = &lines[..] else { panic!("{lines:?}") };
    let named = format!("relay=turn:127.0.0.1:{}?transport=udp", relay.port());
    assert!(line.contains(&named) && line.contains("no packet came back from 127.0.0.1:"), "{line}");
    assert!(log.lines_with(relay.password()).is_empty() && log.lines_with(relay.user()).is_empty());
    let text = relay.log().expect("a log");
    let refreshed =
        text.lines().filter(|line| line.contains("refreshed") && line.contains("lifetime=3")).count();
    assert!(refreshed >= 2, "{text}");
    // It was given back, instead of being left to its end.
    assert!(text.contains("lifetime=0"), "{text}");
}

/// A certificate for `localhost` by an authority that nobody knows: the files of certificate and key.
fn certificate(dir: &Path) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (certificate, key) = (dir.join("certificate.pem"), dir.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    (certificate, key)
}

/// The server names three more that are of no use, which are tried beside the one that is.
#[tokio::test]
async fn over_tcp_beside_servers_of_no_use() {
    let Some(relay) = turn_server_with(TurnServerBuilder::default()).await else { return };
    let nobody = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let dead = relay
        .server_config("udp")
        .replace(&relay.port().to_string(), &nobody.local_addr().unwrap().port().to_string());
    drop(nobody);
    let wrong = relay.server_config("udp").replace(relay.password(), "sesame");
    let unknown = relay.server_config("tcp").replace("127.0.0.1", "relay.invalid");
    let Some(server) = server_with(&[dead, wrong, unknown, relay.server_config("tcp")]).await else { return };
    if official_host().await.is_none() {
        return;
    }
    let log = CapturedLog::start(tracing::Level::WARN);
    meet(&server, only_relays(), "tcp", "relay_tcp", 1).await;
    let line = log.lines_with(THROUGH_A_RELAY).concat();
    assert!(line.contains(&format!("relay=turn:127.0.0.1:{}?transport=tcp", relay.port())), "{line}");
    let lines = log.lines_with(OF_NO_USE);
    for expected in [
        "nothing answers there: Connection refused",
        "it refuses the user name and credential (401",
        "its name was not found",
    ] {
        assert_eq!(lines.iter().filter(|line| line.contains(expected)).count(), 1, "{expected}: {lines:?}");
    }
    assert!(lines.len() == 3 && log.lines_with("sesame").is_empty(), "{lines:?}");
    let row = |part: &str| {
        let line = lines.iter().find(|line| line.contains(part)).expect("it is logged");
        let text = &line[line.find(OF_NO_USE).expect("its text")..];
        format!("WARN {}", steady(text.split(" server=").next().expect("its text")))
    };
    guide_tables::check(
        "relays",
        &[
            ("nothing listens at its port", up_to(&row("nothing answers there"), "nothing answers there")),
            ("its host has no address", up_to(&row("its name was not found"), "its name was not found")),
            (
                "a wrong `credential`",
                up_to(&row("it refuses the user name"), "it refuses the user name and credential"),
            ),
        ],
    );
    // With a direct path nobody learns of them.
    join(&server, NetOptions::default(), "direct").await.leave().await;
    assert_eq!(log.lines_with(OF_NO_USE).len(), 3);
}

/// Nothing but the relay is allowed, and its certificate is checked.
#[tokio::test]
async fn over_tls_with_an_authority_of_our_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let (certificate, key) = certificate(dir.path());
    let Some(relay) = turn_server_with(TurnServerBuilder::default().certificate(&certificate, key)).await
    else {
        return;
    };
    let Some(server) = server_with(&[relay.server_config("tls")]).await else { return };
    if official_host().await.is_none() {
        return;
    }
    let log = CapturedLog::start(tracing::Level::WARN);
    meet(&server, only_relays().ca_file(&certificate), "tls", "relay_tls", 1).await;
    let line = log.lines_with(THROUGH_A_RELAY).concat();
    assert!(line.contains(&format!("relay=turns:localhost:{}?transport=tcp", relay.tls_port())), "{line}");

    // Only by this option: direct packets would get through.
    let request = |name: &str, seconds| {
        let token = server.token().identity("agent").join_room(name).sign().expect("a token");
        let mut request = JoinRequest::new(server.url(), token);
        (request.force_relay, request.timeout) = (true, Duration::from_secs(seconds));
        request
    };
    let begun = Instant::now();
    let net = NetOptions::default().ca_file(&certificate);
    let room = WebRtc::new(net).connect(request("forced", 10)).await.expect("the room is joined");
    assert!(begun.elapsed() < Duration::from_secs(1), "nothing else was waited for");
    room.leave().await;
    assert!(log.lines_with("`force_relay` demands it").len() == 1, "{}", log.text());

    // Without another one there is nothing to wait for.
    let begun = Instant::now();
    let error = WebRtc::default()
        .connect(request("distrusted", 60))
        .await
        .expect_err("it is not trusted")
        .to_string();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}: {error}", begun.elapsed());
    let expected =
        "turns:localhost:PORT?transport=tcp: no TLS connection: invalid peer certificate: UnknownIssuer";
    assert!(error.contains(&expected.replace("PORT", &relay.tls_port().to_string())), "{error}");
}

/// The server has no IPv6 itself.
#[tokio::test]
async fn through_a_relay_that_is_reached_over_ipv6() {
    if UdpSocket::bind("[::1]:0").is_err() {
        return eprintln!("skipped: this machine has no IPv6 on loopback");
    }
    let Some(relay) = turn_server_with(TurnServerBuilder::default().config_line("listening-ip=::1")).await
    else {
        return;
    };
    let entry = relay.server_config("udp").replace("host: 127.0.0.1", "host: \"::1\"");
    let Some(server) = server_with(&[entry]).await else { return };
    let room = join(&server, only_relays(), "ipv6").await;
    let path = room.network_path().expect("a path");
    let url = format!("turn:[::1]:{}?transport=udp", relay.port());
    assert_eq!(
        (path.as_str(), path.is_ipv6(), path.relay.as_deref()),
        ("relay_udp", false, Some(url.as_str()))
    );
    room.publish_data("chat", "hello").await.expect("sent");
    room.leave().await;
}

/// The room goes on through the other one, and ends when there is none any more.
#[tokio::test]
async fn a_relay_that_dies_in_the_middle_is_replaced() {
    let start = || turn_server_with(TurnServerBuilder::default());
    let (Some(one), Some(two)) = (start().await, start().await) else { return };
    let Some(server) = server_with(&[one.server_config("tcp"), two.server_config("udp")]).await else {
        return;
    };
    if official_host().await.is_none() {
        return;
    }
    let token = server.token().identity("agent").join_room("dies").sign().expect("a token");
    let mut request = JoinRequest::new(server.url(), token);
    (request.force_relay, request.reconnect_timeout) = (true, Duration::from_secs(5));
    let room = WebRtc::default().connect(request).await.expect("the room is joined");
    let mut events = room.events();
    let mut ada = client(&server, "dies", "ada").await;
    exchange(&room, &mut events, &mut ada).await;
    let before = room.network_path().and_then(|path| path.relay).expect("a relay");
    let is_first = before.contains(&format!(":{}?", one.port()));
    let (used, other) = if is_first { (one, two) } else { (two, one) };
    drop(used);
    let resumed = |event: &RoomEvent| matches!(event, RoomEvent::Reconnected(again) if again.resumed);
    event(&mut events, "the room again", resumed).await;
    exchange(&room, &mut events, &mut ada).await;
    let after = room.network_path().and_then(|path| path.relay).expect("a relay");
    assert!(after.contains(&format!(":{}?", other.port())) && after != before, "{before}, {after}");

    drop(other);
    let reason = tokio::time::timeout(SOON, room.closed()).await.expect("it ends").to_string();
    for part in ["no path through a relay, as `force_relay` demands it", "nothing answers there"] {
        assert!(reason.contains(part), "{reason}");
    }
    ada.leave().await.expect("left");
}

/// livekit-server's own, which relays to loopback addresses only if its configuration permits it.
#[tokio::test]
async fn through_the_turn_of_livekit_server_itself() {
    if official_host().await.is_none() {
        return;
    }
    let on_loopback = || RealServerBuilder::default().rtc_addresses(ON_LOOPBACK);
    let udp_port =
        || UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let turn = |allowed: &str| {
        format!(
            "turn:\n  enabled: true\n  udp_port: {}\n  bind_addresses: [\"127.0.0.1\"]\n{allowed}",
            udp_port()
        )
    };
    let allowed = turn("  allow_restricted_peer_cidrs: [\"127.0.0.0/8\"]\n");
    let Some(server) = real_server_with(on_loopback().extra_config(allowed)).await else {
        return;
    };
    let log = CapturedLog::start(tracing::Level::WARN);
    meet(&server, only_relays(), "own", "relay_udp", 1).await;
    assert_eq!(log.lines_with(THROUGH_A_RELAY).len(), 1, "{}", log.text());

    let Some(server) = real_server_with(on_loopback().extra_config(turn(""))).await else {
        return;
    };
    let token = server.token().identity("agent").join_room("refused").sign().expect("a token");
    let mut request = JoinRequest::new(server.url(), token);
    request.timeout = Duration::from_secs(3);
    let error = WebRtc::new(only_relays()).connect(request).await.expect_err("no path").to_string();
    for part in [
        "no packet came back from 127.0.0.1:",
        " (TCP)",
        "TURN: turn:127.0.0.1:",
        "it does not relay to 127.0.0.1:",
    ] {
        assert!(error.contains(part), "{error}");
    }
}
