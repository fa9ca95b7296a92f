//! What the handles of a room request from its backend, and the replies.

use std::fmt;

use tokio::sync::{mpsc, oneshot};

use agent_room::{CommandId, RoomCommand, RoomError, RpcCall, RpcError};

/// A request of a handle, with a [`RoomReply`] of its own type.
#[derive(Debug)]
pub enum RoomRequest {
    /// A command whose only result is whether it was carried out.
    Command {
        /// Its id, which no other request of the room has: later commands name a stream by that of the
        /// command that opened it.
        id: CommandId,
        /// The command.
        command: RoomCommand,
        /// For the result.
        reply: RoomReply<()>,
    },
    /// A call of a method of another participant.
    Call {
        /// Its id, which no other request of the room has.
        id: CommandId,
        /// The call.
        call: RpcCall,
        /// For the response.
        reply: RoomReply<String, RpcError>,
    },
}

/// The sender of the reply to a [`RoomRequest`]. Dropped without a reply, it sends
/// [`RoomError::NotConnected`], or that as an RPC error.
pub struct RoomReply<T, E = RoomError> {
    sender: oneshot::Sender<Result<T, E>>,
}

impl<T, E> RoomReply<T, E> {
    pub(super) fn new() -> (Self, oneshot::Receiver<Result<T, E>>) {
        let (sender, answer) = oneshot::channel();
        (Self { sender }, answer)
    }

    /// Sends the reply.
    pub fn send(self, result: Result<T, E>) {
        // The caller may be gone.
        let _ = self.sender.send(result);
    }
}

impl<T, E> fmt::Debug for RoomReply<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomReply").finish_non_exhaustive()
    }
}

/// Sends a request to the backend, and waits for the reply.
pub(super) async fn ask<T, E: From<RoomError>>(
    requests: &mpsc::Sender<RoomRequest>,
    request: impl FnOnce(RoomReply<T, E>) -> RoomRequest,
) -> Result<T, E> {
    queue(requests, request).await?.get().await
}

/// The receiver of a [`RoomReply`].
pub(super) struct PendingReply<T, E>(oneshot::Receiver<Result<T, E>>);

impl<T, E: From<RoomError>> PendingReply<T, E> {
    pub(super) async fn get(self) -> Result<T, E> {
        self.0.await.unwrap_or_else(|_| Err(RoomError::NotConnected.into()))
    }
}

/// Sends a request to the backend. If the future is dropped, the request is not sent.
pub(super) async fn queue<T, E>(
    requests: &mpsc::Sender<RoomRequest>,
    request: impl FnOnce(RoomReply<T, E>) -> RoomRequest,
) -> Result<PendingReply<T, E>, RoomError> {
    let (reply, answer) = RoomReply::new();
    requests.send(request(reply)).await.map_err(|_| RoomError::NotConnected)?;
    Ok(PendingReply(answer))
}
