//! The networks of the test, each a namespace with a cable to the server's, and the server in the middle.

use std::net::IpAddr;

use tokio::process::Command;

use agent_testkit::RealServer;

/// The server's addresses in all networks. It announces them for media, too.
pub(crate) const SERVER: &str = "10.77.0.1";
const SERVER_V6: &str = "fd77::1";
/// No machine has this address, and what is sent there is lost.
pub(crate) const UNUSED: &str = "10.77.9.9";

/// `plain` lets everything through, `no-udp` no UDP, `no-media` nothing but the server's HTTP port, and in
/// `ipv6` there is no IPv4. Rules that drop come before those of local addresses.
pub(crate) const NETWORKS: &str = "ip link set lo up \
    && ip address add 10.77.0.1/32 dev lo && ip address add fd77::1/128 dev lo nodad \
    && for family in -4 -6; do ip $family rule add pref 10 lookup local && ip $family rule del pref 0 || exit 1; done \
    && mount -t tmpfs none /run && mkdir /run/netns \
    && number=0 && for name in plain no-udp no-media ipv6; do number=$((number + 1)) \
    && ip netns add $name && ip link add $name type veth peer name cable netns $name \
    && ip link set $name up && ip -n $name link set lo up && ip -n $name link set cable up \
    && if [ $name = ipv6 ]; then \
         ip address add fd77:1::1/64 dev $name nodad && ip -n $name address add fd77:1::2/64 dev cable nodad \
         && ip -n $name route add default via fd77:1::1; \
       else \
         ip address add 10.77.$number.1/24 dev $name && ip -n $name address add 10.77.$number.2/24 dev cable \
         && ip -n $name route add default via 10.77.$number.1; \
       fi || exit 1; done \
    && ip rule add pref 5 iif plain to 10.77.9.9 blackhole \
    && ip rule add pref 5 iif no-udp ipproto udp blackhole \
    && for protocol in udp tcp; do ip rule add pref 6 iif no-media ipproto $protocol blackhole || exit 1; done";

pub(crate) struct Networks {
    pub(crate) server: RealServer,
    /// Of its HTTP and WebSockets.
    pub(crate) port: u16,
}

impl Networks {
    pub(crate) async fn start() -> Self {
        let addresses = [SERVER, SERVER_V6].map(|address| address.parse::<IpAddr>().expect("an address"));
        let rtc =
            format!("  node_ip: {SERVER}\n  ips:\n    includes: [\"{SERVER}/32\", \"{SERVER_V6}/128\"]");
        let server = RealServer::builder().listen_at(addresses).rtc_addresses(rtc);
        let server = server.start().await.expect("a server");
        let port = server.server_url().ws_url().port().expect("a port");
        let port_text = port.to_string();
        let let_through = [
            "rule", "add", "pref", "5", "iif", "no-media", "ipproto", "tcp", "dport", &port_text, "lookup",
            "local",
        ];
        let status = Command::new("ip").args(let_through).status().await.expect("`ip` is there");
        assert!(status.success());
        Self { server, port }
    }

    /// The server's URL with another host.
    pub(crate) fn url(&self, host: &str) -> String {
        format!("ws://{host}:{}", self.port)
    }
}
