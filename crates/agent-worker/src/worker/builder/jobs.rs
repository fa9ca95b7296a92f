//! Which jobs a worker registers for and accepts.

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use agent_core::{AgentPermissions, JobKind, MetadataFormat};

use crate::worker::builder::WorkerBuilder;

impl WorkerBuilder {
    /// The agent name for explicit dispatches. Without a name, each new room gets an agent automatically.
    ///
    /// It overrides `LIVEKIT_AGENT_NAME` of the [environment](Self::from_env), but not
    /// `LIVEKIT_AGENT_NAME_OVERRIDE`.
    pub fn agent_name(mut self, name: impl Into<String>) -> Self {
        self.names.given = Some(name.into());
        self
    }

    /// The agent name if there is no other: `LIVEKIT_AGENT_NAME` of the [environment](Self::from_env)
    /// overrides it, so that the operator of the program chooses the name.
    pub fn default_agent_name(mut self, name: impl Into<String>) -> Self {
        self.names.default = Some(name.into());
        self
    }

    /// The deployment, at most 64 bytes of letters, digits, `.` and `-`. A worker with one is offered only
    /// the jobs of dispatches that name it, and so none of an automatic dispatch.
    pub fn deployment(mut self, deployment: impl Into<String>) -> Self {
        self.settings.rules.deployment = deployment.into();
        self
    }

    /// The version that the server shows for this worker.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.settings.rules.version = version.into();
        self
    }

    /// The kind of jobs to register for; room jobs unless set.
    #[doc(alias = "worker_type")]
    #[doc(alias = "server_type")]
    pub fn job_kind(mut self, kind: JobKind) -> Self {
        self.settings.rules.kind = kind;
        self
    }

    /// The agent's permissions in its rooms; all but metrics, and not hidden, unless set.
    pub fn permissions(mut self, permissions: AgentPermissions) -> Self {
        self.settings.rules.permissions = permissions;
        self
    }

    /// Maximum number of concurrent jobs, at least 1; 1,000 unless set. A burst never exceeds it, and a
    /// worker with a free slot never refuses an offer for lack of capacity.
    ///
    /// A joined room uses about four file descriptors. On Unix a worker accepts only as many jobs as the
    /// process's limit of descriptors allows, and logs a warning at its start if that is fewer.
    #[doc(alias = "load_threshold")]
    pub fn max_jobs(mut self, jobs: usize) -> Self {
        self.settings.rules.max_jobs = jobs;
        self
    }

    /// Samples the load of the machine, twice a second: 0 idle, 1 full. Unless set, the load is the share of
    /// slots in use. Functions for processor time and memory, also within the limits of a container, are in
    /// [`load`](crate::load).
    #[doc(alias = "load_fnc")]
    pub fn load(mut self, load: impl Fn() -> f32 + Send + Sync + 'static) -> Self {
        self.settings.hooks.load = Some(Arc::new(load));
        self
    }

    /// How long `on_request` may take, at most 2 s; 1 s unless set.
    pub fn answer_timeout(mut self, limit: Duration) -> Self {
        self.settings.rules.answer_timeout = limit;
        self
    }

    /// Declines a job while this worker runs another one with the same room, agent, kind and target;
    /// otherwise each dispatch adds an agent. The server may offer it to another worker. A job for another
    /// session of the target, or of the room, is accepted: the older one is about to end.
    pub fn one_per_target(mut self, guard: bool) -> Self {
        self.settings.rules.one_per_target = guard;
        self
    }

    /// Declares the type of the jobs' metadata. A job whose metadata is not a valid `T` ends as
    /// `invalid_input` before its room is joined; a job without metadata has the default. The handler reads
    /// it with [`JobContext::metadata`](crate::JobContext::metadata).
    pub fn metadata<T: DeserializeOwned + Default + 'static>(self) -> Self {
        self.metadata_format(MetadataFormat::<T>::or_default())
    }

    /// Declares the type of the jobs' metadata, whether it is required, and rules for its values. A job that
    /// violates them ends as `invalid_input` before its room is joined.
    ///
    /// ```
    /// # use agent_worker::{JobContext, JobResult};
    /// use agent_worker::{Worker, metadata::MetadataFormat};
    /// use garde::Validate;
    ///
    /// #[derive(serde::Deserialize, Validate)]
    /// struct Call {
    ///     #[garde(length(min = 3))]
    ///     number: String,
    /// }
    ///
    /// async fn call(ctx: JobContext) -> JobResult {
    ///     let Call { number } = ctx.required_metadata()?;
    ///     # drop(number);
    ///     Ok(())
    /// }
    ///
    /// let worker = Worker::builder(call).metadata_format(MetadataFormat::<Call>::required().validated());
    /// # let _ = worker;
    /// ```
    pub fn metadata_format<T: DeserializeOwned + 'static>(mut self, format: MetadataFormat<T>) -> Self {
        self.checks.format = Some(Arc::new(format));
        self
    }

    /// Whether a job with invalid metadata, or one that the agent's [`check`](crate::Agent::check) refuses,
    /// is dismissed when it is offered: no worker runs it, and the server records a success. Unless set, it
    /// is accepted and ends as failed, with its error.
    pub fn dismiss_invalid(mut self, dismiss: bool) -> Self {
        self.checks.dismiss_invalid = dismiss;
        self
    }
}
