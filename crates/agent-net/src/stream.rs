//! Byte streams, and the tunnel through a proxy.

use std::fmt::Debug;
use std::future::{Ready, ready};
use std::io;
use std::task::{Context, Poll};

use hyper::Uri;
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::proxy::matcher::Intercept;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use agent_proto::BoxFuture;

use crate::error::ConnectError;

/// A TCP connection, TLS, or TLS within TLS through a proxy.
pub type Stream = Box<dyn ByteStream>;

/// A connection: a stream of bytes in both directions.
pub trait ByteStream: AsyncRead + AsyncWrite + Debug + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Debug + Send + Unpin> ByteStream for T {}

/// Opens connections instead of TCP: to a server in the same process, over a Unix socket, with faults for a
/// test.
///
/// TLS, if the address requires it, and HTTP run over the returned stream. See
/// [`NetOptions::dialer`](crate::NetOptions::dialer).
pub trait Dialer: Send + Sync + 'static {
    /// Opens one connection to the host (an IPv6 address in brackets) and port of the server's URL.
    fn dial(&self, host: &str, port: u16) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>>;
}

/// Requests a connection to the server from the proxy at the other end of `stream`.
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

/// A connector that returns an existing connection, as the library's tunnel expects a connector.
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
