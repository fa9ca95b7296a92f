//! Dispatch of agents by name.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use agent_proto::livekit;

use super::client::ServerApi;
use super::error::ApiError;

/// A dispatch without a job after this time stays without one: the server looks for workers for at most 5 s
/// and gives up an offer after 3 s, whatever the number of workers. It lists a job only when that search is
/// over, even if the job has ended already.
const JOB_TIMEOUT: Duration = Duration::from_millis(8500);

const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// A request to dispatch an agent to a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a request does nothing until it is sent"]
#[non_exhaustive]
pub struct DispatchRequest {
    /// The agent name under which the workers are registered.
    pub agent_name: String,
    /// The room's name.
    pub room: String,
    /// The metadata of the job.
    pub metadata: String,
    /// The attributes of the job.
    pub attributes: BTreeMap<String, String>,
    /// Restricts the dispatch to workers of this deployment; empty: all workers.
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

    /// Sets the metadata of the job.
    pub fn metadata(mut self, metadata: impl Into<String>) -> Self {
        self.metadata = metadata.into();
        self
    }

    /// Sets one attribute of the job.
    pub fn attribute(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.insert(key.into(), value.into());
        self
    }

    /// Restricts the dispatch to workers of this deployment.
    pub fn deployment(mut self, deployment: impl Into<String>) -> Self {
        self.deployment = deployment.into();
        self
    }
}

impl ServerApi {
    /// Dispatches an agent to a room. Each call dispatches another one.
    ///
    /// # Errors
    /// [`ApiError`]. A missing worker is not an error: the server drops the job silently.
    pub async fn create_dispatch(&self, request: DispatchRequest) -> Result<DispatchInfo, ApiError> {
        let token = self.token().administer_room(&request.room);
        let request = livekit::CreateAgentDispatchRequest {
            agent_name: request.agent_name,
            room: request.room,
            metadata: request.metadata,
            restart_policy: livekit::JobRestartPolicy::JrpOnFailure.into(),
            deployment: request.deployment,
            attributes: request.attributes,
        };
        let dispatch: livekit::AgentDispatch =
            self.call("AgentDispatchService/CreateDispatch", token, &request).await?;
        Ok(dispatch.into())
    }

    /// Dispatches an agent to a room and waits until the server has recorded a job for it. A dispatch without
    /// a job is replaced.
    ///
    /// The server silently drops a dispatch for which it finds no free worker, and also one that is made in
    /// the moment after its worker registered. Calling [`create_dispatch`](Self::create_dispatch) again
    /// without checking may start a second agent: the first dispatch may have been accepted meanwhile.
    ///
    /// The server lists a job 0.2 to 5 s after a worker accepted it. A dispatch without a job after 8.5 s is
    /// replaced until `within` is over. The last one gets its full 8.5 s, too, so that no job is ended that
    /// is not listed yet: the call may take that much longer than `within`.
    ///
    /// ```no_run
    /// # async fn example(api: agent_testkit::ServerApi) -> Result<(), agent_testkit::ApiError> {
    /// use agent_testkit::DispatchRequest;
    /// use std::time::Duration;
    ///
    /// let dispatch = api.ensure_dispatch(DispatchRequest::new("greeter", "lobby"), Duration::from_secs(10)).await?;
    /// println!("job {}", dispatch.jobs[0].id);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ApiError`]; [`NotTaken`](ApiError::NotTaken) if no worker accepted in time; its dispatch is then
    /// deleted.
    pub async fn ensure_dispatch(
        &self,
        request: DispatchRequest,
        within: Duration,
    ) -> Result<DispatchInfo, ApiError> {
        let end = Instant::now() + within;
        loop {
            let dispatch = self.create_dispatch(request.clone()).await?;
            // Waits past `end` if it must: deleting earlier could end a job that is accepted and not listed
            // yet.
            let round_end = Instant::now() + JOB_TIMEOUT;
            let round = self.wait_for_job(&request.room, &dispatch.id);
            let taken = tokio::select! {
                taken = round => Some(taken?),
                () = sleep_until(round_end) => None,
            };
            if let Some(dispatch) = taken {
                return Ok(dispatch);
            }
            // Without the deletion a worker that registers later would be offered the job, beside its
            // replacement.
            match self.delete_dispatch(&request.room, &dispatch.id).await {
                Ok(deleted) if !deleted.jobs.is_empty() => return Ok(deleted),
                Err(error) if !error.is_not_found() => return Err(error),
                Ok(_) | Err(_) => {}
            }
            if Instant::now() >= end {
                return Err(ApiError::NotTaken { agent_name: request.agent_name, within });
            }
        }
    }

