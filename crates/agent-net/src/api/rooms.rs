//! API calls for rooms and their participants.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_proto::livekit;

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

/// A participant as the server reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParticipantSummary {
    /// The identity, unique in the room.
    pub identity: String,
    /// The server's id, `PA_…`.
    pub sid: String,
    /// The display name.
    pub name: String,
    /// The kind of participant.
    pub kind: ParticipantSummaryKind,
    /// Whether its media connection is established.
    pub active: bool,
    /// The participant's metadata.
    pub metadata: String,
    /// The participant's attributes.
    pub attributes: BTreeMap<String, String>,
    /// The ids of the tracks that it publishes.
    pub track_sids: Vec<String>,
}

/// The kinds of participants that this API distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParticipantSummaryKind {
    /// A person or an application.
    Standard,
    /// An agent.
    Agent,
    /// Another kind.
    Other,
}

/// A data message to participants of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a message does nothing until it is sent"]
#[non_exhaustive]
pub struct DataMessage {
    /// The payload.
    pub payload: Vec<u8>,
    /// The topic.
    pub topic: Option<String>,
    /// Whether it may be lost or arrive out of order.
    pub lossy: bool,
    /// Identities of the recipients; empty: all participants.
    pub destinations: Vec<String>,
}

/// Changes to a participant; what is not set stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a change does nothing until it is sent"]
pub struct ParticipantChange {
    name: String,
    metadata: String,
    attributes: BTreeMap<String, String>,
    can_publish: Option<bool>,
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

impl DataMessage {
    /// Creates a reliable message with this payload to all participants.
    pub fn new(payload: impl Into<Vec<u8>>) -> Self {
        Self { payload: payload.into(), ..Self::default() }
    }

    /// Sets the topic.
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// Sends without retransmission: the message may be lost.
    pub fn lossy(mut self) -> Self {
        self.lossy = true;
        self
    }

    /// Adds a recipient. Without one, all participants receive the message.
    pub fn to(mut self, identity: impl Into<String>) -> Self {
        self.destinations.push(identity.into());
        self
    }
}

impl ParticipantChange {
    /// Creates an empty set of changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Changes the name; an empty one changes nothing.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Changes the metadata; an empty text changes nothing.
    pub fn metadata(mut self, metadata: impl Into<String>) -> Self {
        self.metadata = metadata.into();
        self
    }

    /// Changes the value of an attribute; an empty value removes it.
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.insert(key.into(), value.into());
        self
    }

    /// Whether the participant may publish tracks from now on. The server replaces all permissions at once:
    /// the others become those of a participant that may subscribe and send data.
    pub fn can_publish(mut self, can_publish: bool) -> Self {
        self.can_publish = Some(can_publish);
        self
    }
}

impl ServerApi {
    /// Creates a room, or returns the existing one of this name.
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn create_room(&self, request: RoomRequest) -> Result<RoomSummary, ApiError> {
        let token = self.token().create_rooms();
        let room: livekit::Room = self.call("RoomService/CreateRoom", token, &request.request).await?;
        Ok(room.into())
    }

    /// Deletes a room: all its participants are disconnected.
    ///
    /// # Errors
    /// [`ApiError`]; [not found](ApiError::is_not_found) if there is none.
    pub async fn delete_room(&self, room: &str) -> Result<(), ApiError> {
        let request = livekit::DeleteRoomRequest { room: room.to_owned() };
        let _: livekit::DeleteRoomResponse =
            self.call("RoomService/DeleteRoom", self.token().create_rooms(), &request).await?;
        Ok(())
    }

    /// Lists the rooms of these names that exist; all rooms if no name is given.
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn list_rooms(&self, names: &[&str]) -> Result<Vec<RoomSummary>, ApiError> {
        let request = livekit::ListRoomsRequest { names: names.iter().map(ToString::to_string).collect() };
        let response: livekit::ListRoomsResponse =
            self.call("RoomService/ListRooms", self.token().list_rooms(), &request).await?;
        Ok(response.rooms.into_iter().map(RoomSummary::from).collect())
    }

