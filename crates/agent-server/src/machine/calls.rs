//! Remote procedure calls between members: how they are passed on, and what they end with.
//!
//! There is no network on which something could be under way: a participant that is there acknowledges a
//! request immediately, and a leave ends its calls immediately, where a client on a real server waits for two
//! seconds.

use agent_room::{
    CommandId, Participant, RoomError, RpcCall, RpcError, RpcErrorCode, RpcLimits, RpcRequestId,
};

use super::entries::PendingCall;
use super::event::ServerEvent;
use super::io::Output;
use super::request::MemberId;
use super::sent::RecordedCall;
use super::streams::check_data_permission;
use super::{NEVER, Server, Timer};
use crate::api_call::text_of;

impl Server {
    pub(super) fn call_method(&mut self, member: MemberId, id: CommandId, call: RpcCall) {
        let Some((room, me)) = self.member(member) else {
            let result = Err(not_sent(&RoomError::NotConnected));
            self.out.push_back(Output::CallDone { member, id, result });
            return;
        };
        let callee = self.member_of(&room, &call.destination).filter(|callee| *callee != member);
        let refusal = self.refusal(member, callee, &me, &call);
        let number = RpcRequestId(self.new_number());
        let request = call.to_request(number, me.identity.clone());
        let timeout = if callee.is_some() { call.response_timeout } else { call.ack_timeout };
        let pending = PendingCall {
            at: self.now,
            room,
            caller: (member, me.identity.clone()),
            id,
            callee,
            until: self.now + timeout,
            call,
        };
        if let Some(error) = refusal {
            return self.call_done(pending, Err(error));
        }
        if pending.until < NEVER {
            self.timers.insert((pending.until, Timer::Call(number)));
        }
        self.calls.insert(number, pending);
        if let Some(member) = callee {
            self.out.push_back(Output::Requested { member, request });
        }
    }

    /// Why a call ends before it is passed on.
    fn refusal(
        &self,
        member: MemberId,
        callee: Option<MemberId>,
        me: &Participant,
        call: &RpcCall,
    ) -> Option<RpcError> {
        let RpcLimits { calls, requests, payload, .. } = RpcLimits::default();
        if let Err(error) = check_data_permission(me) {
            return Some(not_sent(&error));
        }
        if call.destination.is_empty() {
            return Some(RpcErrorCode::RecipientNotFound.into());
        }
        let mine = || self.calls.values().filter(|pending| pending.caller.0 == member);
        if mine().count() >= calls {
            return Some(detailed(RpcErrorCode::SendFailed, &format!("{calls} calls are pending already")));
        }
        if call.id.is_empty() || mine().any(|pending| pending.call.id == call.id) {
            return Some(detailed(RpcErrorCode::SendFailed, "the id of the request is not new"));
        }
        let callee = callee?;
        if !self.methods.get(&callee).is_some_and(|methods| methods.contains(&call.method)) {
            return Some(RpcErrorCode::UnsupportedMethod.into());
        }
        if self.calls.values().filter(|pending| pending.callee == Some(callee)).count() >= requests {
            let detail = format!("{requests} requests are being served already");
            return Some(detailed(RpcErrorCode::ApplicationError, &detail));
        }
        (call.payload.len() > payload).then(|| RpcErrorCode::RequestTooLarge.into())
    }

    /// A request that is over, or of another member, has no response: nothing happens.
    pub(super) fn respond(
        &mut self,
        member: MemberId,
        me: &Participant,
        request: RpcRequestId,
        result: Result<String, RpcError>,
    ) -> Result<(), RoomError> {
        check_data_permission(me)?;
        if self.calls.get(&request).is_some_and(|pending| pending.callee == Some(member)) {
            let result = match result {
                Ok(response) if response.len() > RpcLimits::default().payload => {
                    Err(RpcErrorCode::ResponseTooLarge.into())
                }
                Ok(response) => Ok(response),
                // Cut to the protocol's limits.
                Err(error) => Err(RpcError::new(error.code, error.message, error.data)),
            };
            self.complete_call(request, result);
        }
        Ok(())
    }

    pub(super) fn on_call_overdue(&mut self, request: RpcRequestId) {
        let Some(pending) = self.calls.get(&request) else { return };
        let code = if pending.callee.is_some() {
            RpcErrorCode::ResponseTimeout
        } else if self
            .member_of(&pending.room, &pending.call.destination)
            .is_some_and(|there| there != pending.caller.0)
        {
            // It joined after the request was sent.
            RpcErrorCode::ConnectionTimeout
        } else {
            RpcErrorCode::RecipientNotFound
        };
        self.complete_call(request, Err(code.into()));
    }

    /// A member is about to be notified that it is out of its room: it gets no more responses.
    pub(super) fn end_calls_of(&mut self, member: MemberId) {
        self.fail_calls(|pending| pending.caller.0 == member);
    }

    /// A member left, which sends no more responses.
    pub(super) fn end_requests_to(&mut self, member: MemberId) {
        self.methods.remove(&member);
        self.fail_calls(|pending| pending.callee == Some(member));
    }

    /// The kept calls in a room that are over, also of a closed room.
    pub fn calls_in(&self, room: &str) -> Vec<RecordedCall> {
        self.recorded_calls.in_room(room)
    }

    fn fail_calls(&mut self, which: impl Fn(&PendingCall) -> bool) {
        let over: Vec<RpcRequestId> =
            self.calls.iter().filter(|(_, pending)| which(pending)).map(|(number, _)| *number).collect();
        for number in over {
            self.complete_call(number, Err(RpcErrorCode::RecipientDisconnected.into()));
        }
    }

    fn complete_call(&mut self, number: RpcRequestId, result: Result<String, RpcError>) {
        if let Some(pending) = self.calls.remove(&number) {
            self.timers.remove(&(pending.until, Timer::Call(number)));
            self.call_done(pending, result);
        }
    }

    fn call_done(&mut self, pending: PendingCall, result: Result<String, RpcError>) {
        let PendingCall { at, room, caller: (member, caller), id, call, .. } = pending;
        let RpcCall { destination, method, payload, .. } = call;
        self.log(ServerEvent::Called {
            room: room.clone(),
            caller: caller.clone(),
            destination: destination.clone(),
            method: method.clone(),
            payload: text_of(payload.as_bytes()),
            code: result.as_ref().err().map(|error| error.code),
        });
        let record = RecordedCall { at, caller, destination, method, payload, result: result.clone() };
        self.recorded_calls.push(&room, record);
        self.out.push_back(Output::CallDone { member, id, result });
    }
}

fn not_sent(error: &RoomError) -> RpcError {
    detailed(RpcErrorCode::SendFailed, &error.to_string())
}

fn detailed(code: RpcErrorCode, detail: &str) -> RpcError {
    RpcError::new(code.code(), code.message(), detail)
}
