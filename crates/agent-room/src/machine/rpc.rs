//! Calls and requests of the machine: between the data channel, the commands and the outputs.

use agent_proto::Time;

use super::Machine;
use crate::connection::MediaConnection;
use crate::rpc::RpcOutput;
use crate::streams::SendOwner;
use crate::{CommandId, Output, RoomError, RpcCall, RpcError, RpcRequestId};

impl<M: MediaConnection> Machine<M> {
    pub(super) fn call(&mut self, id: CommandId, call: RpcCall, now: Time) {
        if let Err(error) = self.may_publish() {
            return self.not_called(id, &error);
        }
        let streams = self.signal.abilities(std::slice::from_ref(&call.destination)).rpc_streams;
        self.rpc.call(id, call, streams, self.signal.server_version(), now);
        self.report_rpc(now);
    }

    pub(super) fn not_called(&mut self, id: CommandId, error: &RoomError) {
        self.outputs.push_back(Output::CallDone { id, result: Err(error.clone().into()) });
    }

    pub(super) fn respond(
        &mut self,
        id: CommandId,
        request: RpcRequestId,
        result: Result<String, RpcError>,
        now: Time,
    ) {
        let sent = self.may_publish();
        if sent.is_ok() {
            self.rpc.respond(request, result);
            self.report_rpc(now);
        }
        self.done(id, sent);
    }

    pub(super) fn rpc_timeout(&mut self, now: Time) {
        let signal = &self.signal;
        self.rpc.handle_timeout(now, |identity| signal.knows(identity));
        self.report_rpc(now);
    }

    /// Carries out the outputs of calls and requests. `true`: there were some.
    pub(super) fn report_rpc(&mut self, now: Time) -> bool {
        let mut any = false;
        while let Some(output) = self.rpc.poll_output() {
            any = true;
            match output {
                RpcOutput::Packet { to, value, owner } => {
                    // Without the permission the server would drop it silently.
                    let sent = match self.signal.may_publish_data() {
                        true => self.push_own(&to, *value),
                        false => {
                            Err(RoomError::NotAllowed { detail: "no permission to publish data".to_owned() })
                        }
                    };
                    match (owner, sent) {
                        (_, Ok(())) => {}
                        (Some(owner), Err(error)) => self.rpc.send_failed(owner, &error),
                        // A flood of requests gets only as many answers as fit into the queue.
                        (None, Err(RoomError::QueueFull)) => self.signal.violation(),
                        (None, Err(_)) => {}
                    }
                }
                RpcOutput::Stream { options, content, owner } => {
                    let (abilities, timestamp) =
                        (self.signal.abilities(&options.destinations), self.unix_ms(now));
                    let send = SendOwner::Rpc(owner.clone());
                    let sent = self.may_publish().and_then(|()| {
                        self.outgoing.send(send, *options, content.into(), timestamp, abilities)
                    });
                    if let Err(error) = sent {
                        self.rpc.send_failed(owner, &error);
                    }
                }
                RpcOutput::Done { id, result } => self.outputs.push_back(Output::CallDone { id, result }),
                RpcOutput::Requested(request) => self.outputs.push_back(Output::Requested(request)),
                RpcOutput::UnknownMethod { caller, method } => {
                    let report = self.reported.report(&method, &caller);
                    self.outputs.extend(report.map(Output::UnknownMethod));
                }
            }
        }
        let violations = self.rpc.take_violations();
        self.signal.violations_of(violations);
        any
    }
}
