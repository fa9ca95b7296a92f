//! The HTTP client of the API and of the list of regions. Its clones share connections.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tower_service::Service;
use url::Url;

use crate::connect::connect_http;
use crate::error::ConnectError;
use crate::options::NetOptions;
use crate::region_list::is_cloud_host;
use crate::stream::Stream;

/// The most requests at once, so that jobs that all make calls do not use up the file descriptors.
const MAX_REQUESTS: usize = 32;

/// The most connections that are kept for a later request, and how long: less than servers and load balancers
/// keep them.
const MAX_IDLE: usize = 4;
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// How many connections share the timeout of one where a server has several addresses: the project's own one,
/// that of the list of its regions, and two regions.
const SHARES: u32 = 4;

/// An HTTP client that connects as the worker does: proxies, certificates, timeout. Clones share their
/// connections.
#[derive(Clone)]
pub struct HttpClient {
    client: Client<Connector, Full<Bytes>>,
    slots: Arc<Semaphore>,
    options: NetOptions,
}

/// Why a request got no complete response.
#[derive(Debug)]
pub struct RequestError {
    /// Whether the server may have received the request.
    pub sent: bool,
    /// What failed.
    pub source: Box<dyn Error + Send + Sync>,
}

impl HttpClient {
    /// A client without connections.
    #[must_use]
    pub fn new(options: NetOptions) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE)
            .build(Connector(options.clone()));
        Self { client, slots: Arc::new(Semaphore::new(MAX_REQUESTS)), options }
    }

    /// How it connects.
    pub(crate) const fn options(&self) -> &NetOptions {
        &self.options
    }

    /// Sends a request and reads the whole response, of at most `max_body` bytes. Only the connection has a
    /// time limit.
    ///
    /// # Errors
    /// [`RequestError`] if there is no complete response.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        max_body: usize,
    ) -> Result<Response<Bytes>, RequestError> {
        // Never closed.
        let _slot = self.slots.acquire().await;
        let response = self.client.request(request).await;
        let response = response
            .map_err(|error| RequestError { sent: !error.is_connect(), source: own_error(error.into()) })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, max_body).collect().await;
        let body = body.map_err(|source| RequestError { sent: true, source })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

/// The error of our connector, which the client wraps in one that only says that connecting failed.
fn own_error(error: Box<dyn Error + Send + Sync>) -> Box<dyn Error + Send + Sync> {
    match error.source().and_then(|source| source.downcast_ref::<NotConnected>()) {
        Some(own) => Box::new(own.clone()),
        None => error,
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpClient").finish_non_exhaustive()
    }
}

impl ConnectError {
    /// Why there was no connection, among the causes of an error such as that of [`HttpClient::send`].
    #[must_use]
    pub fn among_causes<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        std::iter::successors(Some(error), |&error| error.source()).find_map(|cause| {
            let shared = cause.downcast_ref::<NotConnected>().map(|NotConnected(error)| &**error);
            shared.or_else(|| cause.downcast_ref())
        })
    }
}

/// Why there is no connection. The client keeps it behind a reference, so that it is shared.
#[derive(Clone, Debug)]
struct NotConnected(Arc<ConnectError>);

impl fmt::Display for NotConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for NotConnected {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl From<ConnectError> for NotConnected {
    fn from(error: ConnectError) -> Self {
        Self(Arc::new(error))
    }
}

/// Opens connections in the same way as the worker's.
#[derive(Clone)]
struct Connector(NetOptions);

impl Service<Uri> for Connector {
    type Response = Io;
    type Error = NotConnected;
    type Future = Pin<Box<dyn Future<Output = Result<Io, NotConnected>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NotConnected>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let mut options = self.0.clone();
        // An address that is silent must leave time for the others.
        if uri.host().is_some_and(is_cloud_host) {
            options.connect_timeout /= SHARES;
        }
        Box::pin(async move {
            let url = Url::parse(&uri.to_string()).map_err(|_| ConnectError::Address)?;
            Ok(Io(TokioIo::new(connect_http(&url, &options).await?)))
        })
    }
}

/// A connection in the form that the HTTP client takes.
struct Io(TokioIo<Stream>);

impl Connection for Io {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
