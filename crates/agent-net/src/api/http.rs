//! The HTTP client of the API, whose clones share connections.

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
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::Semaphore;
use tower_service::Service;
use url::Url;

use super::retry::Failure;
use crate::connect::connect_http;
use crate::error::ConnectError;
use crate::options::NetOptions;
use crate::stream::Stream;

/// The largest request and the largest response, in bytes; the limit of a server for a request.
pub(super) const MAX_BODY_LEN: usize = 10 * 1024 * 1024;

/// The most requests at once, so that jobs that all make calls do not use up the file descriptors.
const MAX_REQUESTS: usize = 32;

/// The most connections that are kept for a later request, and how long: less than servers and load balancers
/// keep them.
const MAX_IDLE: usize = 4;
const IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// The server's way to drop a repeated request that it carried out already.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-livekit-request-id");

/// Why a request got no complete response.
pub(super) type HttpError = Box<dyn Error + Send + Sync>;

/// An HTTP client. Clones share their connections.
#[derive(Clone)]
pub(super) struct Http {
    client: Client<Connector, Full<Bytes>>,
    slots: Arc<Semaphore>,
    options: NetOptions,
}

/// A request of the API, which can be sent several times.
pub(super) struct ApiRequest<'a> {
    pub(super) url: String,
    pub(super) bearer: &'a str,
    /// The same for all attempts.
    pub(super) id: &'a str,
    pub(super) body: Bytes,
}

impl Http {
    pub(super) fn new(options: NetOptions) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE)
            .build(Connector(options.clone()));
        Self { client, slots: Arc::new(Semaphore::new(MAX_REQUESTS)), options }
    }

    /// How it connects.
    pub(super) const fn options(&self) -> &NetOptions {
        &self.options
    }

    /// Sends a `GET` and returns the status.
    pub(super) async fn get(&self, url: &str, within: Duration) -> Result<StatusCode, HttpError> {
        let request = Request::get(url).body(Full::default())?;
        Ok(tokio::time::timeout(within, self.client.request(request)).await??.status())
    }

    /// Posts a protobuf body and reads the whole response.
    pub(super) async fn post(
        &self,
        request: &ApiRequest<'_>,
    ) -> Result<(StatusCode, Bytes), (Failure, HttpError)> {
        // Never closed.
        let _slot = self.slots.acquire().await;
        let request = request.to_http().map_err(|error| (Failure::NotSent, error))?;
        let response = self.client.request(request).await.map_err(|error| {
            let failure = if error.is_connect() { Failure::NotSent } else { Failure::NoResponse };
            (failure, error.into())
        })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_BODY_LEN).collect().await;
        let body = body.map_err(|error| (Failure::NoResponse, error))?;
        Ok((head.status, body.to_bytes()))
    }
}

impl ApiRequest<'_> {
    fn to_http(&self) -> Result<Request<Full<Bytes>>, HttpError> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", self.bearer))?;
        authorization.set_sensitive(true);
        Ok(Request::builder()
            .method(Method::POST)
            .uri(&*self.url)
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/protobuf"))
            .header(REQUEST_ID, self.id)
            .body(Full::new(self.body.clone()))?)
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

/// Opens connections in the same way as the worker's.
#[derive(Clone)]
struct Connector(NetOptions);

impl Service<Uri> for Connector {
    type Response = Io;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Io, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let options = self.0.clone();
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
