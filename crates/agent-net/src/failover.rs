//! Failover between the regions of LiveKit Cloud: when a project's address fails, the regions that it names
//! are tried.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::client::conn::http1::handshake;
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;
use url::Url;

use agent_proto::Secret;
use agent_proto::text::{line, name};

use crate::connect::{connect_http, open_websocket};
use crate::error::ConnectError;
use crate::options::NetOptions;
use crate::region_list::{in_region, is_cloud_host, max_age, read};
use crate::server_url::ServerUrl;
use crate::websocket::WebSocket;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Maximum size of a list, in bytes.
const MAX_LIST: usize = 64 * 1024;
/// Maximum number of regions that are tried for one connection.
const MAX_TRIED: usize = 3;
/// The status of a region that the project does not use.
pub(crate) const WRONG_REGION: u16 = 451;

/// Connects to a `ws` or `wss` address, with a token in the header if there is one. If the address is a
/// project of LiveKit Cloud, and fails in a way that another region may not, up to three of its regions are
/// tried, all within the timeout of one connection.
///
/// # Errors
/// That of the given address.
pub async fn connect_websocket(
    url: &Url,
    bearer: Option<&Secret>,
    options: &NetOptions,
) -> Result<WebSocket, ConnectError> {
    let is_cloud = url.host_str().is_some_and(is_cloud_host);
    let Some(token) = bearer.filter(|_| is_cloud) else {
        return open_websocket(url, bearer, options).await;
    };
    let limit = options.connect_timeout;
    let end = Instant::now() + limit.min(Duration::from_secs(24 * 3600));
    let within = |limit| options.clone().connect_timeout(limit);
    let error = match open_websocket(url, bearer, &within(limit / 2)).await {
        Err(error) if may_work_elsewhere(&error) => error,
        result => return result,
    };
    // A list of before named the wrong region.
    let listed_again = error.status() == Some(WRONG_REGION);
    for region in other_regions(url, token, options, listed_again, end).await {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        let opened = open_websocket(&region, bearer, &within(left / 2)).await;
        let region = name(region.host_str().unwrap_or_default());
        match opened {
            Ok(opened) => {
                tracing::warn!(%region, "connected to another region of the project: {}", line(&error));
                return Ok(opened);
            }
            Err(other) => {
                tracing::debug!(%region, "no connection to this region of the project either: {}", line(&other));
                if !may_work_elsewhere(&other) {
                    break;
                }
            }
        }
    }
    Err(error)
}

/// The same address in up to three other regions of a project of LiveKit Cloud, the nearest first; none of
/// another server. `listed_again` asks for a new list, also if there is one that may still be used.
pub(crate) async fn other_regions(
    url: &Url,
    bearer: &Secret,
    options: &NetOptions,
    listed_again: bool,
    end: Instant,
) -> Vec<Url> {
    let Some(host) = url.host_str().filter(|host| is_cloud_host(host)) else { return Vec::new() };
    let regions = match options.regions.fresh(host, Instant::now()).filter(|_| !listed_again) {
        Some(regions) => regions,
        None => Project { url, host, bearer, options }.regions(end).await,
    };
    let elsewhere = regions.iter().filter_map(|region| in_region(url, region));
    elsewhere.filter(|region| region.host_str() != Some(host)).take(MAX_TRIED).collect()
}

/// Whether another region may accept what this one did not: it was not reached, or failed itself.
fn may_work_elsewhere(error: &ConnectError) -> bool {
    match error {
        ConnectError::Resolve { .. }
        | ConnectError::Unreachable { .. }
        | ConnectError::Tls { .. }
        | ConnectError::Timeout { .. }
        | ConnectError::Protocol { .. } => true,
        ConnectError::Refused { status, .. } => *status >= 500 || *status == WRONG_REGION,
        ConnectError::TooManyOpenFiles { .. }
        | ConnectError::CaFile { .. }
        | ConnectError::Proxy { .. }
        | ConnectError::Token { .. }
        | ConnectError::Address => false,
    }
}

/// A project whose regions are asked for.
struct Project<'a> {
    url: &'a Url,
    host: &'a str,
    bearer: &'a Secret,
    options: &'a NetOptions,
}

impl Project<'_> {
    /// Its regions; those of the last list if there is no newer one.
    async fn regions(&self, end: Instant) -> Vec<ServerUrl> {
        let Self { host, options, .. } = *self;
        let fetched =
            tokio::time::timeout_at(end, self.fetch()).await.unwrap_or_else(|late| Err(late.into()));
        match fetched {
            Ok((regions, age)) => {
                options.regions.keep(host, regions.clone(), Instant::now() + age);
                regions
            }
            Err(error) => {
                tracing::debug!(host = %name(host), "the regions of the project are not known: {}", line(&error));
                options.regions.last(host).unwrap_or_default()
            }
        }
    }

    async fn fetch(&self) -> Result<(Vec<ServerUrl>, Duration), BoxError> {
        let Self { url, host, bearer, options } = *self;
        let secure = matches!(url.scheme(), "wss" | "https");
        let mut address =
            Url::parse(&format!("{}://{host}/settings/regions", if secure { "https" } else { "http" }))?;
        if address.set_port(url.port()).is_err() {
            return Err(ConnectError::Address.into());
        }
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", bearer.expose()))?;
        authorization.set_sensitive(true);
        let request = Request::get(address.path())
            .header(HOST, address.authority())
            .header(AUTHORIZATION, authorization)
            .body(Empty::<Bytes>::new())?;
        let stream = connect_http(&address, options).await?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        let answered = async {
            let (head, body) = sender.send_request(request).await?.into_parts();
            if !head.status.is_success() {
                return Err(format!("{host} answered with HTTP {}", head.status.as_u16()).into());
            }
            let body = Limited::new(body, MAX_LIST).collect().await?.to_bytes();
            let age = head.headers.get(CACHE_CONTROL).and_then(|value| value.to_str().ok());
            Ok((read(&body, secure)?, max_age(age)))
        };
        // What ends the connection too early is an error of the response.
        let carried = async {
            let _ = connection.await;
            pending::<Infallible>().await
        };
        tokio::select! {
            answered = answered => answered,
            never = carried => match never {},
        }
    }
}
