//! The server's addresses for media, and the local addresses from which they are reached.
//!
//! Nothing is guessed from the server's name: a name may lead to another address family, or to a proxy. Each
//! announced address is looked up in the system's routing table, and the source address that the system would
//! use becomes our address.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::{AddressKind, Protocol};

/// Maximum number of the server's candidates in one ICE generation. It has a few for each of its interfaces.
pub(super) const MAX_CANDIDATES: usize = 64;
/// Maximum number of local addresses: each is paired with each of the server's.
const MAX_LOCALS: usize = 16;
/// Maximum number of addresses that a message lists.
const MAX_LISTED: usize = 6;
/// Reserved for documentation (RFC 5737, RFC 3849): routed like any distant address. Nothing is ever sent
/// there.
const DISTANT: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 9),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9),
];

pub(super) struct Paths {
    /// The port of our UDP socket.
    port: u16,
    /// The addresses announced in this ICE generation.
    udp: BTreeMap<SocketAddr, Way>,
    tcp: BTreeSet<SocketAddr>,
    /// What each of them is.
    kinds: BTreeMap<SocketAddr, AddressKind>,
    /// Number of candidates that name a host instead of an address.
    host_names: u32,
    /// The routes of the last generation: most of the server's addresses stay the same.
    last_routes: BTreeMap<IpAddr, SocketAddr>,
    /// Sources without a known route, and the addresses of ours at which their packets count as arrived.
    guessed: BTreeMap<SocketAddr, SocketAddr>,
    /// Our addresses, over all generations.
    locals: Vec<SocketAddr>,
    /// Our addresses towards [`DISTANT`] ones, requested once an address of the server cannot be reached.
    distant: Option<[Option<IpAddr>; 2]>,
}

/// The route to an address of the server.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// The system is being asked.
    Asked,
    /// From this local address.
    From(SocketAddr),
    /// There is no route.
    None,
}

/// The result of an announced address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Announced {
    New,
    Known,
    /// More than [`MAX_CANDIDATES`].
    TooMany,
}

impl Paths {
    pub(super) fn new(port: u16) -> Self {
        Self {
            port,
            udp: BTreeMap::new(),
            tcp: BTreeSet::new(),
            kinds: BTreeMap::new(),
            host_names: 0,
            last_routes: BTreeMap::new(),
            guessed: BTreeMap::new(),
            locals: Vec::new(),
            distant: None,
        }
    }

    /// The server begins another ICE generation: earlier addresses are void.
    pub(super) fn begin(&mut self) {
        let routes = std::mem::take(&mut self.udp).into_iter().filter_map(|(remote, way)| match way {
            Way::From(local) => Some((remote.ip(), local)),
            Way::Asked | Way::None => None,
        });
        self.last_routes = routes.collect();
        self.guessed.clear();
        self.tcp.clear();
        self.kinds.clear();
    }

    /// The server announced an address.
    pub(super) fn announce(
        &mut self,
        protocol: Protocol,
        remote: SocketAddr,
        kind: AddressKind,
    ) -> Announced {
        let known = match protocol {
            Protocol::Udp => self.udp.contains_key(&remote),
            Protocol::Tcp => self.tcp.contains(&remote),
        };
        if known {
            return Announced::Known;
        }
        if self.udp.len() + self.tcp.len() >= MAX_CANDIDATES {
            return Announced::TooMany;
        }
        match protocol {
            Protocol::Udp => drop(self.udp.insert(remote, Way::Asked)),
            Protocol::Tcp => drop(self.tcp.insert(remote)),
        }
        self.kinds.insert(remote, kind);
        Announced::New
    }

    /// What an address of the server is.
    pub(super) fn kind_of(&self, remote: SocketAddr) -> AddressKind {
        self.kinds.get(&remote).copied().unwrap_or(AddressKind::PeerReflexive)
    }

    /// The server announced a host name, which only its own network may resolve.
    pub(super) fn announce_name(&mut self) {
        self.host_names = self.host_names.saturating_add(1);
    }

