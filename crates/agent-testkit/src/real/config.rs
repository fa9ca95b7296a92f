//! Ports and configuration file of the server.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::time::Duration;

use agent_worker::Secret;

use super::udp_proxy::RTC_YAML;

pub(super) const API_KEY: &str = "devkey";
/// Public, and suitable for loopback only; the server requires 32 characters.
pub(super) const API_SECRET: &str = "a-secret-for-tests-on-loopback-only";

/// The ports of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) http: u16,
    rtc_tcp: u16,
    pub(super) rtc_udp: u16,
}

impl Ports {
    /// Three ports that are free now; each is held until all are chosen.
    pub(super) fn free() -> io::Result<Self> {
        let http = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let rtc_tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let rtc_udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(Self {
            http: http.local_addr()?.port(),
            rtc_tcp: rtc_tcp.local_addr()?.port(),
            rtc_udp: rtc_udp.local_addr()?.port(),
        })
    }
}

/// Settings of a [`RealServer`](super::RealServer).
#[derive(Clone, Debug)]
pub struct RealServerBuilder {
    empty_timeout: Duration,
    departure_timeout: Duration,
    extra: String,
    rtc: String,
    udp_proxy: bool,
    more_addresses: Vec<IpAddr>,
}

impl Default for RealServerBuilder {
    fn default() -> Self {
        // The server's own defaults.
        Self {
            empty_timeout: Duration::from_secs(300),
            departure_timeout: Duration::from_secs(20),
            extra: String::new(),
            rtc: "  node_ip: 127.0.0.1\n".to_owned(),
            udp_proxy: false,
            more_addresses: Vec::new(),
        }
    }
}

impl RealServerBuilder {
    /// How long a room stays open that nobody joined (300 s by default; whole seconds). Agents do not count.
    #[must_use]
    pub fn empty_timeout(mut self, timeout: Duration) -> Self {
        self.empty_timeout = timeout;
        self
    }

    /// How long a room stays open after the last human left (20 s by default; whole seconds).
    #[must_use]
    pub fn departure_timeout(mut self, timeout: Duration) -> Self {
        self.departure_timeout = timeout;
        self
    }

    /// Adds top-level YAML to the server's configuration file, such as `"agents:
    ///   target_load: 0.5"`.
    ///
    /// The keys `port`, `bind_addresses`, `rtc`, `keys`, `logging` and `room` exist already and must not be
    /// added.
    #[must_use]
    pub fn extra_config(mut self, yaml: impl Into<String>) -> Self {
        self.extra = yaml.into();
        self
    }

    /// Listens at these addresses of this machine, too, beside 127.0.0.1: for a test in network namespaces.
    #[must_use]
    pub fn listen_at(mut self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.more_addresses.extend(addresses);
        self
    }

    /// Sets the addresses that the server announces for media, as lines of its section `rtc`, each indented
    /// by two spaces: by default `  node_ip: 127.0.0.1`.
    #[must_use]
    pub fn rtc_addresses(mut self, yaml: impl Into<String>) -> Self {
        self.rtc = yaml.into();
        self
    }

    /// Puts a [`UdpProxy`](super::UdpProxy) in front of the server's media and data, for all clients, at
    /// 127.0.0.2: on systems that have this address without being set up, as Linux. Clients that connect over
    /// TCP, too, are not for it.
    #[must_use]
    pub fn udp_proxy(mut self) -> Self {
        self.udp_proxy = true;
        self.rtc_addresses(RTC_YAML)
    }

    pub(super) const fn has_udp_proxy(&self) -> bool {
        self.udp_proxy
    }

    pub(super) fn yaml(&self, ports: Ports, secret: &Secret) -> String {
        let mut yaml = String::new();
        let more: String = self.more_addresses.iter().map(|address| format!(", \"{address}\"")).collect();
        // Writing to a String cannot fail.
        let _ = write!(
            yaml,
            "port: {}
bind_addresses: [\"127.0.0.1\"{more}]
rtc:
  tcp_port: {}
  udp_port: {}
  use_external_ip: false
  enable_loopback_candidate: true
{}
keys:
  {API_KEY}: {}
logging:
  json: true
  level: debug
room:
  auto_create: true
  empty_timeout: {}
  departure_timeout: {}
{}\n",
            ports.http,
            ports.rtc_tcp,
            ports.rtc_udp,
            self.rtc,
            secret.expose(),
            self.empty_timeout.as_secs(),
            self.departure_timeout.as_secs(),
            self.extra,
        );
        yaml
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_and_are_free_again() {
        let free = || {
            let ports = Ports::free().unwrap();
            assert_ne!(ports.http, ports.rtc_tcp);
            TcpListener::bind((Ipv4Addr::LOCALHOST, ports.http)).is_ok()
                && UdpSocket::bind((Ipv4Addr::LOCALHOST, ports.rtc_udp)).is_ok()
        };
        // Another process may take a port meanwhile, and a child of ours holds them until its program starts.
        assert!((0..20).any(|_| free()));
    }

    #[test]
    fn the_secret_is_long_enough_for_the_server() {
        assert!(API_SECRET.len() >= 32);
    }
}
