//! Failover between the regions of LiveKit Cloud: when a project's address fails, the regions that it names
//! are tried.

use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CACHE_CONTROL};
use tokio::time::Instant;
use url::Url;

use agent_proto::Secret;
use agent_proto::text::{line, name};

use crate::bearer::bearer;
use crate::connect::open_websocket;
use crate::error::ConnectError;
use crate::http_client::HttpClient;
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
    let refresh = error.status() == Some(WRONG_REGION);
    let http = HttpClient::new(options.clone());
    for region in other_regions(url, token, &http, refresh, end).await {
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
                tracing::debug!(%region, "could not connect to this region of the project: {}", line(&other));
                if !may_work_elsewhere(&other) {
                    break;
                }
            }
        }
    }
    Err(error)
}

/// The same address in up to three other regions of a project of LiveKit Cloud, the nearest first; none of
/// another server. `refresh` asks for a new list, also if there is one that may still be used. A new
/// list takes at most half of the time that is left.
pub(crate) async fn other_regions(
    url: &Url,
    token: &Secret,
    http: &HttpClient,
    refresh: bool,
    end: Instant,
) -> Vec<Url> {
    let Some(host) = url.host_str().filter(|host| is_cloud_host(host)) else { return Vec::new() };
    let now = Instant::now();
    let regions = match http.options().regions.fresh(host, now).filter(|_| !refresh) {
        Some(regions) => regions,
        None => {
            let until = now + end.saturating_duration_since(now) / 2;
            Project { url, host, token, http }.regions(until).await
        }
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
        | ConnectError::ProxyUnreachable { .. }
        | ConnectError::Proxy { .. }
        | ConnectError::Token { .. }
        | ConnectError::Address => false,
    }
}

/// A project whose regions are asked for.
struct Project<'a> {
    url: &'a Url,
    host: &'a str,
    token: &'a Secret,
    http: &'a HttpClient,
}

impl Project<'_> {
    /// Its regions; those of the last list if there is no newer one.
    async fn regions(&self, until: Instant) -> Vec<ServerUrl> {
        let (host, known) = (self.host, &self.http.options().regions);
        let fetched = tokio::time::timeout_at(until, self.fetch()).await;
        match fetched.unwrap_or_else(|late| Err(late.into())) {
            Ok((regions, age)) => {
                known.keep(host, regions.clone(), Instant::now() + age);
                regions
            }
            Err(error) => {
                tracing::debug!(host = %name(host), "could not list the regions of the project: {}", line(&error));
                known.last(host).unwrap_or_default()
            }
        }
    }

    async fn fetch(&self) -> Result<(Vec<ServerUrl>, Duration), BoxError> {
        let Self { url, host, token, http } = *self;
        let secure = matches!(url.scheme(), "wss" | "https");
        let scheme = if secure { "https" } else { "http" };
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let request = Request::get(format!("{scheme}://{host}{port}/settings/regions"))
            .header(AUTHORIZATION, bearer(token)?)
            .body(Full::default())?;
        let (head, body) = http.send(request, MAX_LIST).await.map_err(|error| error.source)?.into_parts();
        if !head.status.is_success() {
            return Err(format!("{host} answered with HTTP {}", head.status.as_u16()).into());
        }
        let age = head.headers.get(CACHE_CONTROL).and_then(|value| value.to_str().ok());
        Ok((read(&body, secure)?, max_age(age)))
    }
}
