//! Tests of calls and methods, without a room.

mod calls;
mod garbage;
mod methods;
mod pair;

use std::collections::BTreeMap;
use std::sync::Arc;

use agent_proto::Time;
use agent_proto::livekit as proto;

use super::{Rpc, RpcCall, RpcError, RpcLimits, RpcOutput, RpcRequestId, RpcSend};
use crate::{IncomingStream, StreamError, StreamEvent, StreamInfo, StreamKind};
use proto::data_packet::Value;

fn at(millis: u64) -> Time {
    Time::ZERO + std::time::Duration::from_millis(millis)
}

fn rpc() -> Rpc {
    Rpc::new(RpcLimits { calls: 3, requests: 2, payload: 1000, receiving: 1500 })
}

/// The outputs in one line each.
fn outputs(rpc: &mut Rpc) -> Vec<String> {
    std::iter::from_fn(|| rpc.poll_output()).map(shown).collect()
}

fn shown(output: RpcOutput) -> String {
    match output {
        RpcOutput::Packet { to, value, .. } => format!("to {to}: {}", packet(*value)),
        RpcOutput::Stream { options, content, .. } => {
            format!(
                "to {}: stream {} on {} {:?}: {content}",
                options.destinations.concat(),
                options.id,
                options.topic,
                options.attributes
            )
        }
        RpcOutput::Done { id, result: Ok(payload) } => format!("call {id} done: {payload}"),
        RpcOutput::Done { id, result: Err(error) } => format!("call {id} failed: {error} {:?}", error.data),
        RpcOutput::Requested(request) => format!(
            "requested {} by {}: {}({}) within {:?}",
            request.request.0, request.caller, request.method, request.payload, request.response_timeout
        ),
        RpcOutput::UnknownMethod { caller, method } => format!("unknown method {method} of {caller}"),
    }
}

fn packet(value: Value) -> String {
    match value {
        Value::RpcRequest(request) => format!(
            "request {} {}({}) within {} ms, version {}",
            request.id, request.method, request.payload, request.response_timeout_ms, request.version
        ),
        Value::RpcAck(ack) => format!("ack {}", ack.request_id),
        Value::RpcResponse(response) => match response.value {
            Some(proto::rpc_response::Value::Payload(payload)) => {
                format!("response {}: {payload}", response.request_id)
            }
            Some(proto::rpc_response::Value::Error(error)) => {
                format!("error {}: {} {} {:?}", response.request_id, error.code, error.message, error.data)
            }
            None => "response without a value".to_owned(),
        },
        other => format!("{other:?}"),
    }
}

fn ack(id: &str) -> Value {
    super::message::ack(id)
}

fn response(id: &str, result: Result<&str, (u32, &str)>) -> Value {
    let result = result.map(str::to_owned).map_err(|(code, message)| RpcError::new(code, message, ""));
    super::message::response(id, result)
}

fn request(id: &str, method: &str, payload: &str, version: u32) -> Value {
    Value::RpcRequest(proto::RpcRequest {
        id: id.to_owned(),
        method: method.to_owned(),
        payload: payload.to_owned(),
        response_timeout_ms: 8000,
        version,
    })
}

fn opened(number: u64, topic: &str, sender: &str, attributes: &[(&str, &str)]) -> StreamEvent {
    let mut info = StreamInfo::new(format!("stream {number}"), topic, StreamKind::text());
    info.sender = sender.to_owned();
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    info.attributes = attributes.iter().map(owned).collect();
    StreamEvent::Opened { stream: IncomingStream(number), info: Arc::new(info) }
}

fn content(number: u64, content: &str) -> StreamEvent {
    StreamEvent::Content { stream: IncomingStream(number), content: content.to_owned().into() }
}

fn ended(number: u64, result: Result<(), StreamError>) -> StreamEvent {
    StreamEvent::Ended { stream: IncomingStream(number), result: result.map(|()| BTreeMap::new()) }
}
