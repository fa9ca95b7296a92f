//! Routes of HTTP requests.

use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};

use agent_net::accept_key;

use super::auth::Grants;
use super::response::{Answer, text};
use super::twirp;
use super::upgrade::UpgradeSlot;
use super::{Backend, JoinRefusal};

/// A client that joins over the network uses WebRTC, and needs a mock server's rooms or a real server
/// instead.
const NO_ROOMS: &str = "This mock server has no WebRTC rooms. Join rooms inside of the test process instead, through the \
    connector of MockServer, or use a real livekit-server.\n";

/// Answers one request. A granted upgrade is left in the slot.
pub(super) async fn answer(
    request: Request<Incoming>,
    backend: &dyn Backend,
    upgrade: &UpgradeSlot,
) -> Answer {
    let path = request.uri().path();
    // A base URL with a trailing slash makes two slashes, which the real server accepts.
    let path = path.strip_prefix('/').filter(|rest| rest.starts_with('/')).unwrap_or(path).to_owned();
    // Before the token check, because this answer is more important.
    if path == "/rtc" || path.starts_with("/rtc/") {
        return backend.refuse_join().map_or_else(|| text(StatusCode::NOT_FOUND, NO_ROOMS), refused_join);
    }
    let (parts, body) = request.into_parts();
    let grants = match Grants::of(&parts, backend.api_key(), backend.api_secret()) {
        Ok(grants) => grants,
        Err(error) => return text(StatusCode::UNAUTHORIZED, error.to_string()),
    };
    match path.as_str() {
        "/" => text(StatusCode::OK, "OK"),
        "/agent" => match worker(&parts, &grants) {
            Ok(switch) => {
                upgrade.put(hyper::upgrade::on(Request::from_parts(parts, ())));
                switch
            }
            Err(refusal) => refusal,
        },
        _ => match path.strip_prefix("/twirp/") {
            Some(method) => twirp::answer(method, &path, &parts, body, &grants, backend).await,
            None => text(StatusCode::NOT_FOUND, "404 page not found\n"),
        },
    }
}

fn refused_join(refusal: JoinRefusal) -> Answer {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut answer = text(status, JoinRefusal::TEXT);
    if let Some(seconds) = refusal.retry_after_secs() {
        answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    answer
}

/// The switch to a WebSocket, or the refusal. The order of the checks is the real server's.
#[allow(clippy::result_large_err, reason = "made once for each connection")]
fn worker(request: &Parts, grants: &Grants) -> Result<Answer, Answer> {
    let headers = &request.headers;
    if !lists(headers, CONNECTION, "upgrade") || !lists(headers, UPGRADE, "websocket") {
        return Err(text(StatusCode::NOT_FOUND, "/agent accepts WebSocket connections only\n"));
    }
    if !grants.agent {
        let reason = "permissions denied: a worker's token needs the video grant \"agent\"";
        return Err(text(StatusCode::UNAUTHORIZED, reason));
    }
    let version_13 = headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    match headers.get(SEC_WEBSOCKET_KEY) {
        Some(key) if version_13 && request.method == Method::GET => {
            let accept = key.to_str().ok().and_then(|key| HeaderValue::from_str(&accept_key(key)).ok());
            let accept =
                accept.ok_or_else(|| text(StatusCode::BAD_REQUEST, "not a WebSocket handshake\n"))?;
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            answer.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
            answer.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
            Ok(answer)
        }
        _ => Err(text(StatusCode::BAD_REQUEST, "not a WebSocket handshake of version 13\n")),
    }
}

/// Whether a comma-separated header contains this token, in any case.
fn lists(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
}
