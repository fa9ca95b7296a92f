//! Byte streams, and a tunnel through a proxy.

use std::fmt::Debug;
use std::future::{Ready, ready};
use std::io;
use std::task::{Context, Poll};

use agent_proto::BoxFuture;
use hyper::Uri;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use crate::error::ConnectError;

/// Anything to read from and write to: TCP, TLS, or TLS within TLS through a proxy.
pub type Stream = Box<dyn ByteStream>;

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
