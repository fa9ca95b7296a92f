//! API calls for rooms.

use std::time::Duration;

use agent_proto::livekit;

use super::call::Call;
use super::client::ServerApi;
use super::error::ApiError;

/// A request to create a room.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "a request does nothing until it is sent"]
pub struct RoomRequest {
    request: livekit::CreateRoomRequest,
}

/// A room as the server reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomSummary {
    /// The name.
    pub name: String,
    /// The server's id, `RM_…`; a new room of the same name has a new one.
    pub sid: String,
    /// The room's metadata.
    pub metadata: String,
    /// Number of participants, without hidden ones and agents.
    pub participants: u32,
}

impl RoomRequest {
    /// Creates a request for a room of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { request: livekit::CreateRoomRequest { name: name.into(), ..Default::default() } }
    }

    /// How long the server keeps the room if nobody joins (whole seconds; agents do not count).
    pub fn empty_timeout(mut self, timeout: Duration) -> Self {
        self.request.empty_timeout = whole_seconds(timeout);
        self
    }

    /// How long the server keeps the room after the last human left (whole seconds).
    pub fn departure_timeout(mut self, timeout: Duration) -> Self {
        self.request.departure_timeout = whole_seconds(timeout);
        self
    }

    /// Sets the room's metadata.
    pub fn metadata(mut self, metadata: impl Into<String>) -> Self {
        self.request.metadata = metadata.into();
        self
    }

    /// Adds an agent that is dispatched when the room is created; agents without a name are then not offered
    /// the room.
    pub fn agent(mut self, agent_name: impl Into<String>, metadata: impl Into<String>) -> Self {
        self.request.agents.push(livekit::RoomAgentDispatch {
            agent_name: agent_name.into(),
            metadata: metadata.into(),
            ..Default::default()
        });
        self
    }
}

impl ServerApi {
    /// Creates a room, or returns the existing one of this name.
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn create_room(&self, request: RoomRequest) -> Result<RoomSummary, ApiError> {
        let request = request.request;
        let room: livekit::Room = self.call(Call::CreateRoom, &request.name, &request).await?;
        Ok(room.into())
    }

    /// Deletes a room: all its participants are disconnected.
    ///
    /// # Errors
    /// [`ApiError`]; [not found](ApiError::is_not_found) if there is none.
    pub async fn delete_room(&self, room: &str) -> Result<(), ApiError> {
        let request = livekit::DeleteRoomRequest { room: room.to_owned() };
        let _: livekit::DeleteRoomResponse = self.call(Call::DeleteRoom, room, &request).await?;
        Ok(())
    }

    /// Lists the rooms of these names that exist; all rooms if no name is given.
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn list_rooms(&self, names: &[&str]) -> Result<Vec<RoomSummary>, ApiError> {
        let request = livekit::ListRoomsRequest { names: names.iter().map(ToString::to_string).collect() };
        let response: livekit::ListRoomsResponse = self.call(Call::ListRooms, "", &request).await?;
        Ok(response.rooms.into_iter().map(RoomSummary::from).collect())
    }

    /// Changes a room's metadata.
    ///
    /// # Errors
    /// [`ApiError`]; [not found](ApiError::is_not_found) if there is no such room.
    pub async fn update_room_metadata(
        &self,
        room: &str,
        metadata: impl Into<String>,
    ) -> Result<RoomSummary, ApiError> {
        let request = livekit::UpdateRoomMetadataRequest { room: room.to_owned(), metadata: metadata.into() };
        let room: livekit::Room = self.call(Call::UpdateRoomMetadata, room, &request).await?;
        Ok(room.into())
    }
}

fn whole_seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

impl From<livekit::Room> for RoomSummary {
    fn from(room: livekit::Room) -> Self {
        Self { name: room.name, sid: room.sid, metadata: room.metadata, participants: room.num_participants }
    }
}
