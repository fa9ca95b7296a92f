//! What a program that looks for the cause of a failure asks a server: which of its addresses accept
//! connections, and what time it has.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::Full;
use hyper::Request;
use hyper::header::DATE;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::connect::{Limit, Server, proxy_address};
use crate::error::ConnectError;
use crate::http_client::HttpClient;
use crate::options::NetOptions;
use crate::server_url::ServerUrl;

/// How long one address may take to accept a connection.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest response that is read.
const MAX_BODY_LEN: usize = 64 * 1024;

/// The addresses of a server, in the order in which they are tried.
#[derive(Debug)]
#[non_exhaustive]
pub enum AddressProbe {
    /// Connections do not go to these addresses, but through a proxy with this host and port.
    Proxy(String),
    /// Connections are opened by a [`Dialer`](crate::Dialer).
    Dialer,
    /// Each address of the host, and how long it took to accept a connection or why it did not.
    Addresses(Vec<(SocketAddr, Result<Duration, ConnectError>)>),
}

/// An answer to a request for the root of a server.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RootProbe {
    /// The HTTP status.
    pub status: u16,
    /// From the request to the complete response, without the connection.
    pub duration: Duration,
    /// How far the server's clock is ahead of ours, in whole seconds, which is the precision of its `Date`;
    /// negative if it is behind. `None` without a `Date`.
    pub clock_ahead: Option<i64>,
}

/// Resolves the host of a server, and opens a TCP connection to each of its addresses.
///
/// # Errors
/// [`ConnectError::Resolve`] if the name has no address.
pub async fn probe_addresses(url: &ServerUrl, options: &NetOptions) -> Result<AddressProbe, ConnectError> {
    let url = url.http_url();
    if options.own_dialer().is_some() {
        return Ok(AddressProbe::Dialer);
    }
    if let Some(proxy) = options.proxy_for(&url) {
        // Without the user and the password that the address of a proxy may have.
        let (host, port, _) = proxy_address(proxy.uri())?;
        return Ok(AddressProbe::Proxy(format!("{host}:{port}")));
    }
    let Server { host, port, ref endpoint, .. } = Server::of(&url, "http", "https")?;
    let lookup = options.addresses.of(host, port, endpoint);
    let found = Limit::new(options.connect_timeout).on(endpoint, "name lookup", lookup).await?;
    let limit = ADDRESS_TIMEOUT.min(options.connect_timeout);
    let probes = found.into_iter().map(async |address| {
        let (endpoint, begin) = (address.to_string(), Instant::now());
        let connect = async {
            let connected = TcpStream::connect(address).await;
            connected.map_err(|source| ConnectError::unreachable(&endpoint, source))
        };
        let connected = Limit::new(limit).on(&endpoint, "TCP connection", connect).await;
        (address, connected.map(|_| begin.elapsed()))
    });
    Ok(AddressProbe::Addresses(join_all(probes).await))
}

/// Requests the root of a server over HTTP, by the route and with the TLS of its other connections.
///
/// # Errors
/// Why there is no response within the [connect timeout](NetOptions::connect_timeout).
pub async fn probe_root(
    url: &ServerUrl,
    options: &NetOptions,
) -> Result<RootProbe, Box<dyn std::error::Error + Send + Sync>> {
    let limit = options.connect_timeout;
    timeout(limit, request_root(url, options)).await.map_err(|_| {
        let endpoint = url.http_url().authority().to_owned();
        ConnectError::Timeout { endpoint, limit, step: "HTTP response" }
    })?
}

async fn request_root(
    url: &ServerUrl,
    options: &NetOptions,
) -> Result<RootProbe, Box<dyn std::error::Error + Send + Sync>> {
    let client = HttpClient::new(options.clone());
    let request = || Request::get(url.http_url().as_str()).body(Full::<Bytes>::default());
    // The second request finds the connection of the first one.
    client.send(request()?, MAX_BODY_LEN).await.map_err(|error| error.source)?;
    let begin = Instant::now();
    let response = client.send(request()?, MAX_BODY_LEN).await.map_err(|error| error.source)?;
    let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
    let theirs = date.and_then(|date| httpdate::parse_http_date(date).ok());
    let clock_ahead = theirs.map(|theirs| seconds_between(SystemTime::now(), theirs));
    Ok(RootProbe { status: response.status().as_u16(), duration: begin.elapsed(), clock_ahead })
}

/// Whole seconds from one time to another.
fn seconds_between(from: SystemTime, to: SystemTime) -> i64 {
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    match to.duration_since(from) {
        Ok(ahead) => seconds(ahead),
        Err(behind) => -seconds(behind.duration()),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use agent_proto::BoxFuture;

    use super::*;
    use crate::addresses::Resolver;

    /// Resolves every name to these ports of this machine.
    struct Ports(Vec<u16>);

    impl Resolver for Ports {
        fn resolve(&self, _: &str, _: u16) -> BoxFuture<'_, io::Result<Vec<SocketAddr>>> {
            let found = self.0.iter().map(|port| SocketAddr::from(([127, 0, 0, 1], *port))).collect();
            Box::pin(async { Ok(found) })
        }
    }

    fn url(text: &str) -> ServerUrl {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn each_address_is_tried() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (open, dead) = (listener.local_addr().unwrap().port(), closed.local_addr().unwrap().port());
        drop(closed);
        let options = NetOptions::default().no_proxy().resolver(Ports(vec![dead, open]));
        let found = probe_addresses(&url("ws://media.test:7880"), &options).await.unwrap();
        let AddressProbe::Addresses(found) = found else { panic!("{found:?}") };
        let [(first, Err(error)), (second, Ok(_))] = &found[..] else { panic!("{found:?}") };
        assert_eq!((first.port(), second.port()), (dead, open));
        assert!(error.to_string().contains(&first.to_string()), "{error}");

        let none = NetOptions::default().no_proxy().resolver(Ports(Vec::new()));
        let error = probe_addresses(&url("ws://media.test"), &none).await.unwrap_err();
        assert!(matches!(error, ConnectError::Resolve { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_proxy_is_named_without_its_password() {
        let options = NetOptions::default().proxy("http://ada:s3cret@proxy.test:3128").unwrap();
        let found = probe_addresses(&url("wss://media.test"), &options).await.unwrap();
        assert!(matches!(&found, AddressProbe::Proxy(proxy) if proxy == "proxy.test:3128"), "{found:?}");
    }

    #[tokio::test]
    async fn the_clock_of_a_server_is_compared() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let date = httpdate::fmt_http_date(SystemTime::now() - Duration::from_secs(3600));
            for _ in 0..2 {
                let mut head = [0; 4096];
                assert!(stream.read(&mut head).await.unwrap() > 0);
                let response = format!("HTTP/1.1 404 Not Found\r\ndate: {date}\r\ncontent-length: 0\r\n\r\n");
                stream.write_all(response.as_bytes()).await.unwrap();
            }
        });
        let options = NetOptions::default().no_proxy();
        let found = probe_root(&url(&format!("ws://127.0.0.1:{port}")), &options).await.unwrap();
        assert_eq!(found.status, 404);
        let ahead = found.clock_ahead.unwrap();
        assert!((-3602..=-3599).contains(&ahead), "{ahead}");
        server.await.unwrap();
    }
}
