//! Address lookup: resolves a host, orders its addresses, and remembers those that failed.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::Instant;

use agent_proto::BoxFuture;
use agent_proto::text::{line, name};

use crate::error::ConnectError;
use crate::exhaustion::exhaustion;

/// Resolves host names instead of the system's resolver: for service discovery, and for tests.
///
/// See [`NetOptions::resolver`](crate::NetOptions::resolver).
pub trait Resolver: Send + Sync + 'static {
    /// Returns the addresses of this host (never an IP address itself), each with the port, in the order in
    /// which they should be tried. Those after the sixteenth are ignored.
    fn resolve(&self, host: &str, port: u16) -> BoxFuture<'_, io::Result<Vec<SocketAddr>>>;
}

/// Maximum number of addresses of one host that are tried.
const MAX_ADDRESSES: usize = 16;
/// How long one address is tried alone before the next one is tried in parallel.
const STAGGER: Duration = Duration::from_millis(250);
/// Maximum number of failed addresses that are remembered.
const MAX_REMEMBERED: usize = 64;
/// How long a failed address is remembered.
const REMEMBERED: Duration = Duration::from_secs(300);

/// Resolves addresses and remembers those that accepted a connection and then failed above TCP, or never sent
/// anything useful on it: for a while they are tried last, by all clones.
#[derive(Clone, Default)]
pub(crate) struct Addresses {
    resolver: Option<Arc<dyn Resolver>>,
    /// The latest failure last.
    failed: Arc<Mutex<VecDeque<(SocketAddr, Instant)>>>,
}

impl Addresses {
    pub(crate) fn with_resolver(resolver: impl Resolver) -> Self {
        Self { resolver: Some(Arc::new(resolver)), failed: Arc::default() }
    }

    /// Returns the addresses of a host, in the order in which they should be tried.
    pub(crate) async fn of(
        &self,
        host: &str,
        port: u16,
        endpoint: &str,
    ) -> Result<VecDeque<SocketAddr>, ConnectError> {
        let failed = |source| ConnectError::Resolve { endpoint: endpoint.to_owned(), source };
        // An IPv6 address has brackets in a URL, and none in a lookup.
        let host = host.trim_matches(['[', ']']);
        let found: io::Result<Vec<SocketAddr>> = match (&self.resolver, host.parse::<IpAddr>()) {
            (_, Ok(ip)) => Ok(vec![SocketAddr::new(ip, port)]),
            (Some(resolver), _) => resolver.resolve(host, port).await,
            (None, _) => tokio::net::lookup_host((host, port)).await.map(Iterator::collect),
        };
        // A lookup needs files and sockets, and does not always report that it could not open one.
        let found = found.map_err(|error| match exhaustion(&error) {
            Some(source) => ConnectError::TooManyOpenFiles { endpoint: endpoint.to_owned(), source },
            None => failed(error),
        })?;
        if found.is_empty() {
            return Err(failed(io::Error::new(io::ErrorKind::NotFound, "the name has no address")));
        }
        Ok(self.ordered(found.into_iter().take(MAX_ADDRESSES).collect()))
    }

    fn ordered(&self, mut addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        while failed.front().is_some_and(|(_, at)| at.elapsed() > REMEMBERED) {
            failed.pop_front();
        }
        // Addresses without a failure keep their order; the others follow, the oldest failure first.
        addresses.sort_by_key(|address| failed.iter().position(|(other, _)| other == address));
        addresses.dedup();
        addresses.into()
    }

    /// Records that an address accepted a connection that then failed.
    pub(crate) fn failed(&self, address: SocketAddr) {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.retain(|(other, _)| *other != address);
        if failed.len() == MAX_REMEMBERED {
            failed.pop_front();
        }
        failed.push_back((address, Instant::now()));
    }

    fn worked(&self, address: SocketAddr) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).retain(|(other, _)| *other != address);
    }

    /// An open connection to an address, which has not sent anything useful yet.
    pub(crate) fn unproven(&self, address: SocketAddr) -> Unproven {
        Unproven { addresses: self.clone(), address, asked: false }
    }
}

