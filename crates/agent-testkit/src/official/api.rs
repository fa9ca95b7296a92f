//! LiveKit's own client of a server's API.

use serde::Deserialize;
use serde_json::json;

use agent_net::{DispatchInfo, DispatchRequest};
use agent_worker::Secret;

use super::error::ClientError;
use super::host::OfficialHost;

/// LiveKit's Python client of a server's API, in the process of an [`OfficialHost`].
///
/// ```no_run
/// # async fn example(server: &agent_testkit::RealServer) -> Result<(), agent_testkit::ClientError> {
/// use agent_testkit::{DispatchRequest, OfficialApi, OfficialHost};
///
/// let host = OfficialHost::shared().await?;
/// let api = OfficialApi::new(host, server.http_url(), server.api_key(), server.api_secret().clone());
/// let dispatches = api.create_dispatches(vec![DispatchRequest::new("greeter", "lobby")]).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct OfficialApi {
    host: OfficialHost,
    url: String,
    api_key: String,
    api_secret: Secret,
}

#[derive(Deserialize)]
struct Created {
    dispatches: Vec<Dispatch>,
}

#[derive(Deserialize)]
struct Dispatch {
    id: String,
    agent_name: String,
    room: String,
    metadata: String,
}

impl OfficialApi {
    /// Creates a client of the server at this address.
    pub fn new(
        host: OfficialHost,
        url: impl Into<String>,
        api_key: impl Into<String>,
        api_secret: impl Into<Secret>,
    ) -> Self {
        Self { host, url: url.into(), api_key: api_key.into(), api_secret: api_secret.into() }
    }

    /// Dispatches agents to rooms concurrently; the responses are in the order of the requests. Attributes
    /// and deployments, which only our own client sends, are omitted.
    ///
    /// # Errors
    /// [`ClientError::Failed`] with the client's error for the first refused request.
    pub async fn create_dispatches(
        &self,
        requests: Vec<DispatchRequest>,
    ) -> Result<Vec<DispatchInfo>, ClientError> {
        let requests: Vec<_> = requests
            .into_iter()
            .map(|request| {
                json!({ "agent_name": request.agent_name, "room": request.room, "metadata": request.metadata })
            })
            .collect();
        let fields = json!({
            "url": self.url,
            "api_key": self.api_key,
            "api_secret": self.api_secret.expose(),
            "requests": requests,
        });
        let operation = "create_dispatches";
        // Client number 0 is the host itself.
        let answer = self.host.ask(0, operation, fields).await?;
        let created: Created = serde_json::from_value(answer).map_err(|error| ClientError::Failed {
            operation: operation.into(),
            reason: error.to_string(),
        })?;
        Ok(created.dispatches.into_iter().map(DispatchInfo::from).collect())
    }

    /// Dispatches an agent to `count` rooms, `ROOM-0`, `ROOM-1` and so on; the metadata of each is its
    /// number.
    ///
    /// # Errors
    /// As [`create_dispatches`](Self::create_dispatches).
    pub async fn dispatch_many(
        &self,
        agent_name: &str,
        room: &str,
        count: usize,
    ) -> Result<Vec<DispatchInfo>, ClientError> {
        let request = |number: usize| {
            DispatchRequest::new(agent_name, format!("{room}-{number}")).metadata(number.to_string())
        };
        self.create_dispatches((0..count).map(request).collect()).await
    }
}

impl From<Dispatch> for DispatchInfo {
    fn from(dispatch: Dispatch) -> Self {
        let Dispatch { id, agent_name, room, metadata } = dispatch;
        let mut info = Self::default();
        (info.id, info.agent_name, info.room, info.metadata) = (id, agent_name, room, metadata);
        info
    }
}
