//! The client itself, and how a call is made.

use std::fmt;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use url::Url;

use agent_proto::{Secret, decode, encode};

use super::call::{Call, Grant, SERVICES};
use super::error::{ApiError, ErrorBody};
use super::request::{ApiRequest, HttpError, MAX_BODY_LEN};
use super::retry::{Failure, attempt_end, retry_delay};
use crate::failover::{WRONG_REGION, other_regions};
use crate::http_client::HttpClient;
use crate::options::NetOptions;
use crate::refusal::retry_after;
use crate::region_list::is_cloud_host;
use crate::server_url::ServerUrl;
use crate::token::{AccessToken, TokenError};

/// A call takes some milliseconds, or some 200 if it starts an agent; the limit is for a server that hangs.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The timeout of a look whether a server answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Longer than any call, with its retries.
const TOKEN_TTL: Duration = Duration::from_secs(120);

/// A client of one server's HTTP API. Clones share their connections, at most 32.
///
/// Each call has a token of its own, which permits this call alone and for two minutes. A call takes at most
/// 10 s, and a request or a response at most 10 MiB. It is repeated, at most twice, when the server was not
/// reached, and when the connection is lost before the response, something in front of the server could not
/// reach it, or there were too many requests (429), if a repeat has no other effect; the dispatch of an agent
/// and what removes something is not. It waits as long as `Retry-After` demands, within these 10 s. With a
/// project of LiveKit Cloud the repeat goes to another of its regions.
///
/// Connects as [`NetOptions`] specify; by default without a proxy, and with TLS checked against the
/// platform's certificates.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use agent_testkit::{DispatchRequest, ServerApi};
///
/// let api = ServerApi::new(&"ws://localhost:7880".parse()?, "devkey", "secret")?;
/// let request = DispatchRequest::new("greeter", "lobby").metadata(r#"{"name":"Ada"}"#);
/// println!("dispatch {}", api.create_dispatch(request).await?.id);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct ServerApi {
    http: HttpClient,
    base: Arc<str>,
    credentials: Arc<Credentials>,
}

/// What calls are signed with. There is no way to read it.
enum Credentials {
    Key { key: String, secret: Secret },
    Token(Secret),
}

impl ServerApi {
    /// Creates a client of this server with these credentials. It connects with the first call.
    ///
    /// # Errors
    /// [`ApiError::Token`] if these credentials cannot make a token.
    pub fn new(
        url: &ServerUrl,
        api_key: impl Into<String>,
        api_secret: impl Into<Secret>,
    ) -> Result<Self, ApiError> {
        let credentials = Credentials::Key { key: api_key.into(), secret: api_secret.into() };
        credentials.token(Grant::ListRooms)?;
        Ok(Self::with(url, credentials))
    }

    /// Creates a client that makes all its calls with this token, where the API secret must not be. A call
    /// for which the token has no grant fails with [`ApiError::MissingGrant`], which names it.
    #[must_use]
    pub fn with_token(url: &ServerUrl, token: impl Into<Secret>) -> Self {
        Self::with(url, Credentials::Token(token.into()))
    }

    #[cfg(test)]
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    fn with(url: &ServerUrl, credentials: Credentials) -> Self {
        let base = url.http_url().as_str().trim_end_matches('/').into();
        Self { http: http(NetOptions::default()), base, credentials: Arc::new(credentials) }
    }

    /// Sets how it connects: proxy, certificates, addresses. Call it before the first request.
    #[must_use]
    pub fn net(mut self, options: NetOptions) -> Self {
        self.http = http(options);
        self
    }

    /// Whether the server answers requests.
    pub async fn answers(&self) -> bool {
        let Ok(request) = Request::get(&*self.base).body(Full::default()) else { return false };
        let answered = timeout(ANSWER_TIMEOUT, self.http.send(request, MAX_BODY_LEN)).await;
        answered.is_ok_and(|answered| answered.is_ok_and(|response| response.status().is_success()))
    }

    /// Makes a call, for this room.
    pub(super) async fn call<Request, Response>(
        &self,
        call: Call,
        room: &str,
        request: &Request,
    ) -> Result<Response, ApiError>
    where
        Request: prost::Message,
        Response: prost::Message + Default,
    {
        self.call_within(CALL_TIMEOUT, call, room, request).await
    }

