//! The client itself, and how a call is made.

use std::time::Duration;

use agent_proto::{MAX_FRAME_LEN, Secret, decode, encode};

use super::error::{ApiError, ErrorBody};
use super::http::{Http, HttpError};
use crate::options::NetOptions;
use crate::server_url::ServerUrl;
use crate::token::AccessToken;

/// A call takes some milliseconds, or some 200 if it starts an agent; the limit is for a server that hangs.
const CALL_WITHIN: Duration = Duration::from_secs(10);

/// A client of one server's HTTP API. Clones share their connections.
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
#[derive(Clone, Debug)]
pub struct ServerApi {
    http: Http,
    base: String,
    api_key: String,
    api_secret: Secret,
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
        let base = url.http_url().as_str().trim_end_matches('/').to_owned();
        let http = Http::new(NetOptions::default());
        let api = Self { http, base, api_key: api_key.into(), api_secret: api_secret.into() };
        api.token().sign()?;
        Ok(api)
    }

    /// Sets how it connects: proxy, certificates, addresses. Call it before the first request.
    #[must_use]
    pub fn net(mut self, options: NetOptions) -> Self {
        self.http = Http::new(options);
        self
    }

    /// Whether the server answers requests.
    pub async fn answers(&self) -> bool {
        let status = self.http.get(&self.base, Duration::from_secs(1)).await;
        status.is_ok_and(|status| status.is_success())
    }

    pub(super) fn token(&self) -> AccessToken {
        AccessToken::new(&self.api_key, self.api_secret.clone()).ttl(Duration::from_secs(60))
    }

    /// Calls `method`, such as `RoomService/CreateRoom`.
    pub(super) async fn call<Request, Response>(
        &self,
        method: &'static str,
        token: AccessToken,
        request: &Request,
    ) -> Result<Response, ApiError>
    where
        Request: prost::Message,
        Response: prost::Message + Default,
    {
        let unreachable = |source: HttpError| ApiError::Unreachable { method, source };
        let token = token.sign()?;
        let url = format!("{}/twirp/livekit.{method}", self.base);
        let posted = self.http.post(&url, token.expose(), encode(request), CALL_WITHIN).await;
        let (status, body) = posted.map_err(unreachable)?;
        if status.is_success() {
            return decode(&body, MAX_FRAME_LEN).map_err(|source| ApiError::Malformed { method, source });
        }
        let ErrorBody { code, msg } = serde_json::from_slice(&body).unwrap_or_else(|_| ErrorBody {
            code: String::new(),
            msg: String::from_utf8_lossy(&body).into_owned(),
        });
        // livekit-server repeats a token that it rejects.
        let message = msg.replace(token.expose(), "[the token]").chars().take(300).collect();
        Err(ApiError::Refused { method, status: status.as_u16(), code, message })
    }
}
