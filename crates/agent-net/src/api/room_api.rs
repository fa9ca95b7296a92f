//! The calls for one room.

use std::fmt;
use std::time::Duration;

use super::client::ServerApi;
use super::data::DataMessage;
use super::dispatch::{DispatchInfo, DispatchRequest};
use super::error::ApiError;
use super::participants::{ParticipantChange, ParticipantSummary};
use super::rooms::RoomSummary;
use super::sip::SipTransfer;

/// The server's API for one room. Cheap to clone.
///
/// In a job, `JobContext::api` returns that of the job's room, with the worker's credentials.
/// [`room`](Self::room) is the same for another room, and [`server`](Self::server) has what concerns no room.
#[derive(Clone)]
pub struct RoomApi {
    server: ServerApi,
    name: String,
}

impl ServerApi {
    /// The calls for one room.
    #[must_use]
    pub fn room(&self, name: impl Into<String>) -> RoomApi {
        RoomApi { server: self.clone(), name: name.into() }
    }
}

impl RoomApi {
    /// The room's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The calls for another room.
    #[must_use]
    pub fn room(&self, name: impl Into<String>) -> Self {
        self.server.room(name)
    }

    /// The calls that concern no room: creating and listing rooms.
    #[must_use]
    pub fn server(&self) -> &ServerApi {
        &self.server
    }

    /// Lists the participants; none if there is no such room.
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn participants(&self) -> Result<Vec<ParticipantSummary>, ApiError> {
        self.server.list_participants(&self.name).await
    }

    /// Returns a participant.
    ///
    /// # Errors
    /// [`ApiError`]; [not found](ApiError::is_not_found) if it is not there.
    pub async fn participant(&self, identity: &str) -> Result<ParticipantSummary, ApiError> {
        self.server.participant(&self.name, identity).await
    }

    /// Removes a participant. Its token stays valid, so it may join again.
    ///
    /// # Errors
    /// [`ApiError`]; [not found](ApiError::is_not_found) if it is not there.
    pub async fn remove_participant(&self, identity: &str) -> Result<(), ApiError> {
        self.server.remove_participant(&self.name, identity).await
    }

    /// Changes a participant's name, metadata, attributes or permissions.
    ///
    /// # Errors
    /// [`ApiError`]; [not found](ApiError::is_not_found) if it is not there.
    pub async fn update_participant(
        &self,
        identity: &str,
        change: ParticipantChange,
    ) -> Result<ParticipantSummary, ApiError> {
        self.server.update_participant(&self.name, identity, change).await
    }

    /// Mutes a participant's track, or unmutes it if the server is configured to allow that.
    ///
    /// # Errors
    /// [`ApiError`]. A server may ignore a track that does not exist.
    pub async fn mute_track(&self, identity: &str, track_sid: &str, muted: bool) -> Result<(), ApiError> {
        self.server.mute_track(&self.name, identity, track_sid, muted).await
    }

    /// Sends data without a sender, to all participants or to those that the message names.
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn send_data(&self, message: DataMessage) -> Result<(), ApiError> {
        self.server.send_data(&self.name, message).await
    }

    /// Changes the room's metadata.
    ///
    /// # Errors
    /// [`ApiError`]; [not found](ApiError::is_not_found) if there is no such room.
    pub async fn update_metadata(&self, metadata: impl Into<String>) -> Result<RoomSummary, ApiError> {
        self.server.update_room_metadata(&self.name, metadata).await
    }

    /// Deletes the room: all its participants are disconnected, and its jobs end.
    ///
    /// # Errors
    /// [`ApiError`]; [not found](ApiError::is_not_found) if there is none.
    pub async fn delete(&self) -> Result<(), ApiError> {
        self.server.delete_room(&self.name).await
    }

    /// Dispatches an agent to this room, or to the one that the request names. Each call dispatches another
    /// one.
    ///
    /// # Errors
    /// [`ApiError`]. A missing worker is not an error: the server drops the job silently.
    pub async fn create_dispatch(
        &self,
        request: impl Into<DispatchRequest>,
    ) -> Result<DispatchInfo, ApiError> {
        self.server.create_dispatch(self.complete(request.into())).await
    }

    /// Makes sure that an agent was dispatched to this room, or to the one that the request names, as
    /// [`ServerApi::ensure_dispatch`]: however often it is called, one agent is started.
    ///
    /// # Errors
    /// [`ApiError`]; [`NotTaken`](ApiError::NotTaken) if no worker accepted in time.
    pub async fn ensure_dispatch(
        &self,
        request: impl Into<DispatchRequest>,
        within: Duration,
    ) -> Result<DispatchInfo, ApiError> {
        self.server.ensure_dispatch(self.complete(request.into()), within).await
    }

    /// Lists the dispatches; a room that agents without a name may join has one without a name.
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn dispatches(&self) -> Result<Vec<DispatchInfo>, ApiError> {
        self.server.list_dispatches(&self.name).await
    }

    /// Deletes a dispatch: its jobs are terminated, and their agents removed from the room 3 s later.
    ///
    /// # Errors
    /// [`ApiError`]; [not found](ApiError::is_not_found) if there is none.
    pub async fn delete_dispatch(&self, dispatch_id: &str) -> Result<DispatchInfo, ApiError> {
        self.server.delete_dispatch(&self.name, dispatch_id).await
    }

    /// Transfers a caller, a participant that came over SIP, to another number or address, as
    /// [`ServerApi::transfer_sip_participant`].
    ///
    /// ```no_run
    /// # async fn example(api: agent_worker::api::RoomApi) -> Result<(), agent_worker::api::ApiError> {
    /// api.transfer_sip_participant("caller", "tel:+15105550100").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ApiError`]; [not found](ApiError::is_not_found) if there is no such participant.
    pub async fn transfer_sip_participant(
        &self,
        identity: &str,
        transfer: impl Into<SipTransfer>,
    ) -> Result<(), ApiError> {
        self.server.transfer_sip_participant(&self.name, identity, transfer).await
    }

    fn complete(&self, mut request: DispatchRequest) -> DispatchRequest {
        if request.room.is_empty() {
            request.room.clone_from(&self.name);
        }
        request
    }
}

impl fmt::Debug for RoomApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomApi").field("room", &self.name).field("server", &self.server).finish()
    }
}
