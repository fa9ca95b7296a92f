//! A media connection that reaches its server through relays alone, and what becomes of it when they end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use str0m::change::SdpOffer;
use str0m::net::{Protocol as WireProtocol, Receive};
use str0m::{Candidate, Input, Output, Rtc};

use agent_proto::{Time, livekit as proto};

use super::server::{REALM, address, answer};
use crate::connection::{MediaConnection, TransportEvent};
use crate::data::{Channel, WriteResult};
use crate::transport::{RtcClock, Transport};
use crate::turn::RelayEvent;
use crate::turn::message::{Attribute, Class, Message, Method, key};
use crate::{AddressKind, PathTransport};

const SERVER: &str = "203.0.113.9:2000";

/// A relay, as long as there is a connection to it.
struct Relay {
    relayed: SocketAddr,
    /// The peer of each channel.
    channels: BTreeMap<[u8; 2], SocketAddr>,
}

/// A room without a route to its server, whose packets arrive at once.
struct Scene {
    transport: Transport,
    server: Rtc,
    epoch: Instant,
    now: Time,
    relays: BTreeMap<u32, Relay>,
    /// The hosts to which a connection was requested, in that order.
    asked: Vec<String>,
    /// The hosts that do not answer (any more).
    dead: Vec<&'static str>,
    /// What happened, in words.
    log: Vec<String>,
}

impl Scene {
    /// `urls`: the TURN servers.
    #[expect(clippy::disallowed_methods, reason = "some instant to begin at; nothing depends on which")]
    fn begin(urls: &[&str], forced: bool) -> Self {
        let epoch = Instant::now();
        let (transport, offer) = Transport::new(1000, RtcClock::starting_at(epoch), Time::ZERO).unwrap();
        let mut server = Rtc::builder().set_rtp_mode(true).build(epoch);
        server.add_local_candidate(Candidate::host(address(SERVER), "udp").unwrap());
        let mut scene = Self {
            transport,
            server,
            epoch,
            now: Time::ZERO,
            relays: BTreeMap::new(),
            asked: Vec::new(),
            dead: Vec::new(),
            log: Vec::new(),
        };
        let servers = proto::IceServer {
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            username: "ada".to_owned(),
            credential: "sesame".to_owned(),
        };
        scene.transport.ice_servers(vec![servers.into()], forced, 7, Time::ZERO);
        scene.answer(&offer);
        scene
    }

    fn answer(&mut self, offer: &str) {
        let offer = SdpOffer::from_sdp_string(offer).unwrap();
        let answer = self.server.sdp_api().accept_offer(offer).unwrap().to_sdp_string();
        let answered = self.transport.answer(&answer, &BTreeMap::new(), self.now).unwrap();
        assert!(answered.offer.is_none());
        self.drain();
    }

    /// The connection to the relay in use is cut, and nothing answers there any more.
    fn kill(&mut self, host: &'static str) {
        self.dead.push(host);
        let position = self.asked.iter().rposition(|asked| asked == host).unwrap();
        let relay = u32::try_from(position + 1).unwrap();
        assert!(self.relays.remove(&relay).is_some(), "it is used");
        self.transport.relay_closed(relay, "it closed the connection", self.now);
        self.drain();
    }

    /// Looks for another path, as signalling does after a loss.
    fn restart(&mut self) {
        let offer = self.transport.restart(self.now).expect("none is pending");
        self.answer(&offer);
    }

    fn run_until(&mut self, line: &str) {
        let limit = self.now + Duration::from_secs(20);
        while !self.log.iter().any(|logged| logged.starts_with(line)) {
            assert!(self.now < limit, "no {line}: {:?}", self.log);
            self.step();
        }
    }

    fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.step();
        }
    }

    /// Five milliseconds.
    fn step(&mut self) {
        self.now = self.now + Duration::from_millis(5);
        self.transport.handle_timeout(self.now);
        self.drain();
        self.server.handle_input(Input::Timeout(self.instant())).unwrap();
        self.drain();
    }

    fn instant(&self) -> Instant {
        self.epoch + (self.now - Time::ZERO)
    }

    fn drain(&mut self) {
        loop {
            self.drain_server();
            let Some(event) = self.transport.poll() else { return };
            match event {
                TransportEvent::NeedsRoute { remote } => self.transport.routed(remote, None, self.now),
                TransportEvent::Ready => self.log.push("ready".to_owned()),
                TransportEvent::Restarted => self.log.push("restarted".to_owned()),
                TransportEvent::NoPath { detail } => self.log.push(format!("no path: {detail}")),
                TransportEvent::Silent { detail } => self.log.push(format!("silent: {detail}")),
                TransportEvent::Relay(RelayEvent::Open { relay, host, .. }) => self.open(relay, host),
                TransportEvent::Relay(RelayEvent::Send { relay, contents }) => {
                    self.send(relay, contents.into())
                }
                TransportEvent::Relay(RelayEvent::Close { relay }) => drop(self.relays.remove(&relay)),
                TransportEvent::Relay(RelayEvent::Failed { server, .. }) => {
                    self.log.push(format!("failed: {server}"));
                }
                TransportEvent::Candidate { .. } | TransportEvent::PathChanged => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn open(&mut self, relay: u32, host: String) {
        let is_dead = self.dead.contains(&host.as_str());
        self.asked.push(host);
        if is_dead {
            return self.transport.relay_closed(relay, "nothing answers there", self.now);
        }
        let relayed = SocketAddr::from(([192, 0, 2, relay.to_le_bytes()[0]], 50_000));
        self.relays.insert(relay, Relay { relayed, channels: BTreeMap::new() });
        self.transport.relay_opened(relay, address("10.0.0.1:4000"), self.now);
    }

    /// What we send to a relay, which answers, or sends it on.
    fn send(&mut self, relay: u32, contents: Bytes) {
        let Some(Relay { relayed, channels }) = self.relays.get_mut(&relay) else { return };
        if contents[0] >> 6 == 1 {
            let Some(peer) = channels.get(&contents[..2]) else { return };
            let len = usize::from(u16::from_be_bytes([contents[2], contents[3]]));
            let packet = &contents[4..4 + len];
            let receive = Receive::new(WireProtocol::Udp, *relayed, *peer, packet).unwrap();
            let input = Input::Receive(self.epoch + (self.now - Time::ZERO), receive);
            return self.server.handle_input(input).unwrap();
        }
        let message = Message::read(&contents).unwrap();
        if message.is(Method::ChannelBind, Class::Request) {
            let number = message.get(Attribute::ChannelNumber).unwrap();
            let peer = message.address(Attribute::XorPeerAddress).unwrap();
            channels.insert([number[0], number[1]], peer);
        }
        let answer = answer(&contents, &key("ada", REALM, "sesame"), "nonce", 600, *relayed);
        assert!(self.transport.relay_received(relay, &answer.into(), self.now));
    }

    fn drain_server(&mut self) {
        loop {
            let packet = match self.server.poll_output().unwrap() {
                Output::Transmit(packet) => packet,
                Output::Event(_) => continue,
                Output::Timeout(_) => return,
            };
            let to = self.relays.iter().find(|(_, relay)| relay.relayed == packet.destination);
            let Some((number, relay)) = to else { continue };
            let Some((channel, _)) = relay.channels.iter().find(|(_, peer)| **peer == packet.source) else {
                continue;
            };
            let len = u16::try_from(packet.contents.len()).unwrap().to_be_bytes();
            let mut data = [&channel[..], &len, &packet.contents].concat();
            // As over all connections.
            data.resize(data.len().next_multiple_of(4), 0);
            self.transport.relay_received(*number, &data.into(), self.now);
        }
    }
}

const BOTH: &[&str] = &["turn:one.test?transport=tcp", "turns:two.test"];

/// The other one was given back, as it was not needed.
#[test]
fn another_relay_is_used_when_one_ends() {
    let mut scene = Scene::begin(BOTH, false);
    scene.run_until("ready");
    let path = scene.transport.path().unwrap();
    assert_eq!((path.as_str(), path.local_kind), ("relay_tcp", AddressKind::Relayed));
    assert_eq!((path.local, path.remote), (address("192.0.2.1:50000"), address(SERVER)));
    assert!(path.reason.contains("the server offers media at 203.0.113.9:2000 (UDP)"), "{path:?}");
    scene.run_for(Duration::from_secs(5));
    assert_eq!(scene.asked, ["one.test", "two.test"]);
    assert_eq!(scene.relays.len(), 1, "what is not needed is given back");

    scene.kill("one.test");
    assert!(
        scene.log.contains(&"silent: the relay (TURN) for media and data is gone".to_owned()),
        "{:?}",
        scene.log
    );
    scene.restart();
    scene.run_until("restarted");
    assert_eq!(scene.transport.write(Channel::Reliable, b"still here"), WriteResult::Accepted);
    scene.run_for(Duration::from_millis(100));
    let path = scene.transport.path().unwrap();
    assert_eq!(path.transport, PathTransport::Tls);
    assert_eq!(path.relay.as_deref(), Some("turns:two.test:5349?transport=tcp"));
}

/// Once a server is back it is used again.
#[test]
fn the_same_relay_is_asked_again_in_the_next_search() {
    let mut scene = Scene::begin(&BOTH[..1], true);
    scene.run_until("ready");
    scene.kill("one.test");
    scene.restart();
    scene.run_until("no path: no path through a relay, as `force_relay` demands it: turn:one.test");
    assert!(!scene.log.contains(&"restarted".to_owned()), "{:?}", scene.log);
    scene.dead.clear();
    scene.restart();
    scene.run_until("restarted");
}
