//! A LiveKit server for tests: the rules of the real server towards workers, and rooms without a network.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use agent_proto::livekit as wire;
use agent_server::Hub;
use agent_server::ToWorker;
use agent_server::{CreateDispatch, OpenRoom, Refusal, Server, ServerEvent};
use agent_worker::net::NetOptions;
use agent_worker::{Agent, JobKind, Secret, Worker, WorkerBuilder};

use super::builder::{InProcess, MockServerBuilder};
use super::connector::MockConnector;
use super::job::MockJob;
use super::order::Order;
use super::room::MockRoom;
use super::spec::JobSpec;
use super::timeline::Timeline;

/// How long a dispatch waits for a worker that could accept it.
const WORKER_TIMEOUT: Duration = Duration::from_secs(5);

/// A mock of a LiveKit server, faithful towards workers and without media.
///
/// It has the real server's WebSocket for workers and the parts of its API that they and tests need; the
/// conformance suite runs on both. Rooms exist in the process: a worker under test joins them with the
/// server's [connector](Self::connector), and the test [plays](Self::room) the other participants.
///
/// ```
/// use agent_testkit::{JobSpec, MockServer};
/// use agent_worker::{JobContext, JobResult, Outcome};
///
/// async fn echo(ctx: JobContext) -> JobResult {
///     ctx.room().publish_data("echo", ctx.job().raw_metadata.clone()).await?;
///     Ok(())
/// }
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// let server = MockServer::start().await?;
/// let worker = server.worker(echo).agent_name("echo").build()?;
/// tokio::spawn(worker.run());
///
/// let job = server.dispatch(JobSpec::room("lobby").metadata("hello")).await?;
/// assert_eq!(job.outcome().await?, Outcome::Success);
/// assert_eq!(job.room().sent()[0].text(), "hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct MockServer {
    pub(super) hub: Arc<Hub>,
    pub(super) order: Order,
    pub(super) url: String,
    /// Whether workers reach it without a socket.
    pub(super) in_process: bool,
    pub(super) tasks: Vec<AbortHandle>,
}

/// The events of a [`MockServer`], from [`MockServer::follow`].
pub struct ServerEvents {
    hub: Arc<Hub>,
    next: u64,
}

/// Why a job could not be dispatched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DispatchError {
    /// No worker with a name registered in time.
    #[error("no worker registered with an agent name within 5 s: run one, or give the job an agent name")]
    NoWorker,
    /// Workers of several names are registered, and the job names none of them.
    #[error("workers of several agents are registered ({names}): choose one with `.agent_name(…)`")]
    SeveralAgents {
        /// The names.
        names: String,
    },
    /// The server has a job with this id already.
    #[error("a job with id {id:?} exists already: use a unique `.job_id(…)`, or let the server choose")]
    JobIdTaken {
        /// The id.
        id: String,
    },
    /// The server refused the dispatch.
    #[error("the server refused the dispatch: {reason}")]
    Refused {
        /// The server's reason.
        reason: String,
    },
}

impl MockServer {
    /// Starts a server on a free port of the loopback address, with the key `devkey` and a secret.
    ///
    /// # Errors
    /// The system's error if it cannot listen.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// The settings of a server.
    pub fn builder() -> MockServerBuilder {
        MockServerBuilder::default()
    }

    /// The URL for workers, `ws://…`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// The key of its API.
    #[must_use]
    pub fn api_key(&self) -> &str {
        &self.hub.api_key
    }

    /// The secret of its API.
    #[must_use]
    pub fn api_secret(&self) -> &Secret {
        &self.hub.api_secret
    }

    /// The builder of a worker for this server: with its URL, key, secret and rooms.
    pub fn worker<A: Agent>(&self, agent: A) -> WorkerBuilder {
        let builder = Worker::builder(agent)
            .url(self.url())
            .credentials(self.api_key(), self.api_secret().clone())
            .connector(self.connector());
        builder.net(self.net_options())
    }

    /// The network options for a worker that is built by hand: a server without a socket is reached within
    /// the process.
    #[must_use]
    pub fn net_options(&self) -> NetOptions {
        let options = NetOptions::default();
        if self.in_process { options.dialer(InProcess(self.hub.clone())) } else { options }
    }

    /// The connector that joins its rooms, instead of WebRTC.
    #[must_use]
    pub fn connector(&self) -> MockConnector {
        MockConnector::new(self.hub.clone(), self.order.clone())
    }

    /// A room, to play others in it and to inspect what the agent does. It is created when somebody joins it.
    #[must_use]
    pub fn room(&self, name: impl Into<String>) -> MockRoom {
        MockRoom::new(self.hub.clone(), self.order.clone(), name)
    }

