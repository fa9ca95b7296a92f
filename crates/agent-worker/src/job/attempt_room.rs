//! The room of one attempt: its own handle over the connection that all attempts of the job share.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use agent_rtc::{JoinError, JoinFailure, Room, RoomConnection};

use crate::job::join_options::JoinOptions;
use crate::job::room_slot::RoomSlot;

/// The room of one attempt, joined or not.
pub(crate) struct AttemptRoom {
    slot: Arc<RoomSlot>,
    room: OnceLock<Room>,
    over: Mutex<bool>,
}

impl AttemptRoom {
    pub(crate) fn new(slot: Arc<RoomSlot>) -> Self {
        Self { slot, room: OnceLock::new(), over: Mutex::new(false) }
    }

    /// The attempt's handle, if the room is joined.
    pub(crate) fn get(&self) -> Option<&Room> {
        self.room.get()
    }

    /// The connection that all attempts share, if the room is joined.
    pub(crate) fn connection(&self) -> Option<&RoomConnection> {
        self.slot.connection.get()
    }

    /// The attempt's handle; joins the room if no attempt has joined it.
    pub(crate) async fn get_or_join(&self, options: JoinOptions) -> Result<&Room, JoinError> {
        if let Some(room) = self.get() {
            self.slot.check(&options)?;
            return Ok(room);
        }
        // A leftover task of an attempt must not join the room.
        let over = || JoinError::Failed(JoinFailure::Cancelled);
        if *self.over.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(over());
        }
        let connection = self.slot.get_or_join(options).await?;
        self.begin(connection).ok_or_else(over)
    }

    /// Begins the attempt in the joined room; `None` if the attempt is over already.
    pub(crate) fn begin(&self, connection: &RoomConnection) -> Option<&Room> {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        if *over { self.room.get() } else { Some(self.room.get_or_init(|| connection.begin_attempt())) }
    }

    /// Ends everything that the attempt has in the room.
    pub(crate) fn end(&self) {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        if !std::mem::replace(&mut *over, true)
            && self.room.get().is_some()
            && let Some(connection) = self.connection()
        {
            connection.end_attempt();
        }
    }
}
