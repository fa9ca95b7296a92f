//! The network path of a room: how its media and data get to the server.

use std::fmt;
use std::net::SocketAddr;

/// The path that the media and data of a room take to the server, as ICE has chosen it.
///
/// Shown in short, for example `UDP` or `relay over TLS`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct NetworkPath {
    /// How packets leave this machine: for the server, or for the relay if there is one between.
    pub transport: PathTransport,
    /// The URL of the TURN server that relays the packets, without credentials. `None`: the path is direct.
    pub relay: Option<String>,
    /// Our address: that of this machine, or the one at which the relay receives packets for us.
    pub local: SocketAddr,
    /// What `local` is.
    pub local_kind: AddressKind,
    /// The server's address.
    pub remote: SocketAddr,
    /// What `remote` is.
    pub remote_kind: AddressKind,
    /// Why it is not direct UDP, and what to do about it; empty if it is.
    pub reason: String,
}

/// How packets leave this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum PathTransport {
    /// Datagrams.
    Udp,
    /// A TCP connection.
    Tcp,
    /// TLS over TCP, to a relay.
    Tls,
}

/// What an address is to ICE (the type of its candidate).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum AddressKind {
    /// One of the machine's own (`host`).
    Host,
    /// As others see it, behind address translation (`srflx`).
    ServerReflexive,
    /// One that was not announced, and is known from its packets (`prflx`).
    PeerReflexive,
    /// One of a relay (`relay`).
    Relayed,
}

impl NetworkPath {
    /// A direct path over UDP, between these addresses of their machines.
    #[must_use]
    pub const fn udp(local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            transport: PathTransport::Udp,
            relay: None,
            local,
            local_kind: AddressKind::Host,
            remote,
            remote_kind: AddressKind::Host,
            reason: String::new(),
        }
    }

    /// Whether no relay is between.
    #[must_use]
    pub const fn is_direct(&self) -> bool {
        self.relay.is_none()
    }

    /// Whether the server is reached over IPv6.
    #[must_use]
    pub const fn is_ipv6(&self) -> bool {
        self.remote.is_ipv6()
    }

    /// A short name: `udp`, `tcp`, `relay_udp`, `relay_tcp` or `relay_tls`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match (self.transport, self.is_direct()) {
            (PathTransport::Udp, true) => "udp",
            (PathTransport::Tcp, true) => "tcp",
            (PathTransport::Tls, true) => "tls",
            (PathTransport::Udp, false) => "relay_udp",
            (PathTransport::Tcp, false) => "relay_tcp",
            (PathTransport::Tls, false) => "relay_tls",
        }
    }

    /// Whether it is the other one but for ports, which are others in each session.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let ends = |path: &Self| (path.local.ip(), path.local_kind, path.remote.ip(), path.remote_kind);
        (self.transport, &self.relay, ends(self)) == (other.transport, &other.relay, ends(other))
    }
}

impl fmt::Display for NetworkPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            PathTransport::Udp => "UDP",
            PathTransport::Tcp => "TCP",
            PathTransport::Tls => "TLS",
        };
        match self.is_direct() {
            true => f.write_str(transport),
            false => write!(f, "relay over {transport}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_port_is_no_other_path() {
        let address = |text: &str| text.parse().unwrap();
        let path = NetworkPath::udp(address("10.0.0.1:1"), address("[fd00::1]:2"));
        assert_eq!((path.to_string().as_str(), path.as_str()), ("UDP", "udp"));
        assert!(path.is_direct() && path.is_ipv6());
        let ports = NetworkPath::udp(address("10.0.0.1:7"), address("[fd00::1]:8"));
        assert!(path.is_like(&ports));
        assert!(!path.is_like(&NetworkPath::udp(address("10.0.0.2:1"), address("[fd00::1]:2"))));
        let mut relayed = path.clone();
        (relayed.transport, relayed.relay) = (PathTransport::Tls, Some("turns:relay.test".to_owned()));
        assert_eq!((relayed.to_string().as_str(), relayed.as_str()), ("relay over TLS", "relay_tls"));
        assert!(!relayed.is_direct() && !path.is_like(&relayed));
    }
}
