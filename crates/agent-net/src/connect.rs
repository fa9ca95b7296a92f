//! One connection to a server, from the DNS lookup to the end of the last handshake, within one timeout.

use std::future::{Future, ready};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hyper::Uri;
use tokio::net::UdpSocket;
use tokio::time::Instant;
use url::Url;

use agent_proto::Secret;
use agent_proto::text::{line, name};

use crate::addresses::{Unproven, dial};
use crate::error::ConnectError;
use crate::options::NetOptions;
use crate::stream::{Stream, tunnel};
use crate::tls;
use crate::upgrade::Upgrade;
use crate::watched::{DatagramSocket, WatchedStream};
use crate::websocket::WebSocket;

/// Connects to a `ws` or `wss` address, with a token in the header if there is one.
pub(crate) async fn open_websocket(
    url: &Url,
    bearer: Option<&Secret>,
    options: &NetOptions,
) -> Result<WebSocket, ConnectError> {
    let server = Server::of(url, "ws", "wss")?;
    let endpoint = &*server.endpoint;
    let upgrade = &Upgrade { url, bearer, endpoint, max_message_size: options.max_message_size };
    upgrade.check()?;
    let handshake = |stream, limit: Limit| limit.on(endpoint, "WebSocket handshake", upgrade.ask(stream));
    let (mut socket, unproven) = server.open(url, options, handshake).await?;
    if let Some(unproven) = unproven {
        socket.watch(unproven);
    }
    Ok(socket)
}

/// Connects to an `http` or `https` address, for requests.
pub(crate) async fn connect_http(url: &Url, options: &NetOptions) -> Result<Stream, ConnectError> {
    let server = Server::of(url, "http", "https")?;
    server.open(url, options, |stream, _| ready(Ok(stream))).await.map(watched)
}

/// A stream that records whether the peer of its address answers, if it has one.
fn watched((stream, unproven): (Stream, Option<Unproven>)) -> Stream {
    match unproven {
        Some(unproven) => Box::new(WatchedStream::new(stream, unproven)),
        None => stream,
    }
}

/// A server that is reached over HTTP.
pub(crate) struct Server<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    /// Host and port, for messages.
    pub(crate) endpoint: String,
    secure: bool,
    /// Whether it speaks HTTP.
    http: bool,
}

impl<'a> Server<'a> {
    /// Reads host and port of a URL, which must have one of these two schemes.
    pub(crate) fn of(url: &'a Url, plain: &str, encrypted: &str) -> Result<Self, ConnectError> {
        let secure = url.scheme() == encrypted;
        match (url.host_str(), url.port_or_known_default()) {
            (Some(host), Some(port)) if secure || url.scheme() == plain => {
                Ok(Self { host, port, endpoint: format!("{host}:{port}"), secure, http: true })
            }
            _ => Err(ConnectError::Address),
        }
    }

    /// Opens a stream by the route of the options, and runs `then` on it once the server is connected.
    /// Without a dialer, the result comes with its address, which is yet to prove itself.
    async fn open<T, F>(
        &self,
        url: &Url,
        options: &NetOptions,
        then: impl Fn(Stream, Limit) -> F,
    ) -> Result<(T, Option<Unproven>), ConnectError>
    where
        F: Future<Output = Result<T, ConnectError>>,
    {
        let Self { host, port, ref endpoint, secure, http } = *self;
        let limit = Limit::new(options.connect_timeout);
        let then = &then;
        let open = |stream: Stream, limit: Limit| async move {
            let stream = if secure {
                let encrypted = async {
                    let config = options.tls_config(endpoint)?;
                    let config = if http { config } else { tls::without_http(&config) };
                    tls::encrypt(stream, host, endpoint, config).await
                };
                limit.on(endpoint, "TLS", encrypted).await?
            } else {
                stream
            };
            then(stream, limit).await
        };

        if let Some(dialer) = options.own_dialer() {
            let dialled = async {
                let dialled = dialer.dial(host, port).await;
                dialled.map_err(|source| ConnectError::unreachable(endpoint, source))
            };
            let opened = open(limit.on(endpoint, "connection", dialled).await?, limit).await?;
            return Ok((opened, None));
        }
        let Some(proxy) = options.proxy_for(url) else {
            let route = Route { host, port, endpoint, step: "TCP connection", options };
            return route.try_addresses(limit, open).await;
        };
        let proxy = &proxy;
        let (proxy_host, proxy_port, proxy_secure) = proxy_address(proxy.uri())?;
        let proxy_endpoint = &*format!("{proxy_host}:{proxy_port}");
        let step = "TCP connection to the proxy";
        let route = Route { host: proxy_host, port: proxy_port, endpoint: proxy_endpoint, step, options };
        let through_proxy = |mut stream: Stream, limit: Limit| async move {
            if proxy_secure {
                let encrypted = async {
                    let config = options.tls_config(proxy_endpoint)?;
                    tls::encrypt(stream, proxy_host, proxy_endpoint, config).await
                };
                stream = limit.on(proxy_endpoint, "TLS with the proxy", encrypted).await?;
            }
            let tunnelled = tunnel(stream, proxy, endpoint, proxy_endpoint);
            open(limit.on(proxy_endpoint, "connection through the proxy", tunnelled).await?, limit).await
        };
        let opened = route.try_addresses(limit, through_proxy).await;
        opened.map_err(|error| error.through_proxy(endpoint, proxy_endpoint))
    }
}

