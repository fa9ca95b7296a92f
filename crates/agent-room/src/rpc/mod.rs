//! Remote procedure calls between participants: our calls, and the requests to our methods.
//!
//! A request is a packet or a text stream, by what the participant reads; the acknowledgement is a packet,
//! the response comes in the form of the request, and an error is always a packet. Nothing here knows a
//! channel or a clock.
//!
//! - `calls`: our calls, with their timeouts. `methods`: the requests of others.
//! - `message`: how they are written. `output`: what is to be done for them.

mod calls;
mod error;
mod message;
mod methods;
mod output;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use agent_proto::{Time, livekit as proto};

pub use error::{MAX_RPC_MESSAGE_LEN, MAX_RPC_PACKET_PAYLOAD, MethodError, RpcError, RpcErrorCode};
pub use message::{RpcCall, RpcRequest, RpcRequestId};
pub(crate) use output::{RpcOutput, RpcSend};

use crate::streams::Collected;
use crate::{CommandId, IncomingStream, RoomError, StreamError, StreamEvent, StreamInfo};
use calls::Calls;
use message::{REQUEST_TOPIC, RESPONSE_TOPIC, StreamRequest, response_id};
use methods::{Head, Methods, RpcForm};
use proto::data_packet::Value;
use proto::rpc_response::Value as Response;

/// Limits of calls and requests.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct RpcLimits {
    /// Maximum number of our calls without a result. Default 1,024.
    pub calls: usize,
    /// Maximum number of requests of others that are served at a time. Default 1,024.
    pub requests: usize,
    /// Maximum payload of a request or a response of others as a text stream, in bytes. Default 16 MiB.
    pub payload: usize,
    /// Maximum payloads of those that are being received, in bytes. Default 64 MiB.
    pub receiving: usize,
}

impl Default for RpcLimits {
    fn default() -> Self {
        Self { calls: 1024, requests: 1024, payload: 16 * 1024 * 1024, receiving: 64 * 1024 * 1024 }
    }
}

pub(crate) struct Rpc {
    limits: RpcLimits,
    calls: Calls,
    methods: Methods,
    /// Payloads that are being received.
    payloads: BTreeMap<IncomingStream, Payload>,
    /// Their size, in bytes.
    receiving: usize,
    outputs: VecDeque<RpcOutput>,
    violations: u64,
}

struct Payload {
    role: Role,
    content: Collected,
}

enum Role {
    Request(RpcRequestId),
    /// To our request with this id.
    Response(String),
}

impl Rpc {
    pub(crate) fn new(limits: RpcLimits) -> Self {
        Self {
            calls: Calls::new(limits.calls),
            methods: Methods::new(limits.requests),
            limits,
            payloads: BTreeMap::new(),
            receiving: 0,
            outputs: VecDeque::new(),
            violations: 0,
        }
    }

    pub(crate) fn poll_output(&mut self) -> Option<RpcOutput> {
        self.outputs.pop_front()
    }

    /// Number of invalid packets and streams since the last call.
    pub(crate) fn take_violations(&mut self) -> u64 {
        std::mem::take(&mut self.violations)
    }

    /// Whether streams of this description are ours.
    pub(crate) fn is_ours(info: &StreamInfo) -> bool {
        info.is_text() && [REQUEST_TOPIC, RESPONSE_TOPIC].contains(&info.topic.as_str())
    }

    /// Begins a call, which is always [done](RpcOutput::Done) later. `streams`: whether the participant reads
    /// requests as text streams.
    pub(crate) fn call(
        &mut self,
        id: CommandId,
        call: RpcCall,
        streams: bool,
        server_version: &str,
        now: Time,
    ) {
        let output = match self.calls.call(id, call, streams, server_version, now) {
            Ok(request) => request,
            Err(error) => RpcOutput::Done { id, result: Err(error) },
        };
        self.outputs.push_back(output);
    }

    /// A method of ours accepts requests from now on.
    pub(crate) fn register(&mut self, method: String) {
        self.methods.register(method);
    }

    /// A method of ours accepts no more requests.
    pub(crate) fn unregister(&mut self, method: &str) {
        self.methods.unregister(method);
    }

    /// A method of ours has its result.
    pub(crate) fn respond(&mut self, request: RpcRequestId, result: Result<String, RpcError>) {
        self.outputs.extend(self.methods.respond(request, result));
    }

