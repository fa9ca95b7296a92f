//! Dispatch of agents by name.

use std::collections::BTreeMap;

use agent_proto::livekit;
use agent_proto::text::owned_pairs;

use super::call::Call;
use super::client::ServerApi;
use super::error::ApiError;

/// A request to dispatch an agent to a room.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[must_use = "a request does nothing until it is sent"]
#[non_exhaustive]
pub struct DispatchRequest {
    /// The agent name under which the workers are registered.
    pub agent_name: String,
    /// The room's name; [`RoomApi`](super::RoomApi) takes its own room if there is none.
    pub room: String,
    /// The metadata of the job.
    pub metadata: String,
    /// The attributes of the job.
    pub attributes: BTreeMap<String, String>,
    /// The deployment whose workers are offered its jobs; empty: workers without a deployment.
    pub deployment: String,
}

/// A dispatch as the server reports it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DispatchInfo {
    /// `AD_…`
    pub id: String,
    /// The agent's name.
    pub agent_name: String,
    /// The room's name.
    pub room: String,
    /// The metadata of its jobs.
    pub metadata: String,
    /// The attributes of its jobs.
    pub attributes: BTreeMap<String, String>,
    /// The deployment whose workers are offered its jobs; empty: workers without a deployment.
    pub deployment: String,
    /// When the server created it, in nanoseconds since 1970.
    pub(super) created_at: i64,
    pub(super) is_deleted: bool,
    /// Its jobs so far. The server adds a job some 200 ms to 1 s after the dispatch.
    pub jobs: Vec<DispatchedJob>,
}

/// A job of a dispatch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DispatchedJob {
    /// `AJ_…`
    pub id: String,
    /// The state that the server reports. The open-source server keeps reporting `Running` for an ended job;
    /// its log has the actual state.
    pub state: JobState,
    /// The error of a failed job.
    pub error: String,
    /// The worker that runs the job.
    pub worker_id: String,
    /// The identity of the job's agent participant.
    pub participant_identity: String,
}

/// The state of a job, in the server's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobState {
    /// Not offered yet.
    Pending,
    /// Offered, or running.
    Running,
    /// Ended successfully.
    Success,
    /// Failed.
    Failed,
    /// A state that this version does not know.
    Other(i32),
}

impl DispatchRequest {
    /// Dispatches this agent to this room, which is created if it does not exist.
    pub fn new(agent_name: impl Into<String>, room: impl Into<String>) -> Self {
        Self { agent_name: agent_name.into(), room: room.into(), ..Self::default() }
    }

    /// Dispatches this agent to the room of the [`RoomApi`](super::RoomApi) that the request is given to.
    pub fn agent(agent_name: impl Into<String>) -> Self {
        Self::new(agent_name, "")
    }

    /// Sets the metadata of the job.
    pub fn metadata(mut self, metadata: impl Into<String>) -> Self {
        self.metadata = metadata.into();
        self
    }

    /// Adds attributes of the job.
    pub fn attributes<K: Into<String>, V: Into<String>>(
        mut self,
        attributes: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.attributes.extend(owned_pairs(attributes));
        self
    }

    /// Offers its jobs to the workers of this deployment only, instead of those without a deployment.
    pub fn deployment(mut self, deployment: impl Into<String>) -> Self {
        self.deployment = deployment.into();
        self
    }
}

/// As [`DispatchRequest::agent`].
impl From<&str> for DispatchRequest {
    fn from(agent_name: &str) -> Self {
        Self::agent(agent_name)
    }
}

impl ServerApi {
    /// Dispatches an agent to a room. Each call dispatches another one.
    ///
    /// # Errors
    /// [`ApiError`]. A missing worker is not an error: the server drops the job silently.
    pub async fn create_dispatch(&self, request: DispatchRequest) -> Result<DispatchInfo, ApiError> {
        let request = livekit::CreateAgentDispatchRequest {
            agent_name: request.agent_name,
            room: request.room,
            metadata: request.metadata,
            restart_policy: livekit::JobRestartPolicy::JrpOnFailure.into(),
            deployment: request.deployment,
            attributes: request.attributes,
        };
        let dispatch: livekit::AgentDispatch =
            self.call(Call::CreateDispatch, &request.room, &request).await?;
        Ok(dispatch.into())
    }

    /// Lists all dispatches of a room; a room that agents without a name may join has one without a name.
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn list_dispatches(&self, room: &str) -> Result<Vec<DispatchInfo>, ApiError> {
        let request = livekit::ListAgentDispatchRequest { room: room.to_owned(), ..Default::default() };
        let response: livekit::ListAgentDispatchResponse =
            self.call(Call::ListDispatch, room, &request).await?;
        Ok(response.agent_dispatches.into_iter().map(DispatchInfo::from).collect())
    }

    /// Deletes a dispatch: its jobs are terminated, and their agents removed from the room 3 s later.
    ///
    /// # Errors
    /// [`ApiError`]; [not found](ApiError::is_not_found) if there is none.
    pub async fn delete_dispatch(&self, room: &str, dispatch_id: &str) -> Result<DispatchInfo, ApiError> {
        let request = livekit::DeleteAgentDispatchRequest {
            dispatch_id: dispatch_id.to_owned(),
            room: room.to_owned(),
        };
        let dispatch: livekit::AgentDispatch = self.call(Call::DeleteDispatch, room, &request).await?;
        Ok(dispatch.into())
    }
}

impl From<livekit::CreateAgentDispatchRequest> for DispatchRequest {
    fn from(request: livekit::CreateAgentDispatchRequest) -> Self {
        Self {
            agent_name: request.agent_name,
            room: request.room,
            metadata: request.metadata,
            attributes: request.attributes,
            deployment: request.deployment,
        }
    }
}

impl From<livekit::AgentDispatch> for DispatchInfo {
    fn from(dispatch: livekit::AgentDispatch) -> Self {
        let state = dispatch.state.unwrap_or_default();
        Self {
            id: dispatch.id,
            agent_name: dispatch.agent_name,
            room: dispatch.room,
            metadata: dispatch.metadata,
            attributes: dispatch.attributes,
            deployment: dispatch.deployment,
            created_at: state.created_at,
            is_deleted: state.deleted_at != 0,
            jobs: state.jobs.into_iter().map(DispatchedJob::from).collect(),
        }
    }
}

impl From<livekit::Job> for DispatchedJob {
    fn from(job: livekit::Job) -> Self {
        let state = job.state.unwrap_or_default();
        Self {
            id: job.id,
            state: match livekit::JobStatus::try_from(state.status) {
                Ok(livekit::JobStatus::JsPending) => JobState::Pending,
                Ok(livekit::JobStatus::JsRunning) => JobState::Running,
                Ok(livekit::JobStatus::JsSuccess) => JobState::Success,
                Ok(livekit::JobStatus::JsFailed) => JobState::Failed,
                Err(_) => JobState::Other(state.status),
            },
            error: state.error,
            worker_id: state.worker_id,
            participant_identity: state.participant_identity,
        }
    }
}