/// A connection whose address is yet to prove itself: a server that hangs may still accept connections, and
/// what is in front of it may complete handshakes. Dropped after a request without an answer, it records that
/// the address failed, also if it was us who gave up: that costs no more than the order of addresses.
pub(crate) struct Unproven {
    addresses: Addresses,
    address: SocketAddr,
    asked: bool,
}

impl Unproven {
    /// Records that the peer was sent something, or has to send something by itself.
    pub(crate) fn asked(&mut self) {
        self.asked = true;
    }

    /// Records that the peer sent something useful.
    pub(crate) fn answered(mut self) {
        self.asked = false;
        self.addresses.worked(self.address);
    }
}

impl Drop for Unproven {
    fn drop(&mut self) {
        if self.asked {
            self.addresses.failed(self.address);
        }
    }
}

impl fmt::Debug for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unproven").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Connects to the first address that answers, and removes it and those that failed before it from the list.
pub(crate) async fn dial(
    addresses: &mut VecDeque<SocketAddr>,
    endpoint: &str,
) -> Result<(SocketAddr, TcpStream), ConnectError> {
    let dialled = first_to_answer(addresses).await;
    let (address, tcp) = dialled.map_err(|source| ConnectError::unreachable(endpoint, source))?;
    // Messages are small and latency matters; a socket without TCP_NODELAY works as well.
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(error = %line(error), endpoint = %name(endpoint), "TCP_NODELAY was refused");
    }
    Ok((address, tcp))
}

/// Tries the addresses in order, the next one as soon as one fails or has not answered for `STAGGER`: a host
/// with a dead IPv6 address is reached over IPv4 without delay.
async fn first_to_answer(addresses: &mut VecDeque<SocketAddr>) -> io::Result<(SocketAddr, TcpStream)> {
    let mut waiting: VecDeque<SocketAddr> = addresses.clone();
    let mut attempts = FuturesUnordered::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        if let Some(address) = waiting.pop_front() {
            attempts.push(async move { (address, TcpStream::connect(address).await) });
        }
        let mut stagger = pin!(tokio::time::sleep(STAGGER));
        loop {
            tokio::select! {
                answer = attempts.next() => {
                    let Some((address, answer)) = answer else { return Err(last) };
                    addresses.retain(|other| *other != address);
                    match answer {
                        Ok(tcp) => return Ok((address, tcp)),
                        Err(error) => {
                            last = error;
                            if !waiting.is_empty() { break }
                        }
                    }
                },
                () = &mut stagger, if !waiting.is_empty() => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], n))
    }

    fn order(addresses: &Addresses) -> Vec<u16> {
        addresses.ordered((1..=4).map(address).collect()).iter().map(SocketAddr::port).collect()
    }

    /// A host with forty addresses.
    struct Forty;

    impl Resolver for Forty {
        fn resolve(&self, _: &str, _: u16) -> BoxFuture<'_, io::Result<Vec<SocketAddr>>> {
            Box::pin(async { Ok((1..=40).map(address).collect()) })
        }
    }

    #[tokio::test]
    async fn only_the_first_sixteen_are_tried() {
        let found = Addresses::with_resolver(Forty).of("media.test", 1, "media.test:1").await.unwrap();
        assert_eq!(found, (1..=16).map(address).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn failed_addresses_are_last_for_a_while() {
        let addresses = Addresses::default();
        assert_eq!(order(&addresses), [1, 2, 3, 4]);
        addresses.failed(address(1));
        assert_eq!(order(&addresses), [2, 3, 4, 1]);
        addresses.clone().failed(address(3));
        assert_eq!(order(&addresses), [2, 4, 1, 3], "clones share it; the latest failure is last");
        addresses.failed(address(1));
        assert_eq!(order(&addresses), [2, 4, 3, 1]);
        addresses.worked(address(3));
        assert_eq!(order(&addresses), [2, 3, 4, 1]);
        tokio::time::advance(REMEMBERED + Duration::from_secs(1)).await;
        assert_eq!(order(&addresses), [1, 2, 3, 4]);
        (0..1000).for_each(|n| addresses.failed(address(n)));
        assert_eq!(addresses.failed.lock().unwrap().len(), MAX_REMEMBERED);
    }
}