    /// The system's route to this address. `Some`: our address for it, and whether it is a new one.
    pub(super) fn routed(&mut self, remote: SocketAddr, local: Option<IpAddr>) -> Option<(SocketAddr, bool)> {
        let way = self.udp.get_mut(&remote)?;
        *way = Way::None;
        let local = SocketAddr::new(local.filter(|ip| !ip.is_unspecified())?, self.port);
        let new = !self.locals.contains(&local);
        if new && self.locals.len() >= MAX_LOCALS {
            return None;
        }
        if new {
            self.locals.push(local);
        }
        *way = Way::From(local);
        Some((local, new))
    }

    /// Addresses whose routes to request, so that a message can list this machine's addresses. Empty if they
    /// were requested.
    pub(super) fn ask_distant(&mut self) -> &'static [SocketAddr] {
        if self.distant.is_some() {
            return &[];
        }
        self.distant = Some([None; 2]);
        &DISTANT
    }

    /// The system's answer for those.
    pub(super) fn distant_routed(&mut self, remote: SocketAddr, local: Option<IpAddr>) {
        for (own, distant) in self.distant.iter_mut().flatten().zip(DISTANT) {
            if distant == remote {
                *own = local;
            }
        }
    }

    /// The local address at which a packet from `source` has arrived.
    pub(super) fn local_for(&mut self, source: SocketAddr) -> Option<SocketAddr> {
        if let Some(Way::From(local)) = self.udp.get(&source) {
            return Some(*local);
        }
        // The server's checks may be faster than its candidates.
        if let Some(local) = self.last_routes.get(&source.ip()).or_else(|| self.guessed.get(&source)) {
            return Some(*local);
        }
        // The server may answer from an address that it did not announce.
        let like = |local: &&SocketAddr| {
            local.is_ipv4() == source.is_ipv4() && local.ip().is_loopback() == source.ip().is_loopback()
        };
        let local = *self.locals.iter().find(like)?;
        if self.guessed.len() < MAX_CANDIDATES {
            self.guessed.insert(source, local);
        }
        Some(local)
    }

    /// Whether the system would send from this source to this destination.
    pub(super) fn fits(&self, source: SocketAddr, destination: SocketAddr) -> bool {
        // Whatever the address really is, packets came from there.
        if self.guessed.get(&destination) == Some(&source) {
            return true;
        }
        match self.udp.get(&destination) {
            Some(Way::From(local)) => *local == source,
            // A relay may know the way.
            Some(Way::Asked | Way::None) => false,
            None => self.locals.contains(&source),
        }
    }

    /// The address families of the server's UDP addresses: IPv4, IPv6.
    pub(super) fn udp_families(&self) -> (bool, bool) {
        let any = |is: fn(&SocketAddr) -> bool| self.udp.keys().any(is);
        (any(SocketAddr::is_ipv4), any(SocketAddr::is_ipv6))
    }

    /// Whether the server has announced any address.
    pub(super) fn has_any(&self) -> bool {
        !self.udp.is_empty() || !self.tcp.is_empty()
    }

    /// Why there is no connection, and what to do about it.
    pub(super) fn explain(&self) -> String {
        let routed = self.udp.values().any(|way| matches!(way, Way::From(_)));
        if self.udp.is_empty() && self.tcp.is_empty() {
            let names = if self.host_names > 0 { " but host names" } else { "" };
            return format!(
                "the server announced no address for its media{names}: check `rtc` in its configuration (`node_ip`, `use_external_ip`)"
            );
        }
        if routed || self.udp.is_empty() {
            return format!(
                "no packet came back from {}: check that the server's RTC ports are open from here, UDP above all, and that the server \
                 announces an address that can be reached from here (`rtc.node_ip`)",
                self.list()
            );
        }
        let own = match self.distant {
            None => "none that leads there".to_owned(),
            Some([v4, v6]) => {
                let name = |own: Option<IpAddr>, family| match own {
                    Some(ip) => format!("{family} address {ip}"),
                    None => format!("no {family} address for it"),
                };
                format!("{} and {}", name(v4, "IPv4"), name(v6, "IPv6"))
            }
        };
        format!(
            "the server offers media at {}, and this machine has no route there: it has {own}. Let the server announce an address of a \
             family that this machine has (`rtc.node_ip`), or give this machine an address of that family",
            self.list()
        )
    }

    /// Why media and data use TCP.
    pub(super) fn explain_tcp(&self) -> String {
        if self.udp.is_empty() {
            return "the server offers no UDP: check its `rtc` configuration".to_owned();
        }
        let udp: Vec<SocketAddr> = self.udp.keys().copied().collect();
        format!(
            "no UDP packet came back from {}: check that UDP to the server's RTC ports is open from here",
            list(&udp, "")
        )
    }

    fn list(&self) -> String {
        let udp: Vec<SocketAddr> = self.udp.keys().copied().collect();
        let tcp: Vec<SocketAddr> = self.tcp.iter().copied().collect();
        [list(&udp, " (UDP)"), list(&tcp, " (TCP)")]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

fn list(addresses: &[SocketAddr], suffix: &str) -> String {
    let mut listed: Vec<String> =
        addresses.iter().take(MAX_LISTED).map(|address| format!("{address}{suffix}")).collect();
    if let Some(more) = addresses.len().checked_sub(MAX_LISTED).filter(|more| *more > 0) {
        listed.push(format!("{more} more"));
    }
    listed.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn announce(paths: &mut Paths, protocol: Protocol, remote: SocketAddr) -> Announced {
        paths.announce(protocol, remote, AddressKind::Host)
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn each_address_of_the_server_has_the_local_one_that_leads_there() {
        let mut paths = Paths::new(4000);
        for remote in ["10.0.0.9:50000", "127.0.0.1:50000", "[fd00::9]:50000"] {
            assert_eq!(announce(&mut paths, Protocol::Udp, address(remote)), Announced::New);
        }
        assert_eq!(announce(&mut paths, Protocol::Udp, address("10.0.0.9:50000")), Announced::Known);
        let own = address("10.0.0.2:4000");
        assert_eq!(paths.routed(address("10.0.0.9:50000"), ip("10.0.0.2")), Some((own, true)));
        assert_eq!(paths.routed(address("10.0.0.9:50000"), ip("10.0.0.2")), Some((own, false)));
        let loopback = address("127.0.0.1:4000");
        assert_eq!(paths.routed(address("127.0.0.1:50000"), ip("127.0.0.1")), Some((loopback, true)));
        assert_eq!(paths.routed(address("[fd00::9]:50000"), None), None);
        assert_eq!(paths.routed(address("192.0.2.77:1"), ip("10.0.0.2")), None, "it was not announced");

        assert_eq!(paths.local_for(address("127.0.0.1:50000")), Some(loopback));
        assert_eq!(paths.local_for(address("10.0.0.77:9")), Some(own), "from another address of the server");
        assert_eq!(paths.local_for(address("[fd00::9]:50000")), None);
        assert!(paths.fits(own, address("10.0.0.9:50000")));
        assert!(!paths.fits(loopback, address("10.0.0.9:50000")));
        assert!(paths.fits(own, address("10.0.0.77:9")));
    }

    #[test]
    fn a_check_that_is_faster_than_its_candidate_arrives_at_the_address_that_leads_there() {
        let mut paths = Paths::new(4000);
        let (one, two) = (address("10.0.1.9:50000"), address("10.0.2.9:50000"));
        let (own_one, own_two) = (address("10.0.1.2:4000"), address("10.0.2.2:4000"));
        announce(&mut paths, Protocol::Udp, one);
        paths.routed(one, ip("10.0.1.2"));
        // Nothing is known of the other one yet.
        assert_eq!(paths.local_for(two), Some(own_one));
        announce(&mut paths, Protocol::Udp, two);
        paths.routed(two, ip("10.0.2.2"));
        assert_eq!(paths.local_for(two), Some(own_two));
        assert!(paths.fits(own_one, two), "a path that is in use stays usable");
        assert!(paths.fits(own_two, two) && !paths.fits(own_two, one));

        paths.begin();
        assert_eq!((paths.local_for(one), paths.local_for(two)), (Some(own_one), Some(own_two)));
        announce(&mut paths, Protocol::Udp, two);
        paths.routed(two, ip("10.0.2.2"));
        assert!(!paths.fits(own_one, two));
    }

    #[test]
    fn candidates_are_counted_for_each_generation() {
        let mut paths = Paths::new(4000);
        let udp = |n: u16| SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9)), n);
        for n in 1..=63 {
            assert_eq!(announce(&mut paths, Protocol::Udp, udp(n)), Announced::New);
        }
        assert_eq!(announce(&mut paths, Protocol::Tcp, udp(1)), Announced::New);
        assert_eq!(announce(&mut paths, Protocol::Tcp, udp(2)), Announced::TooMany);
        assert_eq!(announce(&mut paths, Protocol::Udp, udp(64)), Announced::TooMany);
        assert_eq!(announce(&mut paths, Protocol::Udp, udp(63)), Announced::Known);
        paths.begin();
        assert_eq!(announce(&mut paths, Protocol::Udp, udp(64)), Announced::New);
    }

    #[test]
    fn own_addresses_are_bounded() {
        let mut paths = Paths::new(4000);
        let mut new = 0;
        for n in 1..=40 {
            let remote = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, n)), 1);
            announce(&mut paths, Protocol::Udp, remote);
            let local = IpAddr::V4(Ipv4Addr::new(10, 1, 0, n));
            new += u32::from(paths.routed(remote, Some(local)).is_some());
        }
        assert_eq!(new, 16);
    }

    #[test]
    fn messages_name_what_the_server_offers_and_what_this_machine_has() {
        let mut paths = Paths::new(4000);
        assert!(paths.explain().starts_with("the server announced no address for its media: "));
        paths.announce_name();
        assert!(
            paths.explain().starts_with("the server announced no address for its media but host names: ")
        );

        announce(&mut paths, Protocol::Udp, address("[fd00::9]:50000"));
        announce(&mut paths, Protocol::Tcp, address("[fd00::9]:7881"));
        assert_eq!(paths.routed(address("[fd00::9]:50000"), None), None);
        assert_eq!(paths.ask_distant().len(), 2);
        assert!(paths.ask_distant().is_empty(), "once");
        paths.distant_routed(DISTANT[0], ip("192.0.2.7"));
        paths.distant_routed(DISTANT[1], None);
        assert_eq!(
            paths.explain(),
            "the server offers media at [fd00::9]:50000 (UDP), [fd00::9]:7881 (TCP), and this machine has no route there: it has IPv4 \
             address 192.0.2.7 and no IPv6 address for it. Let the server announce an address of a family that this machine has \
             (`rtc.node_ip`), or give this machine an address of that family"
        );

        announce(&mut paths, Protocol::Udp, address("10.0.0.9:50000"));
        paths.routed(address("10.0.0.9:50000"), ip("10.0.0.2"));
        let text = paths.explain();
        assert!(
            text.starts_with("no packet came back from 10.0.0.9:50000 (UDP), [fd00::9]:50000 (UDP), "),
            "{text}"
        );
        assert!(text.contains("UDP above all"), "{text}");
        let tcp = paths.explain_tcp();
        assert!(tcp.starts_with("no UDP packet came back from 10.0.0.9:50000, [fd00::9]:50000: "), "{tcp}");

        for n in 1..=20 {
            announce(&mut paths, Protocol::Udp, SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 1, n)), 1));
        }
        assert!(paths.explain().contains(", 16 more, [fd00::9]:7881 (TCP)"), "{}", paths.explain());
    }
}