/// Connects to a server that uses neither HTTP nor WebSocket, past any proxy, with TLS if `secure`.
pub async fn connect_stream(
    host: &str,
    port: u16,
    secure: bool,
    options: &NetOptions,
) -> Result<Stream, ConnectError> {
    let endpoint = &*format!("{host}:{port}");
    let route = Route { host, port, endpoint, step: "TCP connection", options };
    let open = |stream: Stream, limit: Limit| async move {
        if secure {
            let encrypted = async {
                let config = tls::without_http(&*options.tls_config(endpoint)?);
                tls::encrypt(stream, host, endpoint, config).await
            };
            limit.on(endpoint, "TLS", encrypted).await
        } else {
            Ok(stream)
        }
    };
    route.try_addresses(Limit::new(options.connect_timeout), open).await.map(watched)
}

/// Connects to a relay (TURN) as to a server of HTTP, through the proxy if there is one, with TLS if
/// `secure`. `host`: an IPv6 address without brackets.
pub async fn connect_relay(
    host: &str,
    port: u16,
    secure: bool,
    options: &NetOptions,
) -> Result<Stream, ConnectError> {
    let host = &*in_url(host);
    let endpoint = format!("{host}:{port}");
    let scheme = if secure { "https" } else { "http" };
    // For the rules of proxies.
    let url = Url::parse(&format!("{scheme}://{endpoint}")).map_err(|_| ConnectError::Address)?;
    let server = Server { host, port, endpoint, secure, http: false };
    server.open(&url, options, |stream, _| ready(Ok(stream))).await.map(watched)
}

/// A socket that exchanges datagrams with this host alone, at the first of its addresses to which this
/// machine has a route; those that did not answer before come last. `host`: an IPv6 address without brackets.
pub async fn connect_datagrams(
    host: &str,
    port: u16,
    options: &NetOptions,
) -> Result<DatagramSocket, ConnectError> {
    let endpoint = &*format!("{}:{port}", in_url(host));
    let lookup = options.addresses.of(host, port, endpoint);
    let addresses = Limit::new(options.connect_timeout).on(endpoint, "name lookup", lookup).await?;
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match datagrams_to(address).await {
            Ok(socket) => return Ok(DatagramSocket::new(socket, options.addresses.unproven(address))),
            Err(error) => last = error,
        }
    }
    Err(ConnectError::unreachable(endpoint, last))
}

/// The host as in a URL: an IPv6 address in brackets.
fn in_url(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

async fn datagrams_to(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(address).await?;
    Ok(socket)
}

/// A host to connect to over TCP.
struct Route<'a> {
    host: &'a str,
    port: u16,
    /// Host and port, for messages.
    endpoint: &'a str,
    /// The name of this step in a timeout error.
    step: &'static str,
    options: &'a NetOptions,
}

impl Route<'_> {
    /// Connects to one address after the other until `open` succeeds. An address that accepts a connection
    /// and then sends nothing, like a dead process behind a load balancer, gets only its share of the time.
    async fn try_addresses<T, F>(
        &self,
        limit: Limit,
        open: impl Fn(Stream, Limit) -> F,
    ) -> Result<(T, Option<Unproven>), ConnectError>
    where
        F: Future<Output = Result<T, ConnectError>>,
    {
        let Self { host, port, endpoint, step, options } = *self;
        let mut addresses = limit.on(endpoint, step, options.addresses.of(host, port, endpoint)).await?;
        let mut before = None;
        loop {
            let dialled = limit.on(endpoint, step, dial(&mut addresses, endpoint)).await;
            let (address, tcp) = match (dialled, before) {
                (Ok(dialled), _) => dialled,
                // An error of a server that did answer is more useful than this one.
                (Err(_), Some(before)) => return Err(before),
                (Err(error), None) => return Err(error),
            };
            match open(Box::new(tcp), limit.share(addresses.len() + 1)).await {
                Ok(opened) => return Ok((opened, Some(options.addresses.unproven(address)))),
                Err(error) => {
                    options.addresses.failed(address);
                    if addresses.is_empty() || !error.is_specific_to_address() {
                        return Err(error);
                    }
                    tracing::debug!(
                        %address,
                        endpoint = %name(endpoint),
                        "trying the host's next address: {}",
                        line(&error)
                    );
                    before = Some(error);
                }
            }
        }
    }
}

/// Host, port and whether the proxy is reached over TLS. The options accept no other address.
pub(crate) fn proxy_address(uri: &Uri) -> Result<(&str, u16, bool), ConnectError> {
    let (default_port, secure) = match uri.scheme_str() {
        Some("https") => (443, true),
        Some("http") => (80, false),
        _ => (1080, false),
    };
    let host = uri.host().ok_or(ConnectError::Address)?;
    Ok((host, uri.port_u16().unwrap_or(default_port), secure))
}

/// The timeout of one connection, shared by its steps.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    until: Instant,
    after: Duration,
}

impl Limit {
    pub(crate) fn new(after: Duration) -> Self {
        // Bounded, because adding a very long duration to an `Instant` would overflow.
        Self { until: Instant::now() + after.min(Duration::from_secs(24 * 3600)), after }
    }

    /// The share of the remaining time of one of `addresses` addresses.
    fn share(self, addresses: usize) -> Self {
        if addresses <= 1 {
            return self;
        }
        let now = Instant::now();
        let left = self.until.saturating_duration_since(now);
        let share = left / u32::try_from(addresses).unwrap_or(u32::MAX);
        Self { until: now + share, after: share }
    }

    pub(crate) async fn on<T>(
        self,
        endpoint: &str,
        step: &'static str,
        work: impl Future<Output = Result<T, ConnectError>>,
    ) -> Result<T, ConnectError> {
        tokio::time::timeout_at(self.until, work).await.unwrap_or_else(|_| {
            Err(ConnectError::Timeout { endpoint: endpoint.to_owned(), limit: self.after, step })
        })
    }
}
