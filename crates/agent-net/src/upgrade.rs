//! The HTTP request that upgrades a stream to a WebSocket.
//!
//! Its HTTP client must not log anything: the request contains a token.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::upgrade::{Parts, Upgraded};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use url::Url;

use agent_proto::Secret;

use crate::bearer::bearer;
use crate::error::ConnectError;
use crate::one_line::one_line;
use crate::refusal::{redirect_target, retry_after};
use crate::stream::Stream;
use crate::websocket::WebSocket;

/// Maximum size of a response head, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Maximum number of response headers.
const MAX_HEADERS: usize = 100;
/// Maximum size of a refusal's body that is read, in bytes, and the timeout for it.
const MAX_BODY: usize = 4 * 1024;
const BODY_LIMIT: Duration = Duration::from_secs(1);
/// The suffix that a server appends to the key before hashing it (RFC 6455, 1.3).
const KEY_SUFFIX: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Client = dyn Future<Output = hyper::Result<()>> + Send;

/// An upgrade request that can be sent once for each stream.
pub(super) struct Upgrade<'a> {
    pub(super) url: &'a Url,
    pub(super) bearer: Option<&'a Secret>,
    /// Host and port, for messages.
    pub(super) endpoint: &'a str,
    /// Maximum size of a received message, in bytes.
    pub(super) max_message_size: usize,
}

impl Upgrade<'_> {
    /// Checks the request before a connection is made for it.
    pub(super) fn check(&self) -> Result<(), ConnectError> {
        self.request("").map(drop)
    }

    /// Sends the request and returns the WebSocket.
    pub(super) async fn ask(&self, stream: Stream) -> Result<WebSocket, ConnectError> {
        let key = new_key().map_err(|source| self.protocol(source))?;
        let request = self.request(&key)?;
        let (mut sender, connection): (SendRequest<String>, Connection<_, _>) = Builder::new()
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD)
            .title_case_headers(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.protocol(error))?;
        let mut connection = Driven { client: Box::pin(connection.with_upgrades()), done: false };
        let response =
            connection.until(sender.send_request(request)).await.map_err(|error| self.protocol(error))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(self.refused(connection, response).await);
        }
        check(response.headers(), &key).map_err(|problem| self.protocol(problem))?;
        let upgraded =
            connection.until(hyper::upgrade::on(response)).await.map_err(|error| self.protocol(error))?;
        let parts = upgraded.downcast::<TokioIo<Stream>>();
        let Parts { io, read_buf, .. } =
            parts.map_err(|_: Upgraded| self.protocol("the upgraded connection has another type"))?;
        Ok(WebSocket::client(io.into_inner(), &read_buf, self.max_message_size))
    }

    fn request(&self, key: &str) -> Result<Request<String>, ConnectError> {
        let url = self.url;
        let target =
            url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let host = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => return Err(ConnectError::Address),
        };
        let mut request = Request::builder()
            .uri(target)
            .header(header::HOST, host)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, key)
            .header(header::USER_AGENT, concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .body(String::new())
            .map_err(|_| ConnectError::Address)?;
        if let Some(token) = self.bearer {
            let value = bearer(token).map_err(|_| ConnectError::Token { source: None })?;
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        Ok(request)
    }

    /// Reads a response other than an upgrade.
    async fn refused(&self, mut connection: Driven, response: Response<Incoming>) -> ConnectError {
        let status = response.status();
        let location = response.headers().get(header::LOCATION);
        let location = location.and_then(|value| redirect_target(self.url, value.as_bytes(), self.bearer));
        let retry_after = retry_after(response.headers(), SystemTime::now());
        // The body of a redirect may contain more of its target than may be shown.
        let body = if status.is_redirection() {
            String::new()
        } else {
            let body = connection.until(beginning(response.into_body())).await;
            one_line(&body, self.bearer)
        };
        let endpoint = self.endpoint.to_owned();
        ConnectError::Refused { endpoint, status: status.as_u16(), body, location, retry_after }
    }

    fn protocol(&self, source: impl Into<BoxError>) -> ConnectError {
        ConnectError::Protocol { endpoint: self.endpoint.to_owned(), source: source.into() }
    }
}

/// A connection that is polled together with the work on it, without a task of its own.
struct Driven {
    client: Pin<Box<Client>>,
    done: bool,
}

impl Driven {
    async fn until<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|cx| {
            // The work sees the end of the connection, too.
            self.done = self.done || self.client.as_mut().poll(cx).is_ready();
            work.as_mut().poll(cx)
        })
        .await
    }
}

/// The start of a body, as far as it arrives in time.
async fn beginning(mut body: Incoming) -> Vec<u8> {
    let mut begin = Vec::new();
    let reading = async {
        while begin.len() < MAX_BODY
            && let Some(Ok(frame)) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await
        {
            begin.extend(frame.into_data().unwrap_or_default());
        }
    };
    // After the timeout, what has arrived is used.
    let _ = tokio::time::timeout(BODY_LIMIT, reading).await;
    begin
}

/// The answer of a server to the key of an upgrade request (`Sec-WebSocket-Accept`).
#[must_use]
pub fn accept_key(key: &str) -> String {
    let text = format!("{key}{KEY_SUFFIX}");
    STANDARD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

fn new_key() -> Result<String, &'static str> {
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(|_| "the system has no random numbers")?;
    Ok(STANDARD.encode(key))
}

/// Checks that the response agrees to this upgrade.
fn check(headers: &HeaderMap, key: &str) -> Result<(), &'static str> {
    let has = |name: HeaderName, wanted: &str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|word| word.trim().eq_ignore_ascii_case(wanted))
    };
    if !has(header::UPGRADE, "websocket") || !has(header::CONNECTION, "upgrade") {
        return Err("the answer to the upgrade names another protocol");
    }
    if headers.get(header::SEC_WEBSOCKET_ACCEPT).is_none_or(|v| *v != *accept_key(key)) {
        return Err("`Sec-WebSocket-Accept` is not the answer to our key");
    }
    if headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS)
        || headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL)
    {
        return Err("the server chose an extension that was not offered");
    }
    Ok(())
}