    /// Handles a packet of `sender`.
    pub(crate) fn packet(&mut self, sender: &str, value: Value, now: Time) {
        match value {
            Value::RpcRequest(request) => {
                let head = Head {
                    caller: sender.to_owned(),
                    id: request.id,
                    method: request.method,
                    response_timeout: Duration::from_millis(request.response_timeout_ms.into()),
                    version: request.version,
                    form: RpcForm::Packet,
                };
                match self.methods.begin(head, &mut self.outputs) {
                    Ok(Some(id)) => self.outputs.extend(self.methods.requested(id, request.payload)),
                    Ok(None) => {}
                    Err(()) => self.violation(),
                }
            }
            Value::RpcAck(ack) => self.calls.acknowledged(sender, &ack.request_id, now),
            Value::RpcResponse(response) if self.calls.awaits(sender, &response.request_id) => {
                let result = match response.value {
                    Some(Response::Error(error)) => Err(RpcError::from_wire(error)),
                    Some(Response::Payload(payload)) => Ok(payload),
                    None => Ok(String::new()),
                };
                self.outputs.extend(self.calls.complete(&response.request_id, result));
            }
            // A late response, or one of another participant.
            _ => {}
        }
    }

    /// Handles an event of a stream. Those that are not [ours](Self::is_ours) change nothing.
    pub(crate) fn stream(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::Opened { stream, info } => {
                let Some(role) = self.role(&info) else { return };
                let content = Collected::new(info, self.limits.payload);
                self.payloads.insert(stream, Payload { role, content });
            }
            StreamEvent::Content { stream, content } => {
                let Some(payload) = self.payloads.get_mut(&stream) else { return };
                let before = payload.content.len();
                let mut pushed = payload.content.push(content);
                self.receiving += payload.content.len() - before;
                if self.receiving > self.limits.receiving {
                    pushed = Err(StreamError::PayloadTooLarge { limit: self.limits.receiving as u64 });
                }
                if let Err(error) = pushed {
                    self.received(stream, Err(error));
                }
            }
            StreamEvent::Ended { stream, result } => self.received(stream, result.map(|_| ())),
        }
    }

    /// What could not be sent.
    pub(crate) fn send_failed(&mut self, owner: RpcSend, error: &RoomError) {
        let error = RpcError::from(error.clone());
        let output = match owner {
            RpcSend::Request(id) => self.calls.complete(&id, Err(error)),
            RpcSend::Response { caller, id } => {
                let value = Box::new(message::response(&id, Err(error)));
                Some(RpcOutput::Packet { to: caller, value, owner: None })
            }
        };
        self.outputs.extend(output);
    }

    pub(crate) fn participant_left(&mut self, identity: &str, now: Time) {
        self.calls.participant_left(identity, now);
        self.methods.participant_left(identity);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        self.calls.poll_timeout()
    }

    /// Ends the calls that are due. `is_known`: whether there is such a participant.
    pub(crate) fn handle_timeout(&mut self, now: Time, is_known: impl Fn(&str) -> bool) {
        self.calls.handle_timeout(now, is_known, &mut self.outputs);
    }

    /// The room is over.
    pub(crate) fn room_ended(&mut self) {
        self.outputs.extend(self.calls.take_all());
    }

    /// What a new stream is for; `None`: nothing that is awaited.
    fn role(&mut self, info: &StreamInfo) -> Option<Role> {
        if info.topic == RESPONSE_TOPIC {
            let id = response_id(&info.attributes);
            return self.calls.awaits(&info.sender, id).then(|| Role::Response(id.to_owned()));
        }
        let StreamRequest { id, method, response_timeout, version } = StreamRequest::of(&info.attributes);
        let (caller, form) = (info.sender.clone(), RpcForm::Stream);
        let head = Head { caller, id, method, response_timeout, version, form };
        match self.methods.begin(head, &mut self.outputs) {
            Ok(request) => request.map(Role::Request),
            Err(()) => {
                self.violation();
                None
            }
        }
    }

    /// The end of a payload.
    fn received(&mut self, stream: IncomingStream, result: Result<(), StreamError>) {
        let Some(Payload { role, content }) = self.payloads.remove(&stream) else { return };
        self.receiving = self.receiving.saturating_sub(content.len());
        let result = content.finish(result);
        let output = match role {
            Role::Request(request) => match result {
                Ok(payload) => self.methods.requested(request, payload),
                Err(StreamError::PayloadTooLarge { .. }) => {
                    self.methods.respond(request, Err(RpcErrorCode::RequestTooLarge.into()))
                }
                Err(error) => self.methods.respond(request, Err(unread("request", &error))),
            },
            Role::Response(id) => match result {
                Ok(payload) => self.calls.complete(&id, Ok(payload)),
                Err(StreamError::PayloadTooLarge { .. }) => {
                    self.calls.complete(&id, Err(RpcErrorCode::ResponseTooLarge.into()))
                }
                Err(error) => self.calls.complete(&id, Err(unread("response", &error))),
            },
        };
        self.outputs.extend(output);
    }

    fn violation(&mut self) {
        self.violations = self.violations.saturating_add(1);
    }
}

fn unread(what: &str, error: &StreamError) -> RpcError {
    RpcError::with_data(RpcErrorCode::ApplicationError, format!("failed to read the {what}: {error}"))
}
