//! HTTP responses.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

pub(super) type Answer = Response<Full<Bytes>>;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

pub(super) fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    with_header(status, CONTENT_TYPE, TEXT, text)
}

pub(super) fn with_header(
    status: StatusCode,
    name: HeaderName,
    value: HeaderValue,
    body: impl Into<Bytes>,
) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(name, value);
    answer
}
