//! API calls for the participants of a room.

use std::collections::BTreeMap;

use agent_proto::livekit;
use agent_proto::text::owned_pairs;

use super::call::Call;
use super::client::ServerApi;
use super::error::ApiError;
use super::permissions::ParticipantPermissions;

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
    /// What it may do.
    pub permissions: ParticipantPermissions,
}

/// The kinds of participants that this API distinguishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParticipantSummaryKind {
    /// A person or an application.
    Standard,
    /// An agent.
    Agent,
    /// A caller, over SIP.
    Sip,
    /// Another kind.
    Other,
}

/// Changes to a participant; what is not set stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[must_use = "a change does nothing until it is sent"]
pub struct ParticipantChange {
    name: String,
    metadata: String,
    attributes: BTreeMap<String, String>,
    permissions: Option<ParticipantPermissions>,
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

    /// Changes the values of attributes; an empty value removes one.
    pub fn attributes<K: Into<String>, V: Into<String>>(
        mut self,
        attributes: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.attributes.extend(owned_pairs(attributes));
        self
    }

    /// Replaces all permissions.
    pub fn permissions(mut self, permissions: ParticipantPermissions) -> Self {
        self.permissions = Some(permissions);
        self
    }
}

impl ServerApi {
    /// Lists the participants of a room; none if there is no such room.
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn list_participants(&self, room: &str) -> Result<Vec<ParticipantSummary>, ApiError> {
        let request = livekit::ListParticipantsRequest { room: room.to_owned() };
        let response: livekit::ListParticipantsResponse =
            self.call(Call::ListParticipants, room, &request).await?;
        Ok(response.participants.into_iter().map(ParticipantSummary::from).collect())
    }

    /// Returns a participant of a room.
    ///
    /// # Errors
    /// [`ApiError`]; [not found](ApiError::is_not_found) if it is not there.
    pub async fn participant(&self, room: &str, identity: &str) -> Result<ParticipantSummary, ApiError> {
        let request =
            livekit::RoomParticipantIdentity { room: room.to_owned(), identity: identity.to_owned() };
        let participant: livekit::ParticipantInfo = self.call(Call::GetParticipant, room, &request).await?;
        Ok(participant.into())
    }

    /// Removes a participant from a room. Its token stays valid, so it may join again.
    ///
    /// # Errors
    /// [`ApiError`]; [not found](ApiError::is_not_found) if it is not there.
    pub async fn remove_participant(&self, room: &str, identity: &str) -> Result<(), ApiError> {
        let request =
            livekit::RoomParticipantIdentity { room: room.to_owned(), identity: identity.to_owned() };
        let _: livekit::RemoveParticipantResponse =
            self.call(Call::RemoveParticipant, room, &request).await?;
        Ok(())
    }

    /// Changes a participant's name, metadata, attributes or permissions.
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
            permission: change.permissions.map(livekit::ParticipantPermission::from),
            name: change.name,
            attributes: change.attributes,
        };
        let participant: livekit::ParticipantInfo =
            self.call(Call::UpdateParticipant, room, &request).await?;
        Ok(participant.into())
    }

    /// Mutes a participant's track, or unmutes it if the server is configured to allow that.
    ///
    /// # Errors
    /// [`ApiError`]. A server may ignore a track that does not exist.
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
        let _: livekit::MuteRoomTrackResponse = self.call(Call::MuteTrack, room, &request).await?;
        Ok(())
    }
}

impl From<livekit::UpdateParticipantRequest> for ParticipantChange {
    fn from(request: livekit::UpdateParticipantRequest) -> Self {
        Self {
            name: request.name,
            metadata: request.metadata,
            attributes: request.attributes,
            permissions: request.permission.map(ParticipantPermissions::from),
        }
    }
}

impl From<livekit::ParticipantInfo> for ParticipantSummary {
    fn from(info: livekit::ParticipantInfo) -> Self {
        use livekit::participant_info::{Kind, State};
        Self {
            kind: match info.kind() {
                Kind::Standard => ParticipantSummaryKind::Standard,
                Kind::Agent => ParticipantSummaryKind::Agent,
                Kind::Sip => ParticipantSummaryKind::Sip,
                _ => ParticipantSummaryKind::Other,
            },
            active: info.state() == State::Active,
            identity: info.identity,
            sid: info.sid,
            name: info.name,
            metadata: info.metadata,
            attributes: info.attributes,
            track_sids: info.tracks.into_iter().map(|track| track.sid).collect(),
            permissions: info.permission.map(ParticipantPermissions::from).unwrap_or_default(),
        }
    }
}