    /// Dispatches a job; waits up to 5 s for a worker that could accept it. The script of the spec begins
    /// immediately.
    ///
    /// # Errors
    /// [`DispatchError`] if the agent or the job is ambiguous.
    pub async fn dispatch(&self, spec: JobSpec) -> Result<MockJob, DispatchError> {
        let agent_name = match &spec.agent_name {
            Some(name) => {
                // Without such a worker the outcome is an error.
                let _ = tokio::time::timeout(WORKER_TIMEOUT, self.registered(Some(name))).await;
                name.clone()
            }
            None => {
                let names = tokio::time::timeout(WORKER_TIMEOUT, self.registered(None)).await;
                let names: Vec<String> = names.map_err(|_| DispatchError::NoWorker)?.into_iter().collect();
                match &names[..] {
                    [name] => name.clone(),
                    names => return Err(DispatchError::SeveralAgents { names: names.join(", ") }),
                }
            }
        };
        let room = self.room(&spec.room);
        let open = OpenRoom { name: spec.room.clone(), metadata: spec.room_metadata, ..OpenRoom::default() };
        self.hub.call(open).map_err(dispatch_error)?;
        for participant in spec.participants {
            let there = room.join_as(participant);
            if spec.kind == JobKind::Publisher && spec.target.as_deref() == Some(there.identity()) {
                there.publish_microphone();
            }
        }
        let request = wire::CreateAgentDispatchRequest {
            agent_name,
            room: spec.room.clone(),
            metadata: spec.metadata,
            deployment: spec.deployment,
            attributes: spec.attributes,
            ..Default::default()
        };
        let create = CreateDispatch { request, flags: spec.flags, job_id: spec.id };
        let dispatch = self.hub.call(create).map_err(dispatch_error)?;
        let (panicked, panics) = mpsc::unbounded_channel();
        for script in spec.scripts {
            let (order, script, panicked) = (self.order.clone(), script(room.clone()), panicked.clone());
            tokio::spawn(async move {
                if let Err(panic) = AssertUnwindSafe(order.run(script)).catch_unwind().await {
                    let _ = panicked.send(panic);
                }
            });
        }
        let (hub, order, panics) = (self.hub.clone(), self.order.clone(), panics.into());
        Ok(MockJob { hub, order, room: spec.room, dispatch: dispatch.id, target: spec.target, panics })
    }

    /// All events so far; if there are more than [`history`](MockServerBuilder::history), the newest.
    #[must_use]
    pub fn events(&self) -> Vec<ServerEvent> {
        self.hub.log().into_iter().map(|(_, event)| event).collect()
    }

    /// All events so far, with their times.
    #[must_use]
    pub fn timeline(&self) -> Timeline {
        Timeline::of(&self.hub)
    }

    /// The events from the server's first one on. A reader so slow that the next event is no longer
    /// [kept](MockServerBuilder::history) continues with the oldest one that is.
    #[must_use]
    pub fn follow(&self) -> ServerEvents {
        ServerEvents { hub: self.hub.clone(), next: 0 }
    }

    /// Waits for the first event that the predicate accepts, from the server's first one on.
    pub async fn wait_for(&self, mut predicate: impl FnMut(&ServerEvent) -> bool) -> ServerEvent {
        self.hub.find(|event| predicate(event).then(|| event.clone())).await
    }

    /// Waits for the first `count` events that the predicate accepts, from the server's first one on.
    pub async fn wait_for_count(&self, count: usize, mut predicate: impl FnMut(&ServerEvent) -> bool) {
        let mut left = count;
        self.hub
            .find(|event| {
                left -= usize::from(left > 0 && predicate(event));
                (left == 0).then_some(())
            })
            .await;
    }

    pub(super) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// The names of all workers, once one with this name, or with any name, is registered.
    async fn registered(&self, wanted: Option<&str>) -> BTreeSet<String> {
        let look = |server: &Server| {
            let names = server.agent_names();
            wanted.map_or(!names.is_empty(), |wanted| names.contains(wanted)).then_some(names)
        };
        self.hub.until(look).await
    }
}

fn dispatch_error(refusal: Refusal) -> DispatchError {
    match refusal {
        Refusal::JobIdTaken { id } => DispatchError::JobIdTaken { id },
        refusal => DispatchError::Refused { reason: refusal.to_string() },
    }
}

impl ServerEvents {
    /// Waits for the next event. Cancel-safe.
    pub async fn next(&mut self) -> ServerEvent {
        self.hub.find_from(&mut self.next, |event| Some(event.clone())).await
    }
}

impl Drop for MockServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.hub.to_workers(|| ToWorker::Cut);
    }
}

impl fmt::Debug for MockServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockServer").field("url", &self.url).finish_non_exhaustive()
    }
}

impl fmt::Debug for ServerEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerEvents").field("next", &self.next).finish_non_exhaustive()
    }
}
