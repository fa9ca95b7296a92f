//! Outputs of calls and methods.

use agent_proto::livekit as proto;

use super::{RpcError, RpcRequest};
use crate::{CommandId, StreamOptions};
use proto::data_packet::Value;

/// An output, to be carried out in order.
#[derive(Debug, PartialEq)]
pub(crate) enum RpcOutput {
    /// Send a packet. If it cannot be sent, the owner is [notified](super::Rpc::send_failed).
    Packet { to: String, value: Box<Value>, owner: Option<RpcSend> },
    /// Send a text stream.
    Stream { options: Box<StreamOptions>, content: String, owner: RpcSend },
    /// A call is done.
    Done { id: CommandId, result: Result<String, RpcError> },
    /// Pass a request to the method.
    Requested(RpcRequest),
    /// A request to a method that we do not have was refused: for the log.
    UnknownMethod { caller: String, method: String },
}

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RpcSend {
    /// The request with this id.
    Request(String),
    /// Our response to the request with this id.
    Response { caller: String, id: String },
}
