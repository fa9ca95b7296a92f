//! The description of a job to run, and of its room.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use agent_proto::text::owned_pairs;
use agent_server::JobFlags;
use agent_worker::room::Participant;
use agent_worker::{BoxFuture, JobKind, WorkerBuilder};

use super::fault_plan::ServerFault;
use super::room::MockRoom;

/// A job for a test, and the room around it.
///
/// ```
/// use agent_testkit::JobSpec;
///
/// let spec = JobSpec::room("lobby")
///     .metadata(r#"{"name":"Ada"}"#)
///     .participant("ada")
///     .script(|room| async move {
///         room.wait_for_agent().await;
///         room.join("bob").send_data("chat", "hello");
///     });
/// ```
#[must_use = "a job runs only when it is given to a server or to run_job"]
pub struct JobSpec {
    pub(super) id: Option<String>,
    pub(super) room: String,
    pub(super) room_metadata: String,
    pub(super) kind: JobKind,
    pub(super) agent_name: Option<String>,
    pub(super) deployment: String,
    pub(super) metadata: String,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) flags: JobFlags,
    pub(super) participants: Vec<Participant>,
    /// The target participant of a participant or publisher job.
    pub(super) target: Option<String>,
    pub(super) scripts: Vec<Script>,
    /// The waits before faults, and the faults.
    pub(super) faults: Vec<(Duration, ServerFault)>,
    pub(super) seed: u64,
    pub(super) worker: Option<Configure>,
    pub(super) lasts: Duration,
}

type Script = Box<dyn FnOnce(MockRoom) -> BoxFuture<'static, ()> + Send>;
type Configure = Box<dyn FnOnce(WorkerBuilder) -> WorkerBuilder + Send>;

impl JobSpec {
    /// A job for a room.
    pub fn room(name: impl Into<String>) -> Self {
        Self {
            id: None,
            room: name.into(),
            room_metadata: String::new(),
            kind: JobKind::Room,
            agent_name: None,
            deployment: String::new(),
            metadata: String::new(),
            attributes: BTreeMap::new(),
            flags: JobFlags::default(),
            participants: Vec::new(),
            target: None,
            scripts: Vec::new(),
            faults: Vec::new(),
            seed: 0,
            worker: None,
            lasts: Duration::from_secs(60),
        }
    }

    /// A job for this participant of a room, who is in the room when the job begins.
    pub fn for_participant(room: impl Into<String>, identity: impl Into<String>) -> Self {
        let identity = identity.into();
        Self { kind: JobKind::Participant, target: Some(identity.clone()), ..Self::room(room) }
            .participant(identity)
    }

    /// A job for this participant of a room, who is in the room and publishes a microphone when the job
    /// begins.
    pub fn for_publisher(room: impl Into<String>, identity: impl Into<String>) -> Self {
        let identity = identity.into();
        Self { kind: JobKind::Publisher, target: Some(identity.clone()), ..Self::room(room) }
            .participant(identity)
    }

    /// Sets the job's id; of several jobs, that of the first one. By default the server chooses it (`AJ_…`).
    pub fn job_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sets the job's metadata, usually JSON.
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

    /// Whether the server requests that the session is recorded, as LiveKit Cloud does.
    pub fn recording(mut self, enable: bool) -> Self {
        self.flags.recording = enable;
        self
    }

    /// Whether the server requests that personal data are redacted, as LiveKit Cloud does.
    pub fn redaction(mut self, enable: bool) -> Self {
        self.flags.redaction = enable;
        self
    }

    /// Adds a participant who is in the room before the agent.
    pub fn participant(self, identity: impl Into<String>) -> Self {
        self.participant_as(Participant::new("", identity))
    }

    /// Adds a participant with a name, metadata or attributes, who is in the room before the agent.
    pub fn participant_as(mut self, participant: Participant) -> Self {
        self.participants.push(participant);
        self
    }

    /// Sets the room's own metadata.
    pub fn room_metadata(mut self, metadata: impl Into<String>) -> Self {
        self.room_metadata = metadata.into();
        self
    }

    /// Sets the agent to dispatch. By default that of the one worker that has registered with a name.
    pub fn agent_name(mut self, name: impl Into<String>) -> Self {
        self.agent_name = Some(name.into());
        self
    }

    /// Offers the job to the workers of this deployment only, instead of those without a deployment. By
    /// default that of the worker under test.
    pub fn deployment(mut self, deployment: impl Into<String>) -> Self {
        self.deployment = deployment.into();
        self
    }

    /// Adds a script of events in the room while the job runs. With [`run_job`](crate::run_job) its sleeps
    /// take no time. Several scripts run side by side: what they do in one moment happens in an order of the
    /// [seed](Self::seed).
    pub fn script<F, Fut>(mut self, script: F) -> Self
    where
        F: FnOnce(MockRoom) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.scripts.push(Box::new(move |room| Box::pin(script(room))));
        self
    }

    /// With [`run_job`](crate::run_job): changes the settings of the worker, such as its job timeout.
    pub fn worker(mut self, configure: impl FnOnce(WorkerBuilder) -> WorkerBuilder + Send + 'static) -> Self {
        self.worker = Some(Box::new(configure));
        self
    }

    /// With [`run_job`](crate::run_job): adds faults of the server, each with the wait before it. The first
    /// wait begins when the agent has joined the room, the others when the last fault is over.
    pub fn faults(mut self, faults: impl IntoIterator<Item = (Duration, ServerFault)>) -> Self {
        self.faults.extend(faults);
        self
    }

    /// With [`run_job`](crate::run_job): the seed of everything that is free: the order of what happens in
    /// one moment of virtual time, ids, and the worker's jitter. The same seed gives the same run; see
    /// [`run_job`](crate::run_job#determinism). By default it is 0, with which things happen in the order in
    /// which they become ready.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// With [`run_job`](crate::run_job): how long a handler that does not end by itself may run after the
    /// scripts and faults have ended; then the job is
    /// [terminated](agent_worker::CancelReason::Terminated). 60 s by default.
    pub fn lasts(mut self, time: Duration) -> Self {
        self.lasts = time;
        self
    }
}

impl fmt::Debug for JobSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobSpec")
            .field("id", &self.id)
            .field("room", &self.room)
            .field("kind", &self.kind)
            .field("agent_name", &self.agent_name)
            .field("metadata", &self.metadata)
            .field("attributes", &self.attributes)
            .field("participants", &self.participants.iter().map(|p| &p.identity).collect::<Vec<_>>())
            .field("lasts", &self.lasts)
            .finish_non_exhaustive()
    }
}
