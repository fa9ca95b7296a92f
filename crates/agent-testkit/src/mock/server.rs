//! A LiveKit server for tests: the rules of the real one towards workers, and rooms without a network.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent_proto::livekit as wire;
use agent_worker::{
    Agent, BoxFuture, ByteStream, Dialer, JobKind, NetOptions, Secret, Worker, WorkerBuilder,
};
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::front::{self, Backend, ToWorker};
use super::hub::{GARBAGE, Hub};
use super::job::MockJob;
use super::room::{MockConnector, MockRoom};
use super::spec::JobSpec;
use super::timeline::Timeline;
use crate::server::{RoomSettings, Rules, ServerEvent};

/// How long a dispatch waits for a worker that could take it.
const WORKER_PATIENCE: Duration = Duration::from_secs(5);

/// A mock of a LiveKit server, faithful towards workers and without media.
///
/// It has the real one's WebSocket for workers and the parts of its API that they and tests need; the conformance suite runs on
/// both. Rooms live in the process: a worker under test joins them with the server's [connector](Self::connector), and the test
/// [plays](Self::room) who else is there.
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
    hub: Arc<Hub>,
    url: String,
    /// Whether workers reach it without a socket.
    in_process: bool,
    tasks: Vec<AbortHandle>,
}

/// Settings of a [`MockServer`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is started"]
pub struct MockServerBuilder {
    api_key: String,
    api_secret: Secret,
    listen: SocketAddr,
    rules: Rules,
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
    /// Several names are registered, and the job says none.
    #[error("workers of several agents are registered ({names}): say which one with `.agent_name(…)`")]
    SeveralAgents {
        /// Their names.
        names: String,
    },
}

impl MockServer {
    /// Starts one on a free port of the loopback address, with the key `devkey` and a secret.
    ///
    /// # Errors
    /// The system's refusal to listen.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// Settings for one.
    pub fn builder() -> MockServerBuilder {
        MockServerBuilder {
            api_key: "devkey".to_owned(),
            api_secret: Secret::from("secret-of-the-mock-server-0123456789"),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            rules: Rules::default(),
        }
    }

    /// Its address for workers, `ws://…`.
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

    /// Begins a worker of this server: with its address, key, secret and rooms.
    pub fn worker<A: Agent>(&self, agent: A) -> WorkerBuilder {
        let builder = Worker::builder(agent)
            .url(self.url())
            .credentials(self.api_key(), self.api_secret().clone())
            .connector(self.connector());
        if self.in_process {
            builder.net(NetOptions::default().dialer(InProcess(self.hub.clone())))
        } else {
            builder
        }
    }

    /// Joins its rooms, in the place of WebRTC.
    #[must_use]
    pub fn connector(&self) -> MockConnector {
        MockConnector::new(self.hub.clone())
    }

    /// A room, to play others in it and to see what the agent does. It is made when somebody joins it.
    #[must_use]
    pub fn room(&self, name: impl Into<String>) -> MockRoom {
        MockRoom::new(self.hub.clone(), name)
    }

    /// Dispatches a job; waits up to 5 s for a worker that could take it. The script of the spec begins at once.
    ///
    /// # Errors
    /// [`DispatchError`] if it is not clear for which agent it is.
    pub async fn dispatch(&self, spec: JobSpec) -> Result<MockJob, DispatchError> {
        let agent_name = match &spec.agent_name {
            Some(name) => {
                // Without such a worker, the outcome will say so.
                let _ = tokio::time::timeout(WORKER_PATIENCE, self.registered(Some(name))).await;
                name.clone()
            }
            None => {
                let first = tokio::time::timeout(WORKER_PATIENCE, self.registered(None)).await;
                self.only_name(&first.map_err(|_| DispatchError::NoWorker)?)?
            }
        };
        let room = self.room(&spec.room);
        self.hub.with(|server| {
            server.open_room(RoomSettings {
                name: spec.room.clone(),
                metadata: spec.room_metadata,
                ..RoomSettings::default()
            })
        });
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
        let dispatch = self.hub.with(|server| server.create_dispatch(request)).id;
        if let Some(script) = spec.script {
            tokio::spawn(script(room));
        }
        Ok(MockJob { hub: self.hub.clone(), room: spec.room, dispatch })
    }

    /// Everything that happened so far.
    #[must_use]
    pub fn events(&self) -> Vec<ServerEvent> {
        self.hub.log().into_iter().map(|(_, event)| event).collect()
    }

    /// Everything that happened so far, with its time.
    #[must_use]
    pub fn timeline(&self) -> Timeline {
        Timeline::of(&self.hub)
    }

    /// Everything that happens, one after the other, from the server's first event on.
    #[must_use]
    pub fn follow(&self) -> ServerEvents {
        ServerEvents { hub: self.hub.clone(), next: 0 }
    }

    /// Waits for the first event that the predicate takes, from the first one of the server on.
    pub async fn wait_for(&self, mut predicate: impl FnMut(&ServerEvent) -> bool) -> ServerEvent {
        self.hub.find(|event| predicate(event).then(|| event.clone())).await
    }

    /// Waits for the next events, one after the other, from the first one of the server on.
    pub async fn wait_for_count(&self, count: usize, mut predicate: impl FnMut(&ServerEvent) -> bool) {
        let mut left = count;
        self.hub
            .find(|event| {
                left -= usize::from(left > 0 && predicate(event));
                (left == 0).then_some(())
            })
            .await;
    }

    /// Fault: ends the connection of every worker without a word.
    pub fn cut_workers(&self) {
        self.hub.to_workers(|| ToWorker::Cut);
    }

