//! What the handles of a room request from its backend, and the replies.

use std::fmt;

use tokio::sync::{mpsc, oneshot};

use agent_room::{RoomCommand, RoomError};

/// A request of a handle, with a [`RoomReply`] of its own type.
#[derive(Debug)]
pub enum RoomRequest {
    /// A command whose only result is whether it was carried out.
    Command(RoomCommand, RoomReply<()>),
}

/// The sender of the reply to a [`RoomRequest`]. Dropped without a reply, it sends
/// [`RoomError::NotConnected`].
pub struct RoomReply<T> {
    sender: oneshot::Sender<Result<T, RoomError>>,
}

impl<T> RoomReply<T> {
    fn new() -> (Self, oneshot::Receiver<Result<T, RoomError>>) {
        let (sender, answer) = oneshot::channel();
        (Self { sender }, answer)
    }

    /// Sends the reply.
    pub fn send(self, result: Result<T, RoomError>) {
        // The caller may be gone.
        let _ = self.sender.send(result);
    }
}

impl<T> fmt::Debug for RoomReply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomReply").finish_non_exhaustive()
    }
}

/// Sends a request to the backend, and waits for the reply.
pub(super) async fn ask<T>(
    requests: &mpsc::Sender<RoomRequest>,
    request: impl FnOnce(RoomReply<T>) -> RoomRequest,
) -> Result<T, RoomError> {
    let (reply, answer) = RoomReply::new();
    requests.send(request(reply)).await.map_err(|_| RoomError::NotConnected)?;
    answer.await.unwrap_or(Err(RoomError::NotConnected))
}