    /// Waits until the dispatch has a job.
    async fn wait_for_job(&self, room: &str, dispatch_id: &str) -> Result<DispatchInfo, ApiError> {
        loop {
            let listed = self.list_dispatches(room).await?;
            let found = listed.into_iter().find(|dispatch| dispatch.id == dispatch_id);
            if let Some(dispatch) = found.filter(|dispatch| !dispatch.jobs.is_empty()) {
                return Ok(dispatch);
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Lists all dispatches of a room; a room that agents without a name may join has one without a name.
    ///
    /// # Errors
    /// [`ApiError`]
    pub async fn list_dispatches(&self, room: &str) -> Result<Vec<DispatchInfo>, ApiError> {
        let token = self.token().administer_room(room);
        let request = livekit::ListAgentDispatchRequest { room: room.to_owned(), ..Default::default() };
        let response: livekit::ListAgentDispatchResponse =
            self.call("AgentDispatchService/ListDispatch", token, &request).await?;
        Ok(response.agent_dispatches.into_iter().map(DispatchInfo::from).collect())
    }

    /// Deletes a dispatch: its jobs are terminated, and their agents removed from the room 3 s later.
    ///
    /// # Errors
    /// [`ApiError`]; [not found](ApiError::is_not_found) if there is none.
    pub async fn delete_dispatch(&self, room: &str, dispatch_id: &str) -> Result<DispatchInfo, ApiError> {
        let token = self.token().administer_room(room);
        let request = livekit::DeleteAgentDispatchRequest {
            dispatch_id: dispatch_id.to_owned(),
            room: room.to_owned(),
        };
        let dispatch: livekit::AgentDispatch =
            self.call("AgentDispatchService/DeleteDispatch", token, &request).await?;
        Ok(dispatch.into())
    }
}

impl From<livekit::AgentDispatch> for DispatchInfo {
    fn from(dispatch: livekit::AgentDispatch) -> Self {
        let jobs = dispatch.state.map(|state| state.jobs).unwrap_or_default();
        Self {
            id: dispatch.id,
            agent_name: dispatch.agent_name,
            room: dispatch.room,
            metadata: dispatch.metadata,
            attributes: dispatch.attributes,
            jobs: jobs.into_iter().map(DispatchedJob::from).collect(),
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::{Arc, Mutex};

    use bytes::Bytes;
    use http_body_util::Full;
    use hyper::body::Incoming;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper::{Request, Response};
    use hyper_util::rt::TokioIo;
    use tokio::net::TcpListener;

    use agent_proto::encode;

    use super::*;

    /// A server that lists the job of its dispatch from the second request on, and the methods that were
    /// called.
    async fn listing_late() -> (ServerApi, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap()).parse().unwrap();
        let calls: Arc<Mutex<Vec<String>>> = Arc::default();
        let called = Arc::clone(&calls);
        tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let called = Arc::clone(&called);
                let answer = service_fn(move |request: Request<Incoming>| {
                    let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
                    let body = answer(&method, &mut called.lock().unwrap());
                    async { Ok::<_, Infallible>(Response::new(Full::new(body))) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(tcp), answer));
            }
        });
        (ServerApi::new(&url, "key", "secret").unwrap(), calls)
    }

    fn answer(method: &str, calls: &mut Vec<String>) -> Bytes {
        let looks = calls.iter().filter(|call| *call == "ListDispatch").count();
        calls.push(method.to_owned());
        let mut dispatch = livekit::AgentDispatch { id: "AD_1".into(), ..Default::default() };
        if method != "ListDispatch" {
            return encode(&dispatch);
        }
        if looks > 0 {
            let job = livekit::Job { id: "AJ_1".into(), ..Default::default() };
            dispatch.state = Some(livekit::AgentDispatchState { jobs: vec![job], ..Default::default() });
        }
        encode(&livekit::ListAgentDispatchResponse { agent_dispatches: vec![dispatch] })
    }

    #[tokio::test]
    async fn a_job_that_is_listed_after_the_time_is_not_ended() {
        let (api, calls) = listing_late().await;
        let dispatch = api.ensure_dispatch(DispatchRequest::new("a", "r"), Duration::ZERO).await;
        assert_eq!(
            *calls.lock().unwrap(),
            ["CreateDispatch", "ListDispatch", "ListDispatch"],
            "{dispatch:?}"
        );
        assert_eq!(dispatch.unwrap().jobs[0].id, "AJ_1");
    }
}