    /// Fault: closes the connection of every worker with this code, as a server does that is stopped (1001) or drained.
    pub fn close_workers(&self, code: u16, reason: &str) {
        self.hub.to_workers(|| ToWorker::Close { code, reason: reason.to_owned() });
    }

    /// Fault: writes bytes that are no message to every worker.
    pub fn send_garbage(&self) {
        self.hub.to_workers(|| ToWorker::Raw(GARBAGE));
    }

    /// Fault: writes these bytes in a binary frame to every worker.
    pub fn send_bytes(&self, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.hub.to_workers(|| ToWorker::Raw(bytes.clone()));
    }

    /// Fault: while frozen, the server neither reads nor writes, and its connections stay open.
    pub fn freeze(&self, frozen: bool) {
        self.hub.set_faults(|faults| faults.frozen = frozen);
    }

    /// Fault: while on, every message to a worker is sent twice.
    pub fn double_messages(&self, on: bool) {
        self.hub.set_faults(|faults| faults.doubled = on);
    }

    /// Fault: while on, no message goes out to any worker; it still hears them.
    pub fn mute(&self, on: bool) {
        self.hub.set_faults(|faults| faults.mute = on);
    }

    /// Fault: while on, new connections are ended at once.
    pub fn refuse_connections(&self, on: bool) {
        self.hub.set_faults(|faults| faults.refusing = on);
    }

    pub(super) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// The name of the first worker with this name, or with any.
    async fn registered(&self, wanted: Option<&str>) -> String {
        let found = |event: &ServerEvent| match event {
            ServerEvent::Registered { agent_name, .. } => {
                let matches = wanted.map_or(!agent_name.is_empty(), |wanted| wanted == agent_name);
                matches.then(|| agent_name.clone())
            }
            _ => None,
        };
        self.hub.find(found).await
    }

    fn only_name(&self, first: &str) -> Result<String, DispatchError> {
        let names = self.hub.with(|server| server.agent_names());
        match names.len() {
            0 | 1 => Ok(names.into_iter().next().unwrap_or_else(|| first.to_owned())),
            _ => {
                Err(DispatchError::SeveralAgents { names: names.into_iter().collect::<Vec<_>>().join(", ") })
            }
        }
    }
}

impl ServerEvents {
    /// The next event; waits for it. Dropping the future loses nothing.
    pub async fn next(&mut self) -> ServerEvent {
        self.hub.find_from(&mut self.next, |event| Some(event.clone())).await
    }
}

impl MockServerBuilder {
    /// The key and secret of its API.
    pub fn credentials(mut self, key: impl Into<String>, secret: impl Into<Secret>) -> Self {
        self.api_key = key.into();
        self.api_secret = secret.into();
        self
    }

    /// Where to listen; a free port of the loopback address unless set.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Decides ids and which worker is asked first; 0 unless set.
    pub fn seed(mut self, seed: u64) -> Self {
        self.rules.seed = seed;
        self
    }

    /// How long after an assignment the server does not know the job yet: a final status in this time is lost, as it is on the real
    /// server in its first microseconds. Nothing unless set.
    pub fn lost_status_race(mut self, time: Duration) -> Self {
        self.rules.bookkeeping = time;
        self
    }

    /// How long a dispatch takes inside the server: nothing unless set, some 200 ms on the real one.
    pub fn dispatch_delay(mut self, time: Duration) -> Self {
        self.rules.dispatch_delay = time;
        self
    }

    /// How long a room stays to which nobody came (300 s), and one that everybody but agents has left (20 s).
    pub fn room_timeouts(mut self, empty: Duration, departure: Duration) -> Self {
        self.rules.empty_timeout = empty;
        self.rules.departure_timeout = departure;
        self
    }

    /// Starts it on a socket.
    ///
    /// # Errors
    /// The system's refusal to listen.
    pub async fn start(self) -> io::Result<MockServer> {
        let listener = TcpListener::bind(self.listen).await?;
        let url = format!("ws://{}", listener.local_addr()?);
        let mut server = self.without_socket(url, false);
        let hub = server.hub.clone();
        let accepting = tokio::spawn(async move {
            loop {
                // A refused connection is the client's trouble; the next one may do better.
                let Ok((stream, _)) = listener.accept().await else { continue };
                let _ = stream.set_nodelay(true);
                if !hub.faults().refusing {
                    tokio::spawn(front::serve(stream, hub.clone() as Arc<dyn Backend>));
                }
            }
        });
        server.tasks.push(accepting.abort_handle());
        Ok(server)
    }

    /// Starts it without a socket: only workers of this process reach it, those that [`MockServer::worker`] begins. Nothing in it waits
    /// for a network, so that it runs on virtual time.
    #[must_use]
    pub fn start_in_process(self) -> MockServer {
        self.without_socket("ws://mock-server".to_owned(), true)
    }

    fn without_socket(self, url: String, in_process: bool) -> MockServer {
        let hub = Hub::new(self.api_key, self.api_secret, self.rules);
        let clock = tokio::spawn(hub.clone().keep_time()).abort_handle();
        MockServer { hub, url, in_process, tasks: vec![clock] }
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

/// Connections that never leave the process.
struct InProcess(Arc<Hub>);

/// What a connection holds on its way, in bytes.
const PIPE: usize = 64 * 1024;

impl Dialer for InProcess {
    fn dial(&self, _: &str, _: u16) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async {
            if self.0.faults().refusing {
                return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
            }
            let (ours, theirs) = tokio::io::duplex(PIPE);
            tokio::spawn(front::serve(theirs, self.0.clone() as Arc<dyn Backend>));
            Ok(Box::new(ours) as Box<dyn ByteStream>)
        })
    }
}
