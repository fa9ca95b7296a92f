//! A joined room beyond the attempts that use it.

use std::{fmt, sync::Arc};

use agent_room::{DisconnectReason, Dropped, View};
use tokio::sync::{mpsc, watch};

use super::{
    backend::RoomRequest,
    handle::{Room, leave},
    shared::Shared,
};

/// A joined room as a worker holds it through all attempts of a job.
///
/// Each attempt has a [`Room`] of its own over the same connection. What was opened with it ends with the attempt: its streams
/// end, and its requests are refused as [`AttemptOver`](super::RoomError::AttemptOver). What its streams have not read waits for those of the
/// next attempt. The room is left when all handles and the connection are dropped.
///
/// ```
/// use agent_rtc::{Connected, Participant, RoomBackend, RoomConnection, RoomError, RoomInfo};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
/// # runtime.block_on(async {
/// let me = Participant::new("PA_1", "agent");
/// let (room, backend) = RoomBackend::new(Connected::new(RoomInfo::new("RM_1", "lobby"), me));
/// let connection = RoomConnection::new(room);
/// let first = connection.begin_attempt();
/// let second = connection.begin_attempt();
/// assert_eq!(first.set_name("late").await, Err(RoomError::AttemptOver));
/// assert!(second.is_connected());
/// # drop(backend);
/// # });
/// ```
pub struct RoomConnection {
    shared: Arc<Shared>,
    requests: mpsc::Sender<RoomRequest>,
}

impl RoomConnection {
    /// The connection of a room that was just joined, for attempts to come. The handle is that of the first one.
    #[must_use]
    pub fn new(room: Room) -> Self {
        let (shared, requests) = room.into_parts();
        Self { shared, requests }
    }

    /// Begins an attempt, and ends the one before. The handle's first event stream holds everything since now; of the first attempt,
    /// since the room was joined.
    #[must_use]
    pub fn begin_attempt(&self) -> Room {
        Room::new(Arc::clone(&self.shared), self.requests.clone(), self.shared.begin_attempt())
    }

    /// Ends the attempt that goes on, if there is one.
    pub fn end_attempt(&self) {
        self.shared.end_attempt();
    }

    /// Reads the room, ourselves and the others, as they are now. The room waits meanwhile: `read` is to be short.
    pub fn view<T>(&self, read: impl FnOnce(&View) -> T) -> T {
        read(&self.shared.lock().view)
    }

    /// Changes with the [view](Self::view).
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.shared.presence()
    }

    /// Whether we are in the room; also while a lost connection is being restored.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.shared.end_reason().is_none()
    }

    /// Waits until we are no longer in the room, and returns the reason. Dropping the future loses nothing.
    pub async fn closed(&self) -> DisconnectReason {
        self.shared.ended().await
    }

    /// Waits until the room that was joined is gone and we are in another one of its name, as after a restart of the server.
    pub async fn replaced(&self) {
        self.shared.replaced().await;
    }

    /// Leaves the room, as [`Room::leave`] does.
    pub async fn leave(&self) {
        leave(&self.shared, &self.requests).await;
    }

    /// Reports there what is dropped before a stream has read it; the first call wins.
    pub fn on_dropped(&self, on_dropped: impl Fn(Dropped) + Send + Sync + 'static) {
        self.shared.set_on_dropped(Box::new(on_dropped));
    }
}

impl fmt::Debug for RoomConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomConnection")
            .field("room", &self.shared.lock().view.room().name)
            .finish_non_exhaustive()
    }
}
