//! A joined room, independent of the attempts that use it.

use std::fmt;
use std::sync::Arc;

use tokio::sync::mpsc;

use agent_proto::watch;
use agent_room::{DisconnectReason, Dropped, View};

use super::handle::{Room, leave};
use super::request::RoomRequest;
use super::shared::Shared;

/// A joined room that a worker keeps through all attempts of a job.
///
/// Each attempt has a [`Room`] of its own over the same connection. At the end of the attempt its streams
/// end, and its requests are refused as [`AttemptOver`](super::RoomError::AttemptOver). Unread messages of
/// its streams are queued for those of the next attempt. The room is left when all handles and the connection
/// are dropped.
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
    /// Creates the connection of a room that was just joined. The handle becomes that of the first attempt.
    #[must_use]
    pub fn new(room: Room) -> Self {
        let (shared, requests) = room.into_parts();
        Self { shared, requests }
    }

    /// Begins an attempt, and ends the previous one. The handle's first event stream has all events since
    /// now; that of the first attempt, since the room was joined.
    #[must_use]
    pub fn begin_attempt(&self) -> Room {
        Room::new(Arc::clone(&self.shared), self.requests.clone(), self.shared.begin_attempt())
    }

    /// Ends the current attempt, if there is one.
    pub fn end_attempt(&self) {
        self.shared.end_attempt();
    }

    /// Reads the current state of the room and its participants. It holds the room's lock, so `read` must be
    /// short.
    pub fn view<T>(&self, read: impl FnOnce(&View) -> T) -> T {
        read(&self.shared.lock().view)
    }

    /// A receiver that changes with the [view](Self::view).
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.shared.presence()
    }

    /// Whether we are in the room; also true while a lost connection is being re-established.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.shared.end_reason().is_none()
    }

    /// Waits until we are no longer in the room, and returns the reason. Cancel-safe.
    pub async fn closed(&self) -> DisconnectReason {
        self.shared.ended().await
    }

    /// Waits until the joined room was replaced by a new one of the same name, as after a restart of the
    /// server.
    pub async fn replaced(&self) {
        self.shared.replaced().await;
    }

    /// Leaves the room, as [`Room::leave`] does.
    pub async fn leave(&self) {
        leave(&self.shared, &self.requests).await;
    }

    /// Sets the callback for events that are dropped before a stream has read them; the first call wins.
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
