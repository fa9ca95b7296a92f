//! What stands behind a room: the other end of the handle.

use std::{fmt, sync::Arc};

use agent_room::{Connected, DisconnectReason, RoomCommand, RoomError, RoomEvent};
use tokio::sync::{mpsc, oneshot};

use super::{handle::Room, shared::Shared};

/// Commands on their way to the backend; further callers wait.
const MAX_REQUESTS: usize = 64;

/// The other end of a [`Room`]: it takes what the handles ask for and tells them what happens.
///
/// A room over one's own backend is what a mock room is:
///
/// ```
/// use agent_worker::{Room, RoomEvent, room::{Connected, Participant, RoomBackend, RoomInfo, RoomRequest}};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # runtime.block_on(async {
/// let me = Participant::new("PA_1", "agent");
/// let (room, mut backend) = RoomBackend::new(Connected::new(RoomInfo::new("RM_1", "lobby"), me));
/// backend.emit(RoomEvent::ParticipantJoined(Participant::new("PA_2", "ada").into()));
/// assert_eq!(room.participants().len(), 1);
///
/// let sent = tokio::spawn(async move { room.publish_data("chat", "hello").await });
/// match backend.next_request().await.unwrap() {
///     RoomRequest::Command(_, reply) => reply.send(Ok(())),
/// }
/// assert!(sent.await.unwrap().is_ok());
/// # });
/// ```
pub struct RoomBackend {
    shared: Arc<Shared>,
    requests: mpsc::Receiver<RoomRequest>,
}

impl RoomBackend {
    /// A joined room: its first handle and its backend.
    #[must_use]
    pub fn new(connected: Connected) -> (Room, Self) {
        let (sender, requests) = mpsc::channel(MAX_REQUESTS);
        let shared = Arc::new(Shared::new(connected));
        (Room::new(shared.clone(), sender, 0), Self { shared, requests })
    }

    /// Tells all handles what happened. After [`RoomEvent::Disconnected`] nothing more is told.
    pub fn emit(&mut self, event: RoomEvent) {
        self.shared.emit(event);
    }

    /// What a handle asks for; `None` once all handles are gone: then it is time to leave. Dropping the future loses nothing.
    pub async fn next_request(&mut self) -> Option<RoomRequest> {
        self.requests.recv().await
    }
}

impl Drop for RoomBackend {
    /// Nobody waits for ever: a backend that goes without a word ends the room.
    fn drop(&mut self) {
        let detail = "the room's task ended".to_owned();
        self.shared.emit(RoomEvent::Disconnected { reason: DisconnectReason::SignalLost { detail } });
    }
}

impl fmt::Debug for RoomBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomBackend").finish_non_exhaustive()
    }
}

/// What a handle asks for, with a [`RoomReply`] of its own type.
#[derive(Debug)]
pub enum RoomRequest {
    /// What is answered with nothing but whether it was done.
    Command(RoomCommand, RoomReply<()>),
}

/// Where the answer to a [`RoomRequest`] goes. Dropped unanswered, it answers [`RoomError::NotConnected`].
pub struct RoomReply<T> {
    sender: oneshot::Sender<Result<T, RoomError>>,
}

impl<T> RoomReply<T> {
    pub(super) fn new() -> (Self, oneshot::Receiver<Result<T, RoomError>>) {
        let (sender, answer) = oneshot::channel();
        (Self { sender }, answer)
    }

    /// Answers.
    pub fn send(self, result: Result<T, RoomError>) {
        // The asker may be gone.
        let _ = self.sender.send(result);
    }
}

impl<T> fmt::Debug for RoomReply<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomReply").finish_non_exhaustive()
    }
}