    /// As [`call`](Self::call), with another time limit.
    pub(super) async fn call_within<Request, Response>(
        &self,
        timeout: Duration,
        call: Call,
        room: &str,
        request: &Request,
    ) -> Result<Response, ApiError>
    where
        Request: prost::Message,
        Response: prost::Message + Default,
    {
        let (method, grant) = (call.path(), call.grant(room));
        let body = encode(request);
        if body.len() > MAX_BODY_LEN {
            return Err(ApiError::TooLarge { method, len: body.len(), limit: MAX_BODY_LEN });
        }
        let token = self.credentials.token(grant)?;
        let (own_url, id) = (format!("{}{SERVICES}{method}", self.base), random_id()?);
        let mut request = ApiRequest { url: own_url.clone(), token: &token, id: &id, body };
        let end = Instant::now() + timeout;
        let is_shared = call.is_repeatable() && self.has_regions();
        let (mut attempts, mut regions) = (1, None);
        let response = loop {
            let until = attempt_end(Instant::now(), end, attempts, is_shared);
            let posted = timeout_at(until, self.post(&request)).await;
            let posted = posted.unwrap_or_else(|late| Err((Failure::NoResponse, late.into())));
            let failure = match &posted {
                Ok(response) => failure_of(response),
                Err((failure, _)) => Some(*failure),
            };
            let Some(failure) = failure else { break posted };
            // A call whose time is over is not repeated.
            let has_time = |delay| delay < end.saturating_duration_since(Instant::now());
            let delay = retry_delay(failure, call.is_repeatable(), attempts);
            let Some(delay) = delay.filter(|delay| has_time(*delay)) else { break posted };
            if regions.is_none() && failure.may_work_elsewhere() {
                let listed = self.regions(&own_url, &token, failure, end).await;
                regions = Some(listed.into_iter());
            }
            let region = regions.as_mut().filter(|_| failure.may_work_elsewhere()).and_then(Iterator::next);
            if let Some(region) = region {
                request.url = region.into();
            } else {
                let response = posted.as_ref().ok();
                let demanded = response.and_then(|it| retry_after(it.headers(), SystemTime::now()));
                let delay = delay.max(demanded.unwrap_or_default());
                if !has_time(delay) {
                    break posted;
                }
                sleep(delay).await;
            }
            attempts += 1;
        };
        let response = response.map_err(|(_, source)| ApiError::Unreachable { method, source })?;
        let (status, body) = (response.status(), response.body());
        if status.is_success() {
            return decode(body, MAX_BODY_LEN).map_err(|source| ApiError::Malformed { method, source });
        }
        if is_redirect(status) {
            return Err(ApiError::of_redirect(method, &request.url, &response, &token));
        }
        Err(ApiError::of_response(method, grant, status.as_u16(), body, token.expose()))
    }

    /// Sends a request of a call.
    async fn post(&self, request: &ApiRequest<'_>) -> Result<Response<Bytes>, (Failure, HttpError)> {
        let request = request.to_http().map_err(|error| (Failure::NotSent, error))?;
        self.http.send(request, MAX_BODY_LEN).await.map_err(|error| {
            let failure = if error.sent { Failure::NoResponse } else { Failure::NotSent };
            (failure, error.source)
        })
    }

    /// Whether the server is a project of LiveKit Cloud, so that another of its regions may answer.
    fn has_regions(&self) -> bool {
        Url::parse(&self.base).is_ok_and(|url| url.host_str().is_some_and(is_cloud_host))
    }

    /// The same address in other regions, if the server is a project of LiveKit Cloud.
    async fn regions(&self, url: &str, token: &Secret, failure: Failure, end: Instant) -> Vec<Url> {
        let Ok(url) = Url::parse(url) else { return Vec::new() };
        let refresh = failure == Failure::WrongRegion;
        other_regions(&url, token, &self.http, refresh, end).await
    }
}

impl Credentials {
    /// The token of a call that needs this grant.
    fn token(&self, grant: Grant<'_>) -> Result<Secret, TokenError> {
        match self {
            Self::Key { key, secret } => {
                grant.add_to(AccessToken::new(key, secret.clone()).ttl(TOKEN_TTL)).sign()
            }
            Self::Token(token) => Ok(token.clone()),
        }
    }
}

/// The connections of calls. None takes longer to open than a call.
fn http(options: NetOptions) -> HttpClient {
    let limit = options.connect_timeout.min(CALL_TIMEOUT);
    HttpClient::new(options.connect_timeout(limit))
}

/// The client of a worker's server, with its credentials, which were checked before.
pub fn worker_api(url: &ServerUrl, api_key: &str, api_secret: &Secret, options: NetOptions) -> ServerApi {
    let credentials = Credentials::Key { key: api_key.to_owned(), secret: api_secret.clone() };
    ServerApi::with(url, credentials).net(options)
}

/// Without the credentials.
impl fmt::Debug for ServerApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerApi").field("url", &self.base).finish_non_exhaustive()
    }
}

/// The failure that a response reports, if the call may be sent again for it.
fn failure_of(response: &Response<Bytes>) -> Option<Failure> {
    match response.status().as_u16() {
        WRONG_REGION => Some(Failure::WrongRegion),
        429 => Some(Failure::TooManyRequests),
        // Of something in front of the server, which could not reach it.
        502..=504 if ErrorBody::read(response.body()).is_none() => Some(Failure::Gateway),
        _ => None,
    }
}

/// Whether the server responds that it is elsewhere.
fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// 16 random bytes, by which a server knows a repeated request.
pub(super) fn random_nonce() -> Result<[u8; 16], TokenError> {
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|_| TokenError::Signing)?;
    Ok(nonce)
}

fn random_id() -> Result<String, TokenError> {
    let mut id = String::new();
    for byte in random_nonce()? {
        // Writing to a String does not fail.
        let _ = write!(id, "{byte:02x}");
    }
    Ok(id)
}
