//! The room's UDP socket, bound where the server can reach it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdSocket},
};

use tokio::net::UdpSocket;

/// An address that is routed as any far one is, and that nobody has (RFC 5737). Nothing is ever sent there.
const FAR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);
/// The largest packet that is read; WebRTC stays below 1,500.
const MAX_PACKET: usize = 2048;

/// A socket and the addresses at which it can be reached.
pub(super) struct Socket {
    udp: UdpSocket,
    locals: Vec<SocketAddr>,
}

impl Socket {
    /// Binds a socket on the interface that leads to `server`, one of these addresses.
    ///
    /// A server that is reached over loopback may announce its media under the machine's own address, or under loopback: the socket
    /// is then bound to both.
    pub(super) fn bind(servers: &[SocketAddr]) -> io::Result<Self> {
        let towards = servers.iter().find_map(|server| local_ip(*server).ok());
        let towards = match towards {
            Some(ip) => ip,
            // The name may be known to a proxy only.
            None => local_ip(FAR)?,
        };
        let mut ips = vec![towards];
        if towards == IpAddr::V4(Ipv4Addr::LOCALHOST)
            && let Ok(ip) = local_ip(FAR)
            && !ip.is_loopback()
        {
            ips.push(ip);
        }
        let bind_to = if ips.len() > 1 { unspecified(towards) } else { towards };
        let socket = StdSocket::bind((bind_to, 0))?;
        socket.set_nonblocking(true)?;
        let udp = UdpSocket::from_std(socket)?;
        let port = udp.local_addr()?.port();
        let locals = ips.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        Ok(Self { udp, locals })
    }

    /// Where packets to it may arrive.
    pub(super) fn locals(&self) -> &[SocketAddr] {
        &self.locals
    }

    /// Sends at once or not at all, as a network would.
    pub(super) fn send(&self, source: SocketAddr, destination: SocketAddr, contents: &[u8]) {
        // The system picks the source by the destination: a pair of loopback and not is none.
        if self.locals.len() > 1 && source.ip().is_loopback() != destination.ip().is_loopback() {
            return;
        }
        if let Err(error) = self.udp.try_send_to(contents, destination) {
            tracing::trace!(%error, %destination, "packet not sent");
        }
    }

    /// Waits until there is something to [receive](Self::receive). Dropping the future loses nothing.
    pub(super) async fn readable(&self) {
        if self.udp.readable().await.is_err() {
            // The runtime is shutting down: nothing comes any more.
            std::future::pending().await
        }
    }

    /// The next packet that is there already: from where, at which address, what.
    ///
    /// The buffer is on the stack: thousands of rooms have no buffer each.
    pub(super) fn receive(&self) -> io::Result<(SocketAddr, SocketAddr, bytes::Bytes)> {
        let mut buffer = [0; MAX_PACKET];
        let (len, source) = self.udp.try_recv_from(&mut buffer)?;
        let contents = bytes::Bytes::copy_from_slice(buffer.get(..len).unwrap_or_default());
        let fits = |local: &&SocketAddr| local.ip().is_loopback() == source.ip().is_loopback();
        let destination = self.locals.iter().find(fits).or(self.locals.first());
        let destination = destination.copied().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok((source, destination, contents))
    }
}

/// The address that this machine uses towards another. Connecting a UDP socket sends nothing.
fn local_ip(remote: SocketAddr) -> io::Result<IpAddr> {
    let socket = StdSocket::bind((unspecified(remote.ip()), 0))?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}

fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}
