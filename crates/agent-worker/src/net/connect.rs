//! One WebSocket to a server, from the name's look-up to the end of the handshake, within one time limit.

use std::future::Future;
use std::time::Duration;

use futures_util::TryFutureExt;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, USER_AGENT};
use tokio_tungstenite::tungstenite::http::{HeaderValue, Uri};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, error::UrlError};
use url::Url;

use super::error::{ConnectError, one_line};
use super::options::NetOptions;
use super::stream::{Stream, dial, tunnel};
use super::tls;
use crate::Secret;

/// A WebSocket to a server.
pub(crate) type WebSocket = WebSocketStream<Stream>;

/// Signalling messages are small and there may be thousands of connections: the library's 128 KiB each would be most of
/// what a job costs.
const READ_BUFFER: usize = 8 * 1024;

/// What waits to be written in the library's own buffer, answers to pings most of all: a peer that sends them and reads nothing would
/// fill our memory. Several times the largest message that we send.
const WRITE_BUFFER: usize = 4 * 1024 * 1024;

/// Connects to a `ws` or `wss` address, with a token in the header if there is one.
pub(crate) async fn connect_websocket(
    url: &Url,
    bearer: Option<&Secret>,
    options: &NetOptions,
) -> Result<WebSocket, ConnectError> {
    let secure = match url.scheme() {
        "wss" => true,
        "ws" => false,
        _ => return Err(ConnectError::Address),
    };
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(ConnectError::Address);
    };
    let endpoint = format!("{host}:{port}");
    let request = request(url, bearer)?;
    let limit = Limit::new(options.connect_timeout);

    let stream = match (options.own_dialer(), options.proxy_for(url)) {
        (Some(dialer), _) => {
            let dialled = dialer
                .dial(host, port)
                .map_err(|source| ConnectError::Unreachable { endpoint: endpoint.clone(), source });
            limit.on(&endpoint, "connection", dialled).await?
        }
        (None, None) => {
            limit.on(&endpoint, "TCP connection", dial(host, port, &endpoint)).await.map(boxed)?
        }
        (None, Some(proxy)) => {
            let (proxy_host, proxy_port, proxy_secure) = proxy_address(proxy.uri())?;
            let proxy_endpoint = format!("{proxy_host}:{proxy_port}");
            let dialled = dial(proxy_host, proxy_port, &proxy_endpoint);
            let mut stream =
                limit.on(&proxy_endpoint, "TCP connection to the proxy", dialled).await.map(boxed)?;
            if proxy_secure {
                let encrypted = tls::encrypt(stream, proxy_host, &proxy_endpoint, options);
                stream = limit.on(&proxy_endpoint, "TLS with the proxy", encrypted).await?;
            }
            let tunnelled = tunnel(stream, &proxy, &endpoint, &proxy_endpoint);
            limit.on(&proxy_endpoint, "connection through the proxy", tunnelled).await?
        }
    };
    let stream = if secure {
        limit.on(&endpoint, "TLS", tls::encrypt(stream, host, &endpoint, options)).await?
    } else {
        stream
    };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(options.max_message_size))
        .max_frame_size(Some(options.max_message_size));
    let handshake = async {
        match tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, _)) => Ok(socket),
            Err(error) => Err(handshake_error(&endpoint, bearer, error)),
        }
    };
    limit.on(&endpoint, "WebSocket handshake", handshake).await
}

/// Connects to a server that speaks neither HTTP nor WebSocket, past any proxy, over TLS when `secure`.
#[cfg(feature = "redis")]
pub(crate) async fn connect_stream(
    host: &str,
    port: u16,
    secure: bool,
    options: &NetOptions,
) -> Result<Stream, ConnectError> {
    let endpoint = format!("{host}:{port}");
    let limit = Limit::new(options.connect_timeout);
    let stream = limit.on(&endpoint, "TCP connection", dial(host, port, &endpoint)).await.map(boxed)?;
    if secure {
        limit.on(&endpoint, "TLS", tls::encrypt_other(stream, host, &endpoint, options)).await
    } else {
        Ok(stream)
    }
}

fn boxed(tcp: tokio::net::TcpStream) -> Stream {
    Box::new(tcp)
}

fn request(url: &Url, bearer: Option<&Secret>) -> Result<Request, ConnectError> {
    let mut request = url.as_str().into_client_request().map_err(|_| ConnectError::Address)?;
    request.headers_mut().insert(
        USER_AGENT,
        HeaderValue::from_static(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"))),
    );
    if let Some(token) = bearer {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
            .map_err(|_| ConnectError::Token { source: None })?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(request)
}

/// Host, port and whether it is spoken to over TLS. The options let no other address through.
fn proxy_address(uri: &Uri) -> Result<(&str, u16, bool), ConnectError> {
    let (default_port, secure) = match uri.scheme_str() {
        Some("https") => (443, true),
        Some("http") => (80, false),
        _ => (1080, false),
    };
    let host = uri.host().ok_or(ConnectError::Address)?;
    Ok((host, uri.port_u16().unwrap_or(default_port), secure))
}

fn handshake_error(endpoint: &str, bearer: Option<&Secret>, error: WsError) -> ConnectError {
    let endpoint = endpoint.to_owned();
    match error {
        WsError::Http(response) => ConnectError::Refused {
            endpoint,
            status: response.status().as_u16(),
            body: one_line(response.body().as_deref().unwrap_or_default(), bearer),
        },
        WsError::Url(UrlError::UnsupportedUrlScheme | UrlError::NoHostName | UrlError::EmptyHostName) => {
            ConnectError::Address
        }
        other => ConnectError::Protocol { endpoint, source: Box::new(other) },
    }
}

/// The time limit of one connection, shared by its steps.
#[derive(Clone, Copy)]
struct Limit {
    until: Instant,
    after: Duration,
}

impl Limit {
    fn new(after: Duration) -> Self {
        // Bounded, as the clock has an end that a user's "never" may lie behind.
        Self { until: Instant::now() + after.min(Duration::from_secs(24 * 3600)), after }
    }

    async fn on<T>(
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
