//! A call of a method of another participant.

use std::future::IntoFuture;
use std::time::Duration;

use agent_proto::BoxFuture;
use agent_room::{RpcCall, RpcError};

use crate::Room;

/// A call that is made when this is awaited, from [`Room::perform_rpc`].
#[derive(Debug)]
#[must_use = "the call is made when it is awaited"]
pub struct PerformRpc {
    room: Room,
    call: RpcCall,
}

impl PerformRpc {
    pub(super) fn new(room: Room, destination: String, method: String, payload: String) -> Self {
        Self { room, call: RpcCall::new(crate::id::unique(), destination, method, payload) }
    }

    /// Timeout of the response. Default 15 s. Independently of it, the participant must acknowledge the call
    /// within 7 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call.response_timeout = timeout;
        self
    }
}

impl IntoFuture for PerformRpc {
    type Output = Result<String, RpcError>;
    type IntoFuture = BoxFuture<'static, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.room.call(self.call).await })
    }
}
