//! Relays as paths to the server: when they are tried, given back and given up.
//!
//! A relay costs a server something, so none is asked before UDP was tried alone for a while, unless only
//! relays may be used. Once there is a path, those that are not part of it are given back.

use std::net::SocketAddr;

use bytes::Bytes;
use str0m::Candidate;

use agent_proto::Time;

use super::path_in_use::PathInUse;
use super::paths::MAX_CANDIDATES;
use super::{MediaConnection, Restart, TCP_AFTER, Transport};
use crate::connection::TransportEvent;
use crate::turn::{IceServer, RelayArrival, Relays};
use crate::{AddressKind, NetworkPath, PathTransport, Protocol, RelayTransport};

/// The first byte of a packet is its kind (RFC 7983): those of STUN are lower.
const FIRST_OF_DTLS: u8 = 20;

impl Transport {
    pub(super) fn set_relays(&mut self, servers: Vec<IceServer>, forced: bool, seed: u64, now: Time) {
        if self.relay.servers.is_new() {
            self.relay.servers = Relays::new(seed);
        }
        self.relay.servers.set_servers(servers, forced);
        self.check_relay();
        self.run(now);
    }

    /// When something is to be done about relays.
    pub(super) fn relays_at(&self) -> Option<Time> {
        [self.relay.servers.poll_timeout(), self.relays_open_at(), self.relay.settle_at]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn relays_timeout(&mut self, now: Time) {
        self.relay.servers.handle_timeout(now);
        self.open_relays(now);
        if self.relay.settle_at.is_some_and(|at| at <= now) {
            self.relay.settle_at = None;
            if self.ice_connected {
                self.relay.servers.keep_only(self.relay.used);
            }
        }
        self.check_relay();
    }

    /// Requests relays, if it is time to.
    pub(super) fn open_relays(&mut self, now: Time) {
        if self.relays_open_at().is_some_and(|at| at <= now) {
            self.relay.servers.open();
        }
        self.check_hope();
    }

    /// The path, in words. `None`: nothing was sent yet.
    pub(super) fn current_path(&self) -> Option<NetworkPath> {
        let PathInUse { protocol, source, destination } = self.used?;
        let mut path = NetworkPath::udp(source, destination);
        path.remote_kind = self.paths.kind_of(destination);
        if let Some((url, transport)) =
            self.relay.used.and_then(|relayed| self.relay.servers.server_at(relayed))
        {
            path.transport = match transport {
                RelayTransport::Udp => PathTransport::Udp,
                RelayTransport::Tcp => PathTransport::Tcp,
                RelayTransport::Tls => PathTransport::Tls,
            };
            (path.relay, path.local_kind) = (Some(url), AddressKind::Relayed);
            path.reason = self.explain_relay();
        } else if protocol == Protocol::Tcp {
            (path.transport, path.reason) = (PathTransport::Tcp, self.paths.explain_tcp());
        }
        Some(path)
    }

    /// Sends a packet through a relay. `false`: its source is none.
    pub(super) fn send_by_relay(&mut self, path: PathInUse, contents: &[u8], now: Time) -> bool {
        let PathInUse { protocol, source, destination } = path;
        let relayed =
            protocol == Protocol::Udp && self.relay.servers.send(source, destination, contents, now);
        // Everything but connectivity checks is sent over the path that was chosen.
        if contents.first().is_some_and(|first| *first >= FIRST_OF_DTLS) {
            self.relay.used = relayed.then_some(source);
            if self.restart == Restart::No {
                self.silence.watch(path);
            }
            if self.used.replace(path) != Some(path) {
                self.events.push_back(TransportEvent::PathChanged);
            }
        }
        relayed
    }

    /// Bytes of a relay. `false`: they are none of its protocol.
    pub(super) fn relay_contents(&mut self, relay: u32, contents: &Bytes, now: Time) -> bool {
        let mut good = self.relay.servers.received(relay, contents, now);
        while let Some(arrival) = self.relay.servers.poll_arrival() {
            match arrival {
                RelayArrival::Allocated { relayed, local } => self.add_relay(relayed, local, now),
                RelayArrival::Packet { relayed, peer, contents } => {
                    good &= self.handle_packet(Protocol::Udp, peer, relayed, &contents, now);
                }
            }
        }
        self.check_relay();
        good
    }

    /// Looks for another path if the relay in use is gone.
    pub(super) fn check_relay(&mut self) {
        if self.relay.used.is_some_and(|relayed| !self.relay.servers.has(relayed)) {
            (self.relay.used, self.relay.was_used) = (None, true);
            if self.was_connected {
                self.fall_silent("the relay (TURN) for media and data is gone");
            }
        }
        self.check_hope();
    }

    /// Notices that only relays are to be used, and each has failed.
    fn check_hope(&mut self) {
        let looks = self.looking_since.is_some() && (!self.was_connected || self.restart == Restart::Begun);
        let has_peers = self.paths.udp_families() != (false, false);
        if looks && has_peers && !self.relay.hopeless && self.relay.servers.are_hopeless() {
            self.relay.hopeless = true;
            self.events.push_back(TransportEvent::NoPath { detail: self.explain_paths() });
        }
    }

    /// Another path is looked for. A relay over which nothing came is not asked for the same again, and those
    /// that failed, or were not needed, have another chance.
    pub(super) fn relays_restart(&mut self) {
        self.relay.was_used |= self.silence.is_noticed() && self.relay.used.take().is_some();
        if self.relay.hopeless || (self.silence.is_noticed() && self.relay.was_used) {
            self.relay.hopeless = false;
            self.relay.servers.start_over();
        }
    }

    /// A candidate of the server to which this machine has no route, or must not use it.
    pub(super) fn reach_by_relay(&mut self, candidate: Candidate, now: Time) {
        if self.relay.servers.are_allocated() {
            self.rtc.add_remote_candidate(candidate);
            self.run(now);
        } else if self.relay.unreachable.len() < MAX_CANDIDATES {
            self.relay.unreachable.push(candidate);
        }
    }

    /// Why there is no connection, and what to do about it.
    pub(super) fn explain_paths(&self) -> String {
        let relays = self.relay.servers.explain();
        if self.relay.servers.are_forced() {
            return match self.paths.udp_families() {
                (false, false) => "the server announced no UDP address for its media, and relays (`force_relay`) use UDP: check `rtc` \
                                   in its configuration"
                    .to_owned(),
                _ => format!("no path through a relay, as `force_relay` demands it: {relays}"),
            };
        }
        let direct = self.paths.explain();
        match (relays.is_empty(), self.paths.has_any()) {
            (false, _) => format!("{direct}. TURN: {relays}"),
            (true, true) => {
                format!(
                    "{direct}. TURN: the server names no TURN server (`rtc.turn_servers`), which helps where UDP is blocked"
                )
            }
            (true, false) => direct,
        }
    }

    /// Why a relay is used.
    pub(super) fn explain_relay(&self) -> String {
        match self.relay.servers.are_forced() {
            true => "`force_relay` demands it".to_owned(),
            false => self.paths.explain(),
        }
    }

    /// Whether there is no path, or another one is looked for.
    fn is_looking(&self) -> bool {
        !self.ice_connected || self.restart == Restart::Begun
    }

    fn relays_open_at(&self) -> Option<Time> {
        let since = self.looking_since.filter(|_| self.is_looking() && self.relay.servers.can_open())?;
        if self.paths.udp_families() == (false, false) {
            return None;
        }
        let at_once = self.relay.servers.are_forced() || self.relay.was_used;
        Some(if at_once && !self.relay.servers.are_allocated() { since } else { since + TCP_AFTER })
    }

    fn add_relay(&mut self, relayed: SocketAddr, local: SocketAddr, now: Time) {
        let Ok(ours) = Candidate::builder().udp().relayed(relayed, local).build() else { return };
        let text = ours.to_sdp_string();
        if self.rtc.add_local_candidate(ours).is_some() {
            self.events.push_back(TransportEvent::Candidate { text });
        }
        for candidate in std::mem::take(&mut self.relay.unreachable) {
            self.rtc.add_remote_candidate(candidate);
        }
        self.run(now);
    }
}
