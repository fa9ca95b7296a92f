//! Our methods, and the requests of others that wait for a response.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::error::MAX_RPC_PACKET_PAYLOAD;
use super::message::{self, MAX_ID_LEN, PACKET_VERSION, STREAM_VERSION};
use super::output::{RpcOutput, RpcSend};
use super::{RpcError, RpcErrorCode, RpcRequest, RpcRequestId};

/// Maximum number of answered requests that are remembered, to recognise repeated ones.
const MAX_ANSWERED: usize = 1024;

/// A caller's identity and its id of a request.
type RequestKey = (String, String);

/// How a request came, and its response goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RpcForm {
    Packet,
    Stream,
}

/// The start of a request, without its payload.
pub(super) struct Head {
    pub(super) caller: String,
    pub(super) id: String,
    pub(super) method: String,
    pub(super) response_timeout: Duration,
    pub(super) version: u32,
    pub(super) form: RpcForm,
}

pub(super) struct Methods {
    limit: usize,
    names: BTreeSet<String>,
    last: u64,
    /// Requests without a response.
    open: BTreeMap<RpcRequestId, Open>,
    open_keys: BTreeSet<RequestKey>,
    answered: BTreeSet<RequestKey>,
    answered_order: VecDeque<RequestKey>,
}

struct Open {
    key: RequestKey,
    form: RpcForm,
    method: String,
    response_timeout: Duration,
}

impl Methods {
    /// At most `limit` requests are served at a time.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            names: BTreeSet::new(),
            last: 0,
            open: BTreeMap::new(),
            open_keys: BTreeSet::new(),
            answered: BTreeSet::new(),
            answered_order: VecDeque::new(),
        }
    }

    pub(super) fn register(&mut self, method: String) {
        self.names.insert(method);
    }

    pub(super) fn unregister(&mut self, method: &str) {
        self.names.remove(method);
    }

    /// A request began. `Some`: it waits for its payload, then for a response. `Err`: nobody can be
    /// answered.
    pub(super) fn begin(
        &mut self,
        head: Head,
        outputs: &mut VecDeque<RpcOutput>,
    ) -> Result<Option<RpcRequestId>, ()> {
        if head.caller.is_empty() || !(1..=MAX_ID_LEN).contains(&head.id.len()) {
            return Err(());
        }
        let key = (head.caller, head.id);
        if self.open_keys.contains(&key) || self.answered.contains(&key) {
            // A repeated request.
            return Ok(None);
        }
        let send = |value| RpcOutput::Packet { to: key.0.clone(), value: Box::new(value), owner: None };
        outputs.push_back(send(message::ack(&key.1)));
        let version = match head.form {
            RpcForm::Packet => PACKET_VERSION,
            RpcForm::Stream => STREAM_VERSION,
        };
        let error = if head.version != version {
            RpcErrorCode::UnsupportedVersion.into()
        } else if !self.names.contains(&head.method) {
            let (caller, method) = (key.0.clone(), head.method);
            outputs.push_back(RpcOutput::UnknownMethod { caller, method });
            RpcErrorCode::UnsupportedMethod.into()
        } else if self.open.len() >= self.limit {
            let detail = format!("{} requests are being served already", self.limit);
            RpcError::with_data(RpcErrorCode::ApplicationError, detail)
        } else {
            self.last += 1;
            let request = RpcRequestId(self.last);
            self.open_keys.insert(key.clone());
            let Head { form, method, response_timeout, .. } = head;
            self.open.insert(request, Open { key, form, method, response_timeout });
            return Ok(Some(request));
        };
        outputs.push_back(send(message::response(&key.1, Err(error))));
        self.remember(key);
        Ok(None)
    }

    /// The payload of a request is complete.
    pub(super) fn requested(&self, request: RpcRequestId, payload: String) -> Option<RpcOutput> {
        let open = self.open.get(&request)?;
        let (caller, id) = open.key.clone();
        let (method, response_timeout) = (open.method.clone(), open.response_timeout);
        Some(RpcOutput::Requested(RpcRequest { request, caller, id, method, payload, response_timeout }))
    }

    /// Sends the response to a request. `None`: there is no such request (any more).
    pub(super) fn respond(
        &mut self,
        request: RpcRequestId,
        result: Result<String, RpcError>,
    ) -> Option<RpcOutput> {
        let Open { key, form, .. } = self.open.remove(&request)?;
        self.open_keys.remove(&key);
        let (caller, id) = key.clone();
        self.remember(key);
        let result = match result {
            Ok(content) if form == RpcForm::Stream => {
                let options = Box::new(message::response_stream(&caller, &id));
                return Some(RpcOutput::Stream { options, content, owner: RpcSend::Response { caller, id } });
            }
            Ok(payload) if payload.len() > MAX_RPC_PACKET_PAYLOAD => {
                Err(RpcErrorCode::ResponseTooLarge.into())
            }
            other => other,
        };
        let value = Box::new(message::response(&id, result));
        Some(RpcOutput::Packet { to: caller, value, owner: None })
    }

    /// The caller left: no response is sent.
    pub(super) fn participant_left(&mut self, identity: &str) {
        for (_, open) in self.open.extract_if(.., |_, open| open.key.0 == identity) {
            self.open_keys.remove(&open.key);
        }
    }

    fn remember(&mut self, key: RequestKey) {
        if self.answered.insert(key.clone()) {
            self.answered_order.push_back(key);
        }
        if self.answered_order.len() > MAX_ANSWERED
            && let Some(oldest) = self.answered_order.pop_front()
        {
            self.answered.remove(&oldest);
        }
    }
}
