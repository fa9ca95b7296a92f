//! The HTTP client of the exporter: it connects as the worker does, on the worker's runtime.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Full, LengthLimitError};
use hyper::{Request, Response, StatusCode};
use opentelemetry_http::{HttpClient, HttpError, ResponseBodyTooLarge};
use tokio::runtime::Handle;

use agent_net::ConnectError;
use agent_proto::error_text::chain;
use agent_proto::text::line;

use crate::otel::settings::Settings;

/// The largest answer that is read, in bytes: it has the number of spans that were refused, and why.
const MAX_ANSWER: usize = 64 * 1024;

/// Sends what the exporter, which has a thread of its own, gives it.
pub(super) struct Client {
    http: agent_net::HttpClient,
    runtime: Handle,
    /// Time limit of one request.
    limit: Duration,
    state: Arc<State>,
}

/// What the log has of the exports.
struct State {
    /// Host and port.
    collector: String,
    /// Whether the last one failed: only changes are logged.
    failing: AtomicBool,
}

/// Why spans did not arrive.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
struct TimedOut(Duration);

impl Client {
    pub(super) fn new(settings: &Settings, runtime: Handle) -> Self {
        let http = agent_net::HttpClient::new(settings.net.clone());
        let state = State { collector: settings.collector(), failing: AtomicBool::new(false) };
        Self { http, runtime, limit: settings.timeout, state: Arc::new(state) }
    }
}

/// Requests have the headers of the environment, which are secrets.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("collector", &self.state.collector).finish_non_exhaustive()
    }
}

impl HttpClient for Client {
    fn send_bytes<'life0, 'async_trait>(
        &'life0 self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        let (http, limit, state) = (self.http.clone(), self.limit, Arc::clone(&self.state));
        let sending = self.runtime.spawn(async move {
            let sent = send(&http, request, limit).await;
            state.log(&sent);
            sent
        });
        Box::pin(async move { sending.await? })
    }
}

async fn send(
    http: &agent_net::HttpClient,
    request: Request<Bytes>,
    limit: Duration,
) -> Result<Response<Bytes>, HttpError> {
    match tokio::time::timeout(limit, http.send(request.map(Full::new), MAX_ANSWER)).await {
        Ok(Ok(response)) => Ok(response),
        // The collector has the spans: they are not sent again.
        Ok(Err(error)) if error.source.is::<LengthLimitError>() => Err(ResponseBodyTooLarge::new().into()),
        Ok(Err(error)) => Err(error.source),
        Err(_) => Err(TimedOut(limit).into()),
    }
}

impl State {
    /// Logs the first of several failures, and the success that follows.
    fn log(&self, sent: &Result<Response<Bytes>, HttpError>) {
        let collector = &*self.collector;
        let failed = sent.as_ref().map_or(true, |response| !response.status().is_success());
        if self.failing.swap(failed, Ordering::Relaxed) == failed {
            return;
        }
        match sent {
            Ok(response) if failed => {
                let (status, what) = (response.status(), what_to_do(response.status()));
                tracing::warn!(collector, "traces are lost: the collector answers {}: {what}", line(status));
            }
            Ok(_) => tracing::info!(collector, "traces are exported again"),
            Err(error) => {
                let (reason, what) = unreachable(&**error);
                tracing::warn!(
                    collector,
                    "traces are lost, as the collector cannot be reached: {}: {what}",
                    line(reason)
                );
            }
        }
    }
}

/// Why the collector cannot be reached, and what to do: the texts of agent-net's errors are about the
/// worker's server.
fn unreachable(error: &(dyn Error + 'static)) -> (String, &'static str) {
    const CHECK: &str = "check OTEL_EXPORTER_OTLP_ENDPOINT and the collector";
    match ConnectError::among_causes(error) {
        Some(ConnectError::Resolve { endpoint, source }) => {
            (format!("the name of {endpoint} was not found: {source}"), CHECK)
        }
        Some(ConnectError::Unreachable { endpoint, source }) => {
            (format!("nothing answers at {endpoint}: {source}"), CHECK)
        }
        Some(ConnectError::Timeout { endpoint, limit, .. }) => {
            (format!("{endpoint} did not answer within {limit:?}"), CHECK)
        }
        Some(ConnectError::Tls { endpoint, source, .. }) => (
            format!("no TLS connection to {endpoint}: {}", chain(&**source)),
            "check OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_CERTIFICATE and the collector",
        ),
        _ => (chain(error), CHECK),
    }
}

const fn what_to_do(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "check OTEL_EXPORTER_OTLP_HEADERS",
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            "check OTEL_EXPORTER_OTLP_ENDPOINT: OTLP over HTTP has port 4318 in most collectors"
        }
        _ => "check the collector",
    }
}
