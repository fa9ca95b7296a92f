//! Our calls of methods of others.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use agent_proto::Time;

use super::error::MAX_RPC_PACKET_PAYLOAD;
use super::output::{RpcOutput, RpcSend};
use super::{RpcCall, RpcError, RpcErrorCode};
use crate::CommandId;

/// How long an answer that is under way is awaited after its participant has left.
const LEFT_GRACE: Duration = Duration::from_secs(2);
/// The oldest server that carries RPC: major and minor version.
const MIN_SERVER: (u32, u32) = (1, 8);

/// The calls without a result.
pub(super) struct Calls {
    limit: usize,
    /// By the id of the request.
    pending: BTreeMap<String, Pending>,
}

struct Pending {
    id: CommandId,
    destination: String,
    response_timeout: Duration,
    acknowledged: bool,
    /// Of the acknowledgement, then of the response.
    until: Time,
    /// The end of the grace after the participant left.
    left_until: Option<Time>,
}

impl Pending {
    fn due(&self) -> Time {
        self.left_until.map_or(self.until, |left| left.min(self.until))
    }
}

impl Calls {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, pending: BTreeMap::new() }
    }

    /// Begins a call; `Err`: why it cannot be made. `streams`: whether the participant reads requests as text
    /// streams.
    pub(super) fn call(
        &mut self,
        id: CommandId,
        call: RpcCall,
        streams: bool,
        server_version: &str,
        now: Time,
    ) -> Result<RpcOutput, RpcError> {
        if version(server_version).is_some_and(|version| version < MIN_SERVER) {
            return Err(RpcErrorCode::UnsupportedServer.into());
        }
        if call.destination.is_empty() {
            return Err(RpcErrorCode::RecipientNotFound.into());
        }
        if !streams && call.payload.len() > MAX_RPC_PACKET_PAYLOAD {
            return Err(RpcErrorCode::RequestTooLarge.into());
        }
        if self.pending.len() >= self.limit {
            let detail = format!("{} calls are pending already", self.limit);
            return Err(RpcError::with_data(RpcErrorCode::SendFailed, detail));
        }
        if call.id.is_empty() || self.pending.contains_key(&call.id) {
            return Err(RpcError::with_data(RpcErrorCode::SendFailed, "the id of the request is not new"));
        }
        let pending = Pending {
            id,
            destination: call.destination.clone(),
            response_timeout: call.response_timeout,
            acknowledged: false,
            until: later(now, call.ack_timeout),
            left_until: None,
        };
        self.pending.insert(call.id.clone(), pending);
        let owner = RpcSend::Request(call.id.clone());
        Ok(if streams {
            let options = Box::new(call.stream());
            RpcOutput::Stream { options, content: call.payload, owner }
        } else {
            let to = call.destination.clone();
            RpcOutput::Packet { to, value: Box::new(call.packet()), owner: Some(owner) }
        })
    }

    /// Whether a response of this participant to this request is awaited.
    pub(super) fn awaits(&self, from: &str, request: &str) -> bool {
        self.pending.get(request).is_some_and(|pending| pending.destination == from)
    }

    /// A participant has received a request.
    pub(super) fn acknowledged(&mut self, from: &str, request: &str, now: Time) {
        if let Some(pending) = self.pending.get_mut(request)
            && pending.destination == from
            && !pending.acknowledged
        {
            pending.acknowledged = true;
            pending.until = later(now, pending.response_timeout);
        }
    }

    /// A call has its result. `None`: there is no such call (any more).
    pub(super) fn complete(&mut self, request: &str, result: Result<String, RpcError>) -> Option<RpcOutput> {
        let Pending { id, .. } = self.pending.remove(request)?;
        Some(RpcOutput::Done { id, result })
    }

    pub(super) fn participant_left(&mut self, identity: &str, now: Time) {
        for pending in self.pending.values_mut().filter(|pending| pending.destination == identity) {
            pending.left_until.get_or_insert(now + LEFT_GRACE);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        self.pending.values().map(Pending::due).min()
    }

    /// Ends the calls that are due. `is_known`: whether there is such a participant.
    pub(super) fn handle_timeout(
        &mut self,
        now: Time,
        is_known: impl Fn(&str) -> bool,
        outputs: &mut VecDeque<RpcOutput>,
    ) {
        for (_, pending) in self.pending.extract_if(.., |_, pending| pending.due() <= now) {
            let code = if pending.left_until.is_some_and(|left| left <= now) {
                RpcErrorCode::RecipientDisconnected
            } else if pending.acknowledged {
                RpcErrorCode::ResponseTimeout
            } else if is_known(&pending.destination) {
                RpcErrorCode::ConnectionTimeout
            } else {
                // Not at once: a participant may be announced seconds after its first packets.
                RpcErrorCode::RecipientNotFound
            };
            outputs.push_back(RpcOutput::Done { id: pending.id, result: Err(code.into()) });
        }
    }

    /// The room is over.
    pub(super) fn take_all(&mut self) -> Vec<RpcOutput> {
        let pending = std::mem::take(&mut self.pending).into_values();
        let error = RpcError::from(RpcErrorCode::RecipientDisconnected);
        pending.map(|pending| RpcOutput::Done { id: pending.id, result: Err(error.clone()) }).collect()
    }
}

/// Not at once, with any timeout: after its outputs a machine has nothing to do.
fn later(now: Time, timeout: Duration) -> Time {
    now + timeout.max(Duration::from_millis(1))
}

/// Major and minor version. A server with another form of version is not too old.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
