//! The room's UDP socket: one descriptor, for both address families.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdSocket};

use socket2::{Domain, Protocol, Type};
use tokio::net::UdpSocket;

use agent_net::exhaustion;
use agent_proto::text::line;

/// Maximum size of a received packet; WebRTC stays below 1,500.
const MAX_PACKET: usize = 2048;

/// A socket that receives packets at every address of this machine.
pub(super) struct Socket {
    udp: UdpSocket,
    port: u16,
    families: Families,
}

/// The address families of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Families {
    /// IPv4 as a part of IPv6.
    Both,
    /// The system has no IPv6, or does not support both in one socket.
    Ipv4,
}

impl Socket {
    pub(super) fn bind() -> io::Result<Self> {
        Self::bind_as(Families::Both).or_else(|_| Self::bind_as(Families::Ipv4))
    }

    fn bind_as(families: Families) -> io::Result<Self> {
        let (domain, any): (_, IpAddr) = match families {
            Families::Both => (Domain::IPV6, Ipv6Addr::UNSPECIFIED.into()),
            Families::Ipv4 => (Domain::IPV4, Ipv4Addr::UNSPECIFIED.into()),
        };
        let socket = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if families == Families::Both {
            socket.set_only_v6(false)?;
        }
        socket.bind(&SocketAddr::new(any, 0).into())?;
        socket.set_nonblocking(true)?;
        let udp = UdpSocket::from_std(socket.into())?;
        let port = udp.local_addr()?.port();
        Ok(Self { udp, port, families })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The local address from which this machine sends to another one; `None` if it has no route, or this
    /// socket cannot use it.
    ///
    /// # Errors
    /// There is no file descriptor left to find out.
    pub(super) fn route(&self, remote: SocketAddr) -> io::Result<Option<IpAddr>> {
        if remote.is_ipv6() && self.families == Families::Ipv4 {
            return Ok(None);
        }
        // Connecting a UDP socket sends nothing.
        let any: IpAddr = match remote {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let found = StdSocket::bind((any, 0)).and_then(|socket| {
            socket.connect(remote)?;
            socket.local_addr()
        });
        match found {
            Ok(local) => Ok(Some(local.ip()).filter(|ip| !ip.is_unspecified())),
            Err(error) => match exhaustion(&error) {
                Some(error) => Err(error),
                None => {
                    tracing::debug!(%remote, error = %line(error), "this machine has no route to an address of the server");
                    Ok(None)
                }
            },
        }
    }

    /// Sends immediately or drops the packet, as a network would.
    pub(super) fn send(&self, destination: SocketAddr, contents: &[u8]) {
        let to = match (destination, self.families) {
            (SocketAddr::V4(v4), Families::Both) => {
                SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
            }
            (to, _) => to,
        };
        if let Err(error) = self.udp.try_send_to(contents, to) {
            tracing::trace!(error = %line(error), %destination, "packet not sent");
        }
    }

    /// Waits until there is a packet to [receive](Self::receive). Cancel-safe.
    pub(super) async fn readable(&self) {
        if self.udp.readable().await.is_err() {
            // The runtime is shutting down: nothing is received any more.
            std::future::pending().await
        }
    }

    /// Receives the next available packet: source, destination (unspecified if the socket does not know it),
    /// contents.
    ///
    /// The buffer is on the stack, so that thousands of rooms need no buffer each.
    pub(super) fn receive(&self) -> io::Result<(SocketAddr, SocketAddr, bytes::Bytes)> {
        let mut buffer = [0; MAX_PACKET];
        let (len, source) = self.udp.try_recv_from(&mut buffer)?;
        let contents = bytes::Bytes::copy_from_slice(buffer.get(..len).unwrap_or_default());
        let source = SocketAddr::new(source.ip().to_canonical(), source.port());
        Ok((source, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), self.port), contents))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends to a peer of each family, and receives the answer.
    async fn echo(socket: &Socket, peer: &str) {
        let Ok(peer) = StdSocket::bind(peer) else { return };
        let address = peer.local_addr().unwrap();
        assert_eq!(socket.route(address).unwrap(), Some(address.ip()));
        socket.udp.writable().await.unwrap();
        socket.send(address, b"there");
        let mut buffer = [0; 16];
        let (len, source) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..len], source), (&b"there"[..], SocketAddr::new(address.ip(), socket.port())));
        peer.send_to(b"back", source).unwrap();
        socket.readable().await;
        let (source, destination, contents) = socket.receive().unwrap();
        assert_eq!((source, destination.port(), &contents[..]), (address, socket.port(), &b"back"[..]));
        assert!(destination.ip().is_unspecified());
    }

    #[tokio::test]
    async fn one_socket_supports_both_families() {
        let socket = Socket::bind().unwrap();
        echo(&socket, "127.0.0.1:0").await;
        if socket.families == Families::Both {
            echo(&socket, "[::1]:0").await;
        }
    }

    #[tokio::test]
    async fn a_system_without_ipv6_has_a_socket_all_the_same() {
        let socket = Socket::bind_as(Families::Ipv4).unwrap();
        echo(&socket, "127.0.0.1:0").await;
        assert_eq!(socket.route("[::1]:9".parse().unwrap()).unwrap(), None);
    }

    #[tokio::test]
    async fn addresses_that_lead_nowhere_have_no_route() {
        let socket = Socket::bind().unwrap();
        // Link-local without an interface; a group; an unroutable address.
        for remote in ["[fe80::1]:9", "255.255.255.255:9"] {
            assert_eq!(socket.route(remote.parse().unwrap()).unwrap(), None, "{remote}");
        }
    }
}
