//! One request of a call, which can be sent several times.

use std::error::Error;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};

use agent_proto::Secret;

use crate::bearer::bearer;

/// The largest request and the largest response, in bytes; the limit of a server for a request.
pub(super) const MAX_BODY_LEN: usize = 10 * 1024 * 1024;

/// The server's way to drop a repeated request that it carried out already.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-livekit-request-id");

/// Why a request got no complete response.
pub(super) type HttpError = Box<dyn Error + Send + Sync>;

/// A `POST` with a protobuf body.
pub(super) struct ApiRequest<'a> {
    pub(super) url: String,
    pub(super) token: &'a Secret,
    /// The same for all attempts.
    pub(super) id: &'a str,
    pub(super) body: Bytes,
}

impl ApiRequest<'_> {
    pub(super) fn to_http(&self) -> Result<Request<Full<Bytes>>, HttpError> {
        Ok(Request::post(&*self.url)
            .header(AUTHORIZATION, bearer(self.token)?)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/protobuf"))
            .header(REQUEST_ID, self.id)
            .body(Full::new(self.body.clone()))?)
    }
}
