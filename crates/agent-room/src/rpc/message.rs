//! Calls and requests, and how they are written.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_proto::livekit as proto;

use super::RpcError;
use crate::{StreamKind, StreamOptions};
use proto::data_packet::Value;

/// The topic of requests as text streams.
pub(super) const REQUEST_TOPIC: &str = "lk.rpc_request";
/// The topic of responses as text streams.
pub(super) const RESPONSE_TOPIC: &str = "lk.rpc_response";
/// Maximum length of a request's id, in bytes: the answer repeats it. A UUID has 36.
pub(super) const MAX_ID_LEN: usize = 256;
/// The version of requests in packets.
pub(super) const PACKET_VERSION: u32 = 1;
/// The version of requests as text streams.
pub(super) const STREAM_VERSION: u32 = 2;

const ID: &str = "lk.rpc_request_id";
const METHOD: &str = "lk.rpc_request_method";
const RESPONSE_TIMEOUT: &str = "lk.rpc_request_response_timeout_ms";
const VERSION: &str = "lk.rpc_request_version";

/// Timeout of the acknowledgement.
const ACK_TIMEOUT: Duration = Duration::from_secs(7);
/// Timeout of the response, if the caller does not choose one.
const RESPONSE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(15);
/// The least time that a participant gets for its response.
const LEAST_TIMEOUT: Duration = Duration::from_secs(1);

/// A call of a method of another participant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct RpcCall {
    /// The id of the request, which no other one has: a UUID.
    pub id: String,
    /// Identity of the participant.
    pub destination: String,
    /// The method.
    pub method: String,
    /// The argument.
    pub payload: String,
    /// Timeout from the acknowledgement to the response. Default 15 s.
    pub response_timeout: Duration,
    /// Timeout of the acknowledgement. Default 7 s.
    pub ack_timeout: Duration,
}

impl RpcCall {
    /// A call with the default timeouts.
    #[must_use]
    pub fn new(
        id: impl Into<String>,
        destination: impl Into<String>,
        method: impl Into<String>,
        payload: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            destination: destination.into(),
            method: method.into(),
            payload: payload.into(),
            response_timeout: RESPONSE_TIMEOUT_DEFAULT,
            ack_timeout: ACK_TIMEOUT,
        }
    }

    /// The call as the other participant gets it. For backends that carry calls without packets, as mock
    /// rooms do.
    #[must_use]
    pub fn to_request(&self, request: RpcRequestId, caller: impl Into<String>) -> RpcRequest {
        let timeout_ms = u64::try_from(self.remaining_timeout_ms()).unwrap_or(u64::MAX);
        RpcRequest {
            request,
            caller: caller.into(),
            id: self.id.clone(),
            method: self.method.clone(),
            payload: self.payload.clone(),
            response_timeout: Duration::from_millis(timeout_ms),
        }
    }

    /// The time that is sent to the participant: the response is also under way for a while.
    fn remaining_timeout_ms(&self) -> u128 {
        self.response_timeout.saturating_sub(self.ack_timeout).max(LEAST_TIMEOUT).as_millis()
    }

    pub(super) fn packet(self) -> Value {
        Value::RpcRequest(proto::RpcRequest {
            response_timeout_ms: u32::try_from(self.remaining_timeout_ms()).unwrap_or(u32::MAX),
            id: self.id,
            method: self.method,
            payload: self.payload,
            version: PACKET_VERSION,
        })
    }

    /// The stream, without its content.
    pub(super) fn stream(&self) -> StreamOptions {
        let mut options = StreamOptions::new(&self.id, REQUEST_TOPIC, StreamKind::text());
        options.destinations.push(self.destination.clone());
        options.attributes = BTreeMap::from([
            (ID.to_owned(), self.id.clone()),
            (METHOD.to_owned(), self.method.clone()),
            (RESPONSE_TIMEOUT.to_owned(), self.remaining_timeout_ms().to_string()),
            (VERSION.to_owned(), STREAM_VERSION.to_string()),
        ]);
        options
    }
}

/// Identifies a request of another participant that waits for our response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RpcRequestId(pub u64);

/// A request of another participant to one of our methods.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RpcRequest {
    /// For the response.
    pub request: RpcRequestId,
    /// Identity of the caller.
    pub caller: String,
    /// The caller's id of the request.
    pub id: String,
    /// The method.
    pub method: String,
    /// The argument.
    pub payload: String,
    /// How long the caller waits for the response.
    pub response_timeout: Duration,
}

impl RpcRequest {
    /// A request, for tests of methods and rooms of one's own; its caller waits 15 s.
    #[must_use]
    pub fn new(
        request: RpcRequestId,
        caller: impl Into<String>,
        method: impl Into<String>,
        payload: impl Into<String>,
    ) -> Self {
        Self {
            request,
            caller: caller.into(),
            id: request.0.to_string(),
            method: method.into(),
            payload: payload.into(),
            response_timeout: RESPONSE_TIMEOUT_DEFAULT,
        }
    }
}

/// The content of a request's attributes.
pub(super) struct StreamRequest {
    pub(super) id: String,
    pub(super) method: String,
    pub(super) response_timeout: Duration,
    pub(super) version: u32,
}

impl StreamRequest {
    pub(super) fn of(attributes: &BTreeMap<String, String>) -> Self {
        let text = |key: &str| attributes.get(key).cloned().unwrap_or_default();
        let timeout = text(RESPONSE_TIMEOUT).parse().map(Duration::from_millis);
        Self {
            id: text(ID),
            method: text(METHOD),
            response_timeout: timeout.unwrap_or(RESPONSE_TIMEOUT_DEFAULT),
            version: text(VERSION).parse().unwrap_or_default(),
        }
    }
}

/// The id of the request to which a stream responds.
pub(super) fn response_id(attributes: &BTreeMap<String, String>) -> &str {
    attributes.get(ID).map_or("", String::as_str)
}

/// A response as a text stream, without its content.
pub(super) fn response_stream(caller: &str, id: &str) -> StreamOptions {
    // The caller has a stream with the id of the request itself.
    let mut options = StreamOptions::new(format!("{id}/response"), RESPONSE_TOPIC, StreamKind::text());
    options.destinations.push(caller.to_owned());
    options.attributes.insert(ID.to_owned(), id.to_owned());
    options
}

pub(super) fn ack(id: &str) -> Value {
    Value::RpcAck(proto::RpcAck { request_id: id.to_owned() })
}

pub(super) fn response(id: &str, result: Result<String, RpcError>) -> Value {
    use proto::rpc_response::Value as Response;
    let value = match result {
        Ok(payload) => Response::Payload(payload),
        Err(error) => Response::Error(error.into_wire()),
    };
    Value::RpcResponse(proto::RpcResponse { request_id: id.to_owned(), value: Some(value) })
}