    /// Lists the participants of a room.
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn list_participants(&self, room: &str) -> Result<Vec<ParticipantSummary>, ApiError> {
        let request = livekit::ListParticipantsRequest { room: room.to_owned() };
        let token = self.token().administer_room(room);
        let response: livekit::ListParticipantsResponse =
            self.call("RoomService/ListParticipants", token, &request).await?;
        Ok(response.participants.into_iter().map(ParticipantSummary::from).collect())
    }

    /// Removes a participant from a room. Its token stays valid, so it may join again.
    ///
    /// # Errors
    /// [`ApiError`]; [not found](ApiError::is_not_found) if it is not there.
    pub async fn remove_participant(&self, room: &str, identity: &str) -> Result<(), ApiError> {
        let request =
            livekit::RoomParticipantIdentity { room: room.to_owned(), identity: identity.to_owned() };
        let token = self.token().administer_room(room);
        let _: livekit::RemoveParticipantResponse =
            self.call("RoomService/RemoveParticipant", token, &request).await?;
        Ok(())
    }

    /// Sends data to a room without a sender.
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn send_data(&self, room: &str, message: DataMessage) -> Result<(), ApiError> {
        let kind = if message.lossy {
            livekit::data_packet::Kind::Lossy
        } else {
            livekit::data_packet::Kind::Reliable
        };
        let request = livekit::SendDataRequest {
            room: room.to_owned(),
            data: message.payload.into(),
            kind: kind.into(),
            topic: message.topic,
            destination_identities: message.destinations,
            ..Default::default()
        };
        let token = self.token().administer_room(room);
        let _: livekit::SendDataResponse = self.call("RoomService/SendData", token, &request).await?;
        Ok(())
    }

    /// Changes a participant's name, metadata, attributes or permission to publish.
    ///
    /// # Errors
    /// [`ApiError`]; [not found](ApiError::is_not_found) if it is not there.
    pub async fn update_participant(
        &self,
        room: &str,
        identity: &str,
        change: ParticipantChange,
    ) -> Result<ParticipantSummary, ApiError> {
        let request = livekit::UpdateParticipantRequest {
            room: room.to_owned(),
            identity: identity.to_owned(),
            metadata: change.metadata,
            permission: change.can_publish.map(permissions),
            name: change.name,
            attributes: change.attributes,
        };
        let token = self.token().administer_room(room);
        let participant: livekit::ParticipantInfo =
            self.call("RoomService/UpdateParticipant", token, &request).await?;
        Ok(participant.into())
    }

    /// Mutes a participant's track, or unmutes it if the server is configured to allow that.
    ///
    /// # Errors
    /// [`ApiError`]; [not found](ApiError::is_not_found) if there is no such participant or track.
    pub async fn mute_track(
        &self,
        room: &str,
        identity: &str,
        track_sid: &str,
        muted: bool,
    ) -> Result<(), ApiError> {
        let request = livekit::MuteRoomTrackRequest {
            room: room.to_owned(),
            identity: identity.to_owned(),
            track_sid: track_sid.to_owned(),
            muted,
        };
        let token = self.token().administer_room(room);
        let _: livekit::MuteRoomTrackResponse =
            self.call("RoomService/MutePublishedTrack", token, &request).await?;
        Ok(())
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
        let token = self.token().administer_room(room);
        let room: livekit::Room = self.call("RoomService/UpdateRoomMetadata", token, &request).await?;
        Ok(room.into())
    }
}

fn permissions(can_publish: bool) -> livekit::ParticipantPermission {
    livekit::ParticipantPermission {
        can_subscribe: true,
        can_publish,
        can_publish_data: true,
        ..Default::default()
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

impl From<livekit::ParticipantInfo> for ParticipantSummary {
    fn from(info: livekit::ParticipantInfo) -> Self {
        use livekit::participant_info::{Kind, State};
        Self {
            kind: match info.kind() {
                Kind::Standard => ParticipantSummaryKind::Standard,
                Kind::Agent => ParticipantSummaryKind::Agent,
                _ => ParticipantSummaryKind::Other,
            },
            active: info.state() == State::Active,
            identity: info.identity,
            sid: info.sid,
            name: info.name,
            metadata: info.metadata,
            attributes: info.attributes,
            track_sids: info.tracks.into_iter().map(|track| track.sid).collect(),
        }
    }
}
