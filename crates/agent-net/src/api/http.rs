//! The HTTP client of the API, whose clones share connections.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tower_service::Service;
use url::Url;

use agent_proto::MAX_FRAME_LEN;

use crate::connect::connect_http;
use crate::error::ConnectError;
use crate::options::NetOptions;
use crate::stream::Stream;

/// Why a request got no complete response.
pub(super) type HttpError = Box<dyn Error + Send + Sync>;

/// An HTTP client. Clones share their connections.
#[derive(Clone)]
pub(super) struct Http {
    client: Client<Connector, Full<Bytes>>,
}

impl Http {
    pub(super) fn new(options: NetOptions) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build(Connector(options)) }
    }

    /// Sends a `GET` and returns the status.
    pub(super) async fn get(&self, url: &str, within: Duration) -> Result<StatusCode, HttpError> {
        let request = Request::get(url).body(Full::default())?;
        Ok(tokio::time::timeout(within, self.client.request(request)).await??.status())
    }

    /// Posts a protobuf body and reads the whole response.
    pub(super) async fn post(
        &self,
        url: &str,
        bearer: &str,
        body: Bytes,
        within: Duration,
    ) -> Result<(StatusCode, Bytes), HttpError> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {bearer}"))?;
        authorization.set_sensitive(true);
        let request = Request::builder()
            .method(Method::POST)
            .uri(url)
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/protobuf"))
            .body(Full::new(body))?;
        let answer = async {
            let (head, body) = self.client.request(request).await?.into_parts();
            let body = Limited::new(body, MAX_FRAME_LEN).collect().await?;
            Ok((head.status, body.to_bytes()))
        };
        tokio::time::timeout(within, answer).await?
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
