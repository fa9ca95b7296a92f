//! Byte streams: TCP to one of a host's addresses, and a tunnel through a proxy.

use agent_proto::text::{line, name};
use std::fmt::Debug;
use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::http::Uri;
use tower_service::Service;

use super::error::ConnectError;

/// Anything to read from and write to: TCP, TLS, or TLS within TLS through a proxy.
pub(crate) type Stream = Box<dyn ByteStream>;

/// A connection: bytes both ways, in order.
pub trait ByteStream: AsyncRead + AsyncWrite + Debug + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Debug + Send + Unpin> ByteStream for T {}

/// Opens connections in the place of TCP: to a server in the same process, over a Unix socket, with faults for a test.
///
/// TLS, when the address asks for it, and HTTP go over whatever it returns. See [`NetOptions::dialer`](crate::NetOptions::dialer).
pub trait Dialer: Send + Sync + 'static {
    /// Opens one connection to the host (an IPv6 address in brackets) and port of the server's URL.
    fn dial(&self, host: &str, port: u16) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>>;
}

/// How long one address has for itself before the next one is tried beside it.
const STAGGER: Duration = Duration::from_millis(250);

/// Connects to the first address of the host that answers.
pub(super) async fn dial(host: &str, port: u16, endpoint: &str) -> Result<TcpStream, ConnectError> {
    let resolve = |source| ConnectError::Resolve { endpoint: endpoint.to_owned(), source };
    // An IPv6 address stands in brackets in a URL, and without in a look-up.
    let addresses: Vec<SocketAddr> =
        tokio::net::lookup_host((host.trim_matches(['[', ']']), port)).await.map_err(resolve)?.collect();
    if addresses.is_empty() {
        return Err(resolve(io::Error::new(io::ErrorKind::NotFound, "the name has no address")));
    }
    let tcp = first_to_answer(addresses)
        .await
        .map_err(|source| ConnectError::Unreachable { endpoint: endpoint.to_owned(), source })?;
    // Messages are small and somebody waits for each. A socket that cannot do it works all the same.
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(error = %line(error), endpoint = %name(endpoint), "TCP_NODELAY was refused");
    }
    Ok(tcp)
}

/// Tries the addresses in order, the next one as soon as one fails or stays silent for a moment: a host with a dead IPv6
/// address is reached over IPv4 at once.
async fn first_to_answer(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        let more = match waiting.next() {
            Some(address) => {
                attempts.push(TcpStream::connect(address));
                waiting.len() > 0
            }
            None => false,
        };
        let mut stagger = pin!(tokio::time::sleep(STAGGER));
        loop {
            tokio::select! {
                answer = attempts.next() => match answer {
                    Some(Ok(tcp)) => return Ok(tcp),
                    Some(Err(error)) => {
                        last = error;
                        if more { break }
                    }
                    None => return Err(last),
                },
                () = &mut stagger, if more => break,
            }
        }
    }
}

/// Asks the proxy at the other end of `stream` for a connection to the server.
pub(super) async fn tunnel(
    stream: Stream,
    proxy: &Intercept,
    endpoint: &str,
    proxy_endpoint: &str,
) -> Result<Stream, ConnectError> {
    let failed = |source| ConnectError::Proxy {
        endpoint: endpoint.to_owned(),
        proxy: proxy_endpoint.to_owned(),
        source,
    };
    let destination = Uri::builder()
        .scheme("https")
        .authority(endpoint)
        .path_and_query("/")
        .build()
        .map_err(|error| failed(Box::new(error)))?;
    let established = Established(Some(stream));
    let stream = if proxy.uri().scheme_str().is_some_and(|scheme| scheme.starts_with("socks5")) {
        let mut socks = SocksV5::new(proxy.uri().clone(), established);
        if let Some((user, password)) = proxy.raw_auth() {
            socks = socks.with_auth(user.to_owned(), password.to_owned());
        }
        socks.call(destination).await.map_err(|error| failed(Box::new(error)))?
    } else {
        let mut connect = Tunnel::new(proxy.uri().clone(), established);
        if let Some(credentials) = proxy.basic_auth() {
            connect = connect.with_auth(credentials.clone());
        }
        connect.call(destination).await.map_err(|error| failed(Box::new(error)))?
    };
    Ok(stream.into_inner())
}

/// A connector whose connection exists already: the tunnel code of the library asks for a connector.
struct Established(Option<Stream>);

impl Service<Uri> for Established {
    type Response = TokioIo<Stream>;
    type Error = io::Error;
    type Future = Ready<io::Result<TokioIo<Stream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        ready(self.0.take().map(TokioIo::new).ok_or_else(|| io::ErrorKind::NotConnected.into()))
    }
}
