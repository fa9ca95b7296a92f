//! Routing jobs to one of several agents.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

#[cfg(feature = "schema")]
use agent_core::MetadataSchema;
use agent_core::{Answer, EndedJob, Job, JobError, JobKind, JobResult};

use crate::agent::{Agent, AnyAgent};
use crate::job::context::JobContext;

/// An agent that routes each job to another agent: by its kind, and by the `action` of its metadata.
///
/// For several actions in one program, an enum with a tag and a `match` is simpler, and checked by the
/// compiler: see [the guide](crate::guide::metadata#one-of-several). A router is for separate agents, and for
/// kinds of jobs.
///
/// The kind is compared first; a job whose kind has no agent is routed by its action, and then to
/// [`otherwise`](Self::otherwise). A router is an agent, so routers nest. A job without an agent ends as
/// `invalid_input` before its room is joined, and the error lists the supported values.
///
/// ```
/// use agent_worker::{JobContext, JobResult, Router, Worker};
///
/// # async fn greet(_: JobContext) -> JobResult { Ok(()) }
/// # async fn record(_: JobContext) -> JobResult { Ok(()) }
/// # async fn transcribe(_: JobContext) -> JobResult { Ok(()) }
/// let agent = Router::new()
///     .participant(greet)
///     .room(Router::new().action("record", record).action("transcribe", transcribe));
/// let worker = Worker::builder(agent);
/// # let _ = worker;
/// ```
///
/// A worker registers for one kind of job. To serve several, run one worker for each, with the same router in
/// an [`Arc`].
#[derive(Default)]
#[must_use = "a router is an agent: give it to a worker"]
pub struct Router {
    kinds: BTreeMap<JobKind, Arc<dyn AnyAgent>>,
    actions: BTreeMap<String, Arc<dyn AnyAgent>>,
    otherwise: Option<Arc<dyn AnyAgent>>,
}

impl Router {
    /// A router without agents.
    pub fn new() -> Self {
        Self::default()
    }

    /// The agent of room jobs.
    pub fn room(self, agent: impl Agent) -> Self {
        self.kind(JobKind::Room, agent)
    }

    /// The agent of participant jobs.
    pub fn participant(self, agent: impl Agent) -> Self {
        self.kind(JobKind::Participant, agent)
    }

    /// The agent of publisher jobs.
    pub fn publisher(self, agent: impl Agent) -> Self {
        self.kind(JobKind::Publisher, agent)
    }

    /// The agent of jobs whose metadata is an object with this `action`.
    pub fn action(mut self, name: impl Into<String>, agent: impl Agent) -> Self {
        self.actions.insert(name.into(), Arc::new(agent));
        self
    }

    /// The agent of all other jobs.
    pub fn otherwise(mut self, agent: impl Agent) -> Self {
        self.otherwise = Some(Arc::new(agent));
        self
    }

    /// The schema of all agents' metadata: each action with the fields of its agent, and `timeout` and
    /// `request_id`, which the SDK reads itself. A [`typed`](crate::typed()) agent is described if its format
    /// [has a schema](crate::metadata::MetadataFormat::with_schema); otherwise only the action is.
    ///
    /// ```
    /// use agent_worker::{JobContext, JobResult, Router, metadata::MetadataFormat, typed};
    ///
    /// #[derive(serde::Deserialize, schemars::JsonSchema)]
    /// struct Recording {
    ///     /// The container.
    ///     format: String,
    /// }
    ///
    /// async fn record(ctx: JobContext, recording: Recording) -> JobResult {
    ///     # drop((ctx, recording));
    ///     Ok(())
    /// }
    ///
    /// let router = Router::new().action("record", typed(MetadataFormat::required().with_schema(), record));
    /// assert!(router.schema().markdown().contains("\
    /// ### `action`: `\"record\"`
    ///
    /// | field | type | required | default | limits | description |
    /// |---|---|---|---|---|---|
    /// | `action` | `\"record\"` | yes | | | |
    /// | `format` | string | yes | | | The container. |
    /// "));
    /// assert!(router.schema().json().contains("oneOf"));
    /// ```
    #[cfg(feature = "schema")]
    #[must_use]
    pub fn schema(&self) -> MetadataSchema {
        let actions = self.actions.iter().map(|(action, agent)| (action.as_str(), agent.metadata_schema()));
        let others = self.kinds.values().chain(&self.otherwise).filter_map(|agent| agent.metadata_schema());
        MetadataSchema::of_actions(actions, others)
    }

    fn kind(mut self, kind: JobKind, agent: impl Agent) -> Self {
        self.kinds.insert(kind, Arc::new(agent));
        self
    }

    fn route(&self, job: &Job) -> Result<&Arc<dyn AnyAgent>, JobError> {
        let found = match self.kinds.get(&job.kind) {
            Some(agent) => Ok(agent),
            None => self.by_action(job),
        };
        match (found, &self.otherwise) {
            (Ok(agent), _) | (Err(_), Some(agent)) => Ok(agent),
            (Err(error), None) => Err(error),
        }
    }

    fn by_action(&self, job: &Job) -> Result<&Arc<dyn AnyAgent>, JobError> {
        if self.actions.is_empty() {
            let supported = list(self.kinds.keys());
            let message = format!("unsupported job type; supported: {supported}");
            return Err(JobError::invalid("type", job.kind, message));
        }
        let known = || list(self.actions.keys());
        match job.action()? {
            Some(action) => self.actions.get(&action).ok_or_else(|| {
                let message = format!("unknown action; known: {}", known());
                JobError::invalid("$.action", format_args!("{action:?}"), message)
            }),
            None => Err(JobError::invalid("$.action", "", format!("missing field; known: {}", known()))),
        }
    }
}

fn list<T: fmt::Display>(names: impl Iterator<Item = T>) -> String {
    let names: Vec<String> = names.map(|name| name.to_string()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

impl Agent for Router {
    /// Returns the answer of the job's agent. A job without an agent is accepted, so that it ends with an
    /// error that lists the supported ones.
    async fn on_request(&self, job: &Job) -> Answer {
        match self.route(job) {
            Ok(agent) => agent.on_request(job).await,
            Err(_) => Answer::accept(),
        }
    }

    fn check(&self, job: &Job) -> JobResult {
        self.route(job)?.check(job)
    }

    #[cfg(feature = "schema")]
    fn metadata_schema(&self) -> Option<MetadataSchema> {
        Some(self.schema())
    }

    async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult {
        Arc::clone(self.route(ctx.job())?).run(ctx).await
    }

    async fn on_ended(&self, ended: &EndedJob) {
        if let Ok(agent) = self.route(&ended.job) {
            agent.on_ended(ended).await;
        }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Router")
            .field("kinds", &self.kinds.keys())
            .field("actions", &self.actions.keys())
            .field("otherwise", &self.otherwise.is_some())
            .finish()
    }
}
