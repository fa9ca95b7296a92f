//! How a worker is put together.

use crate::agent::guard::{ClassifyFn, Declared, Guard};
use crate::agent::{Agent, AnyAgent};
use crate::coordination::{Coordination, Coordinator, DEFAULT_LEASE, PubSub};
use crate::job::checkpoint::CheckpointSettings;
use crate::job::task_count::TaskCount;
use crate::telemetry::Meter;
use crate::telemetry::line_limit::LineLimit;
use crate::worker::Worker;
use crate::worker::descriptors::PER_JOB;
use crate::worker::driver::{LifecycleHook, LoadFn, Setup};
use crate::worker::failure::{FailedJob, FailureHook};
use crate::worker::redact::Redaction;
use agent_core::CheckpointStore;
use agent_core::{
    AgentPermissions, Backoff, Config, ConfigProblem, EndWhen, Job, JobErrorKind, JobKind, Lifecycle,
    MAX_LEASE, MIN_LEASE, MetadataFormat, RetryPolicy,
};
use agent_net::{ConnectError, NetOptions, ServerUrl, UrlError};
use agent_proto::Secret;
use agent_proto::error_text;
use agent_rtc::{AutoSubscribe, RoomConnector, WebRtc};
use serde::de::DeserializeOwned;
use std::error::Error;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

/// Settings of a [`Worker`]; each has a default, and [`build`](Self::build) checks them.
///
/// What is set here wins over the environment, but for `LIVEKIT_AGENT_NAME_OVERRIDE`, which wins over everything.
#[must_use]
pub struct WorkerBuilder {
    agent: Arc<dyn AnyAgent>,
    format: Option<Arc<dyn Declared>>,
    dismiss_invalid: bool,
    classify: Option<ClassifyFn>,
    config: Config,
    url: Option<String>,
    api_key: Option<String>,
    api_secret: Option<Secret>,
    net: NetOptions,
    connector: Option<Arc<dyn RoomConnector>>,
    join_room: bool,
    auto_subscribe: AutoSubscribe,
    refuse_other_servers: bool,
    join_timeout: Duration,
    reconnect_timeout: Duration,
    on_lifecycle: Option<LifecycleHook>,
    on_failure: Option<FailureHook>,
    coordinator: Option<Arc<dyn Coordinator>>,
    lease: Duration,
    pubsub: Option<Arc<dyn PubSub>>,
    load: Option<LoadFn>,
    drain_timeout: Duration,
    checkpoints: CheckpointSettings,
    redaction: Redaction,
    seed: Option<u64>,
}

/// A setting that is missing or wrong. The message names it and says what to do.
///
/// `Debug` shows the message, too: it is what Rust prints when `main` returns the error.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No server.
    #[error("no server URL: call `.url(\"wss://…\")` or set LIVEKIT_URL")]
    NoUrl,
    /// The server's URL cannot be used.
    #[error("{0} (it is set by `.url(…)` or LIVEKIT_URL)")]
    Url(#[source] UrlError),
    /// No API key, or an empty one.
    #[error("no API key: call `.credentials(key, secret)` or set LIVEKIT_API_KEY")]
    NoApiKey,
    /// No API secret, or an empty one.
    #[error("no API secret: call `.credentials(key, secret)` or set LIVEKIT_API_SECRET")]
    NoApiSecret,
    /// The API key or its secret was copied with something around it.
    #[error(
        "the {what} begins or ends with white space: take that out of what `.credentials(…)` is given, or out of {variable}"
    )]
    WhiteSpace {
        /// `API key` or `API secret`.
        what: &'static str,
        /// Its variable.
        variable: &'static str,
    },
    /// The certificates to trust cannot be used.
    #[error(transparent)]
    Certificates(#[from] ConnectError),
    /// Checkpoints that are saved all the time, or expire before they are saved again.
    #[error(
        "`checkpoint_interval` is {interval:?} and `checkpoint_expiry` {expiry:?}: give an interval of at least 1ms, and a longer expiry"
    )]
    CheckpointTimes {
        /// The interval.
        interval: Duration,
        /// The expiry.
        expiry: Duration,
    },
    /// The lease of leaders is too short or too long.
    #[error("`lease` is {0:?}: give it {MIN_LEASE:?} to {MAX_LEASE:?}")]
    Lease(Duration),
    /// A setting that cannot work.
    #[error(transparent)]
    Setting(#[from] ConfigProblem),
}

impl ConfigError {
    /// What a program that ends with it should exit with: 2, as for a wrong command line.
    ///
    /// ```
    /// use agent_worker::{JobContext, JobResult, Worker};
    ///
    /// async fn agent(_: JobContext) -> JobResult { Ok(()) }
    ///
    /// let error = Worker::builder(agent).url("localhost:7880").build().err().unwrap();
    /// assert_eq!(error.exit_code(), 2);
    /// assert!(error.to_string().contains("write ws:// or wss:// before the host"));
    /// ```
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        2
    }
}

impl fmt::Debug for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        error_text::debug(self, f)
    }
}

impl WorkerBuilder {
    pub(crate) fn new<A: Agent>(agent: A) -> Self {
        Self {
            agent: Arc::new(agent),
            format: None,
            dismiss_invalid: false,
            classify: None,
            config: Config::default(),
            url: None,
            api_key: None,
            api_secret: None,
            net: NetOptions::default(),
            connector: None,
            join_room: true,
            auto_subscribe: AutoSubscribe::default(),
            refuse_other_servers: false,
            join_timeout: Duration::from_secs(15),
            reconnect_timeout: Duration::from_secs(60),
            on_lifecycle: None,
            on_failure: None,
            coordinator: None,
            lease: DEFAULT_LEASE,
            pubsub: None,
            load: None,
            drain_timeout: Duration::from_secs(3600),
            checkpoints: CheckpointSettings::default(),
            redaction: Redaction::default(),
            seed: None,
        }
    }

    /// Takes what is not set yet from the environment: `LIVEKIT_URL`, `LIVEKIT_API_KEY`, `LIVEKIT_API_SECRET`,
    /// `LIVEKIT_AGENT_NAME`, `LIVEKIT_AGENT_DEPLOYMENT`; and the proxy (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`)
    /// and certificates (`SSL_CERT_FILE`).
    pub fn from_env(self) -> Self {
        Self { net: NetOptions::from_env(), ..self.fill_from(|name| std::env::var(name).ok()) }
    }

    fn fill_from(mut self, var: impl Fn(&str) -> Option<String>) -> Self {
        let var = |name: &str| var(name).filter(|value| !value.is_empty());
        self.url = self.url.or_else(|| var("LIVEKIT_URL"));
        self.api_key = self.api_key.or_else(|| var("LIVEKIT_API_KEY"));
        self.api_secret = self.api_secret.or_else(|| var("LIVEKIT_API_SECRET").map(Secret::from));
        if let Some(name) = var("LIVEKIT_AGENT_NAME_OVERRIDE") {
            self.config.agent_name = name;
        } else if self.config.agent_name.is_empty() {
            self.config.agent_name = var("LIVEKIT_AGENT_NAME").unwrap_or_default();
        }
        if self.config.deployment.is_empty() {
            self.config.deployment = var("LIVEKIT_AGENT_DEPLOYMENT").unwrap_or_default();
        }
        self
    }

    /// The LiveKit server: `ws://`, `wss://`, `http://` or `https://`, with a base path if need be.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// The API key and its secret, with which the worker signs its tokens.
    pub fn credentials(mut self, key: impl Into<String>, secret: impl Into<Secret>) -> Self {
        self.api_key = Some(key.into());
        self.api_secret = Some(secret.into());
        self
    }

    /// The name by which dispatches ask for this agent. Without one, each new room gets an agent automatically.
    pub fn agent_name(mut self, name: impl Into<String>) -> Self {
        self.config.agent_name = name.into();
        self
    }

    /// The deployment, at most 64 bytes of letters, digits, `.` and `-`.
    pub fn deployment(mut self, deployment: impl Into<String>) -> Self {
        self.config.deployment = deployment.into();
        self
    }

    /// The version that the server shows for this worker.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.config.version = version.into();
        self
    }

    /// Which kind of job to ask for; room jobs unless set.
    pub fn job_kind(mut self, kind: JobKind) -> Self {
        self.config.kind = kind;
        self
    }

    /// What the agent may do in its rooms; everything unless set, and not hidden.
    pub fn permissions(mut self, permissions: AgentPermissions) -> Self {
        self.config.permissions = permissions;
        self
    }

    /// Jobs at once, at least 1; 1,000 unless set. A burst never exceeds it, and a free slot is never refused.
    ///
    /// A joined room takes some four file descriptors. On Unix a worker takes no more jobs than its process may have descriptors for, and
    /// a warning says so when it starts.
    pub fn max_jobs(mut self, jobs: usize) -> Self {
        self.config.max_jobs = jobs;
        self
    }

    /// How long `on_request` may take, at most 2 s; 1 s unless set.
    pub fn answer_timeout(mut self, limit: Duration) -> Self {
        self.config.answer_timeout = limit;
        self
    }

    /// How long a job may run, from its assignment, with all its attempts and the waits between them; as long as it likes unless this
    /// or [`max_job_timeout`](Self::max_job_timeout) is set. A number of seconds in the job's metadata, as `timeout`, wins over it.
    /// A job over its time is cancelled with [`Deadline`](crate::CancelReason::Deadline), and fails as `job_timeout` whatever its
    /// handler then returns.
    ///
    /// ```
    /// # async fn agent(_: agent_worker::JobContext) -> agent_worker::JobResult { Ok(()) }
    /// use agent_worker::{DEFAULT_JOB_TIMEOUT, Worker};
    /// use std::time::Duration;
    ///
    /// let builder = Worker::builder(agent)
    ///     .job_timeout(DEFAULT_JOB_TIMEOUT) // 5 minutes; `{"timeout": 600}` asks for ten
    ///     .max_job_timeout(Duration::from_secs(3600)); // and `{"timeout": 86400}` gets an hour
    /// ```
    pub fn job_timeout(mut self, limit: Duration) -> Self {
        self.config.job_timeout = Some(limit);
        self
    }

    /// The longest time that a job's metadata may ask for. With this alone, a job that asks for nothing may run for 5 minutes
    /// ([`DEFAULT_JOB_TIMEOUT`](crate::DEFAULT_JOB_TIMEOUT)).
    pub fn max_job_timeout(mut self, limit: Duration) -> Self {
        self.config.max_job_timeout = Some(limit);
        self
    }

    /// How a job is tried again after an error that is worth it: unless set, up to 3 attempts in all, with a growing random wait
    /// between them. See [`RetryPolicy`]; [`RetryPolicy::never`] turns it off.
    ///
    /// ```
    /// use agent_worker::{JobContext, JobError, JobResult, RetryPolicy, Worker};
    /// use std::time::Duration;
    ///
    /// async fn agent(ctx: JobContext) -> JobResult {
    ///     if ctx.attempt() < 2 {
    ///         return Err(JobError::retryable("the model is still loading", Duration::from_secs(2)));
    ///     }
    ///     Ok(())
    /// }
    ///
    /// let builder = Worker::builder(agent).retry(
    ///     RetryPolicy::attempts(5)
    ///         .backoff(Duration::from_millis(500), Duration::from_secs(30))
    ///         .budget(Duration::from_secs(600)),
    /// );
    /// ```
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.config.retry = policy;
        self
    }

    /// When a job is over because of who is in its room. Unless set: a room job 10 s after the last person left, a participant or publisher
    /// job 10 s after its participant left or when that one is back in another session ([`EndWhen::TargetLeft`]). Earlier where
    /// the room's own timeouts ask for it, so that the server records the job's outcome: see [`EndWhen`].
    ///
    /// The job is then cancelled as [`Shutdown`](crate::CancelReason::Shutdown) or
    /// [`TargetReplaced`](crate::CancelReason::TargetReplaced), and ends in success if its handler returns within its grace.
    pub fn end_when(mut self, policy: EndWhen) -> Self {
        self.config.end_when = policy;
        self
    }

    /// How long a handler that has called [`progress`](crate::JobContext::progress) may be silent before the log warns; 60 s unless set.
    pub fn stale_after(mut self, limit: Duration) -> Self {
        self.config.stale_after = limit;
        self
    }

    /// Refuses a job while another one of the same room, agent, kind and target is here: each dispatch adds an agent otherwise. The server
    /// may give it to another worker. A job for another session of the target, or for another run of the room, is taken: the older
    /// one is about to end.
    pub fn one_per_target(mut self, guard: bool) -> Self {
        self.config.one_per_target = guard;
        self
    }

    /// How long the cleanup of an attempt may take, all its [callbacks](crate::JobContext::on_cleanup) together; 10 s unless set.
    /// While the worker drains it may get less: the drain does not wait longer for a cleanup than for its handler.
    ///
    /// Each callback may take an equal share of what is left: of three callbacks the first one that runs may take a third, and the last
    /// one all that the others did not need. One that takes longer is dropped.
    pub fn cleanup_timeout(mut self, limit: Duration) -> Self {
        self.config.cleanup_timeout = limit;
        self
    }

    /// How long one [cleanup callback](crate::JobContext::on_cleanup) may take at most; its share of
    /// [`cleanup_timeout`](Self::cleanup_timeout) unless set, and never more than that.
    pub fn cleanup_callback_timeout(mut self, limit: Duration) -> Self {
        self.config.cleanup_callback_timeout = Some(limit);
        self
    }

    /// Decides what others may see of an error's text: what the function returns is sent to the server and written to the log, for the
    /// errors that handlers return, what is wrong with a job's metadata, and panics. As it is, unless set, and at most
    /// 4,096 bytes of it.
    ///
    /// An error may hold what a customer has said, and the server shows it to everybody who may see the job. The
    /// [failure hook](Self::on_failure) still gets the original text, and the kind of the error, which says why metadata is invalid;
    /// [`Agent::on_ended`] gets the text that the server was sent. What a program logs itself is its own.
    ///
    /// ```
    /// use agent_worker::{JobContext, JobResult, Worker};
    ///
    /// async fn call(_: JobContext) -> JobResult {
    ///     Err("no answer from +49 30 901820".into())
    /// }
    ///
    /// let without_digits = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "#");
    /// let worker = Worker::builder(call).redact_errors(without_digits);
    /// # let _ = worker;
    /// ```
    pub fn redact_errors(mut self, redact: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        self.redaction = Redaction::new(redact);
        self
    }

    /// Called with each job that has failed for good, when the server has been told: a place to keep it, and to dispatch it again
    /// later. It runs on a task of its own, and may take 10 s.
    ///
    /// ```
    /// # async fn agent(_: agent_worker::JobContext) -> agent_worker::JobResult { Ok(()) }
    /// use agent_worker::Worker;
    ///
    /// let builder = Worker::builder(agent).on_failure(|failed| async move {
    ///     let (id, attempts) = (&failed.job.id, failed.attempts);
    ///     eprintln!("{id} failed after {attempts} attempts ({}): {}", failed.reason(), failed.error);
    /// });
    /// ```
    pub fn on_failure<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(FailedJob) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.on_failure = Some(Arc::new(move |failed| Box::pin(hook(failed))));
        self
    }

    /// How long a cancelled handler may take to return before it is aborted; 10 s unless set.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.config.grace = grace;
        self
    }

    /// How soon after its assignment an outcome counts as settled; 500 ms unless set. An earlier one is sent twice, since a
    /// server may not know of its own assignment yet.
    pub fn settling(mut self, time: Duration) -> Self {
        self.config.settling = time;
        self
    }

    /// Whether the room is joined before the handler is called (it is, unless set), or by the handler with
    /// [`JobContext::join`](crate::JobContext::join).
    pub fn join_room(mut self, join: bool) -> Self {
        self.join_room = join;
        self
    }

    /// Which tracks of others the server sends to the agent as soon as they are published: all, unless set. An agent that wants data
    /// and events only saves the server and itself all media with [`AutoSubscribe::None`]. A handler that joins by itself may decide
    /// for its job, with [`JobContext::join_with`](crate::JobContext::join_with).
    ///
    /// ```
    /// # async fn agent(_: agent_worker::JobContext) -> agent_worker::JobResult { Ok(()) }
    /// use agent_worker::{AutoSubscribe, Worker};
    ///
    /// let builder = Worker::builder(agent).auto_subscribe(AutoSubscribe::None);
    /// ```
    pub fn auto_subscribe(mut self, mode: AutoSubscribe) -> Self {
        self.auto_subscribe = mode;
        self
    }

    /// Whether a job fails when its assignment names another server (host or port) than the worker's [`url`](Self::url), before its
    /// token is sent there. It is joined and logged, unless set: LiveKit Cloud may assign rooms of another region. A server
    /// without encryption (`ws://`) is always refused by a worker that is connected with it (`wss://`).
    pub fn refuse_other_servers(mut self, refuse: bool) -> Self {
        self.refuse_other_servers = refuse;
        self
    }

    /// How long joining a room may take; 15 s unless set.
    pub fn join_timeout(mut self, limit: Duration) -> Self {
        self.join_timeout = limit;
        self
    }

    /// How long the lost connection of a room is tried to be restored before the room counts as gone and its job ends as
    /// [`RoomGone`](crate::CancelReason::RoomGone); 60 s unless set.
    pub fn room_reconnect_timeout(mut self, limit: Duration) -> Self {
        self.reconnect_timeout = limit;
        self
    }

    /// Whether a job goes on in another room of the same name: when its connection was restored into one, as after a restart of the
    /// server, and when its own room was deleted before it was joined. It does not, unless set: it ends as
    /// [`RoomGone`](crate::CancelReason::RoomGone), since the server makes another job for the new room.
    pub fn stay_in_new_room(mut self, stay: bool) -> Self {
        self.config.stay_in_new_room = stay;
        self
    }

    /// The waits between tries to connect; 100 ms and up to half a second at first, up to 10 s at last, unless set. There are
    /// at most ten tries within the longest wait, whatever the jitter draws. A server that answers with `Retry-After` is left alone for
    /// so long, but for at most 60 s, and then for the backoff.
    pub fn reconnect_backoff(mut self, backoff: Backoff) -> Self {
        self.config.backoff = backoff;
        self
    }

    /// How failed connections are tried again: never giving up, unless a number of tries in a row is set here.
    pub fn max_connect_attempts(mut self, attempts: u32) -> Self {
        self.config.max_connect_attempts = Some(attempts);
        self
    }

    /// How long [`run_until_signal`](Worker::run_until_signal) and [`run_until`](Worker::run_until) let jobs go on when they drain; 1 h unless
    /// set.
    pub fn drain_timeout(mut self, limit: Duration) -> Self {
        self.drain_timeout = limit;
        self
    }

    /// Where jobs keep their [checkpoints](crate::Checkpoint); nowhere unless set. `EmbeddedStore` is for workers on one machine,
    /// `RedisStore` for more, [`MemoryStore`](crate::MemoryStore) for tests.
    pub fn checkpoints(mut self, store: impl CheckpointStore) -> Self {
        self.checkpoints.store = Some(Arc::new(store));
        self
    }

    /// How often a value that saves itself is saved when it has changed; every 30 s unless set. It is what a killed worker loses at most.
    pub fn checkpoint_interval(mut self, interval: Duration) -> Self {
        self.checkpoints.interval = interval;
        self
    }

    /// How long a checkpoint is kept after it was last saved; 24 h unless set.
    pub fn checkpoint_expiry(mut self, expiry: Duration) -> Self {
        self.checkpoints.keep = expiry;
        self
    }

    /// How to connect: proxy, certificates to trust, limits. [`from_env`](Self::from_env) takes proxy and certificates from
    /// the environment, so call this after it to change what it found.
    pub fn net(mut self, options: NetOptions) -> Self {
        self.net = options;
        self
    }

    /// Declares the type of the jobs' metadata. A job whose metadata is no `T` ends as `invalid_input` before its room is joined; one
    /// without metadata has the default. The handler reads it with [`JobContext::metadata`](crate::JobContext::metadata).
    pub fn metadata<T: DeserializeOwned + Default + 'static>(self) -> Self {
        self.metadata_format(MetadataFormat::<T>::or_default())
    }

    /// Declares the type of the jobs' metadata, whether it is required, and rules for its values. What does not hold to it ends as
    /// `invalid_input` before its room is joined.
    ///
    /// ```
    /// # use agent_worker::{JobContext, JobResult};
    /// use agent_worker::{MetadataFormat, Worker};
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
        self.format = Some(Arc::new(format));
        self
    }

    /// Whether a job whose metadata is not as declared, or that the agent's [`check`](Agent::check) refuses, is dismissed when it is
    /// offered: nobody runs it, and the server records a success. It is not, unless set: it is accepted and ends as failed, with its error.
    pub fn dismiss_invalid(mut self, dismiss: bool) -> Self {
        self.dismiss_invalid = dismiss;
        self
    }

    /// Decides what kind of failure an error is that a handler returned with `?`. The rule is asked of the error and of each one behind it,
    /// the outer first; `None` leaves it to the next, and at last to [`classify`](crate::classify).
    ///
    /// ```
    /// # use agent_worker::{JobContext, JobResult};
    /// use agent_worker::{JobErrorKind, Worker};
    /// use std::time::Duration;
    ///
    /// # async fn agent(_: JobContext) -> JobResult { Ok(()) }
    /// # #[derive(Debug, thiserror::Error)]
    /// # #[error("busy")]
    /// # struct Busy;
    /// let worker = Worker::builder(agent).classify(|error| {
    ///     error.is::<Busy>().then_some(JobErrorKind::Retryable { after: Duration::from_secs(30) })
    /// });
    /// # let _ = worker;
    /// ```
    pub fn classify(
        mut self,
        rule: impl Fn(&(dyn Error + 'static)) -> Option<JobErrorKind> + Send + Sync + 'static,
    ) -> Self {
        self.classify = Some(Arc::new(rule));
        self
    }

    /// Called with each lifecycle state that a job reaches. Keep it short: it runs on the worker's own task.
    pub fn on_lifecycle(mut self, hook: impl Fn(&Job, Lifecycle) + Send + Sync + 'static) -> Self {
        self.on_lifecycle = Some(Arc::new(hook));
        self
    }

    /// The load of the machine, asked twice a second: 0 idle, 1 full. Unless set, the share of slots in use.
    pub fn load(mut self, load: impl Fn() -> f32 + Send + Sync + 'static) -> Self {
        self.load = Some(Arc::new(load));
        self
    }

    /// The store in which jobs elect their leaders with [`JobContext::elect`](crate::JobContext::elect): one of
    /// [`coordination`](crate::coordination), or your own. There is none unless set.
    pub fn coordinator(mut self, coordinator: impl Coordinator) -> Self {
        self.coordinator = Some(Arc::new(coordinator));
        self
    }

    /// What carries the messages of [`JobContext::channel`](crate::JobContext::channel) between jobs: one of
    /// [`coordination`](crate::coordination), or your own; [`RoomData`](crate::coordination::RoomData) unless set.
    pub fn pubsub(mut self, pubsub: impl PubSub) -> Self {
        self.pubsub = Some(Arc::new(pubsub));
        self
    }

    /// How long a leader's lease lasts without a renewal, from half a second to an hour; 10 s unless set. A follower leads within this
    /// time and a second after a leader is gone. Give the workers of one election the same.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How rooms are joined, in the place of WebRTC: a mock room in tests, for one.
    pub fn connector(mut self, connector: impl RoomConnector) -> Self {
        self.connector = Some(Arc::new(connector));
        self
    }

    /// Decides the worker's jitter; another one for each worker unless set. Tests set it, so that they run the same way twice.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Checks the settings and makes the worker. Nothing is connected before it runs.
    ///
    /// # Errors
    /// [`ConfigError`], which names what is missing or wrong.
    pub fn build(self) -> Result<Worker, ConfigError> {
        self.config.check()?;
        let CheckpointSettings { interval, keep: expiry, .. } = self.checkpoints;
        if interval < Duration::from_millis(1) || expiry <= interval {
            return Err(ConfigError::CheckpointTimes { interval, expiry });
        }
        if !(MIN_LEASE..=MAX_LEASE).contains(&self.lease) {
            return Err(ConfigError::Lease(self.lease));
        }
        let url: ServerUrl = self.url.ok_or(ConfigError::NoUrl)?.parse().map_err(ConfigError::Url)?;
        let api_key = self.api_key.filter(|key| !key.is_empty()).ok_or(ConfigError::NoApiKey)?;
        let api_secret =
            self.api_secret.filter(|secret| !secret.is_empty()).ok_or(ConfigError::NoApiSecret)?;
        for (what, variable, text) in [
            ("API key", "LIVEKIT_API_KEY", api_key.as_str()),
            ("API secret", "LIVEKIT_API_SECRET", api_secret.expose()),
        ] {
            if text.trim() != text {
                return Err(ConfigError::WhiteSpace { what, variable });
            }
        }
        let net = self.net;
        if url.is_secure() {
            net.check_certificates()?;
        }
        // Rooms of another kind may need none.
        let descriptors = if self.connector.is_some() { 0 } else { PER_JOB };
        let connector = self.connector.unwrap_or_else(|| Arc::new(WebRtc::new(net.clone())));
        let grace = self.config.grace;
        let agent = Guard {
            agent: self.agent,
            format: self.format,
            dismiss_invalid: self.dismiss_invalid,
            time_limits: self.config.job_timeout.is_some() || self.config.max_job_timeout.is_some(),
            classify: self.classify,
            dismissals: LineLimit::new(),
        };
        let meter = Arc::new(Meter::default());
        let setup = Setup {
            config: self.config,
            url,
            api_key,
            api_secret,
            net,
            agent: Arc::new(agent),
            connector,
            join_room: self.join_room,
            auto_subscribe: self.auto_subscribe,
            refuse_other_servers: self.refuse_other_servers,
            join_timeout: self.join_timeout,
            reconnect_timeout: self.reconnect_timeout,
            on_lifecycle: self.on_lifecycle,
            on_failure: self.on_failure,
            load: self.load,
            // A handler that returned in time must not be aborted for a slow store.
            checkpoints: CheckpointSettings {
                flush: grace.min(Duration::from_secs(10)) / 2,
                ..self.checkpoints
            },
            coordination: Arc::new(Coordination::new(
                self.coordinator,
                self.lease,
                self.pubsub,
                Arc::clone(&meter),
            )),
            meter,
            tasks: TaskCount::default(),
            redaction: self.redaction,
            seed: self.seed.unwrap_or_else(|| RandomState::new().build_hasher().finish()),
        };
        Ok(Worker::new(setup, self.drain_timeout, descriptors))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_core::JobResult;

    async fn agent(_: crate::JobContext) -> JobResult {
        Ok(())
    }

    fn problem(builder: WorkerBuilder) -> String {
        builder.build().err().map_or_else(|| "none".to_owned(), |e| e.to_string())
    }

    fn complete() -> WorkerBuilder {
        WorkerBuilder::new(agent).url("ws://localhost:7880").credentials("key", "secret")
    }

    #[test]
    fn problems_name_the_setting_and_the_variable() {
        let check = |builder: WorkerBuilder, expected: &str| {
            let shown = problem(builder);
            assert!(shown.contains(expected), "{shown}");
            assert!(!shown.contains("s3cret"), "{shown}");
        };
        check(WorkerBuilder::new(agent), "LIVEKIT_URL");
        check(WorkerBuilder::new(agent).url("localhost:7880"), "LIVEKIT_URL");
        check(WorkerBuilder::new(agent).url("ws://localhost:7880"), "LIVEKIT_API_KEY");
        check(complete().url("ws://localhost:port"), "LIVEKIT_URL");
        check(complete().credentials("", "secret"), "LIVEKIT_API_KEY");
        check(complete().credentials("key", ""), "LIVEKIT_API_SECRET");
        check(complete().credentials(" key", "secret"), "LIVEKIT_API_KEY");
        check(complete().credentials("key", "s3cret\n"), "LIVEKIT_API_SECRET");
        check(complete().max_jobs(0), "`max_jobs`");
        check(complete().deployment("a b"), "`deployment`");
        check(complete().checkpoint_interval(Duration::ZERO), "`checkpoint_interval` is 0ns");
        check(complete().checkpoint_expiry(Duration::from_secs(30)), "`checkpoint_expiry` 30s");
        check(complete().lease(Duration::from_millis(499)), "`lease` is 499ms: give it 500ms to 3600s");
        check(complete(), "none");
    }

    #[test]
    fn certificates_that_cannot_be_read_are_told_at_once_where_they_are_needed() {
        let with = |url: &str| complete().url(url).net(NetOptions::default().ca_file("/no/such/file.pem"));
        assert_eq!(problem(with("ws://localhost")), "none");
        let shown = problem(with("wss://localhost"));
        assert!(shown.contains("/no/such/file.pem") && shown.contains("SSL_CERT_FILE"), "{shown}");
    }

    /// What Rust prints when `main` returns it.
    #[test]
    fn debug_is_the_message_and_what_is_behind_it() {
        let error = complete().url("localhost").build().err().unwrap();
        assert_eq!(format!("{error:?}"), error.to_string());
        let unreadable = NetOptions::default().ca_file("/no/such/file.pem");
        let error = complete().url("wss://localhost").net(unreadable).build().err().unwrap();
        let shown = format!("{error:?}");
        assert!(shown.starts_with(&error.to_string()) && shown.contains("No such file"), "{shown}");
    }

    #[test]
    fn the_environment_fills_what_is_not_set() {
        let vars = |name: &str| {
            Some(match name {
                "LIVEKIT_URL" => "ws://env".to_owned(),
                "LIVEKIT_AGENT_NAME" => "from-env".to_owned(),
                "LIVEKIT_API_SECRET" => String::new(),
                _ => return None,
            })
        };
        let filled = WorkerBuilder::new(agent).fill_from(vars);
        assert_eq!(filled.url.as_deref(), Some("ws://env"));
        assert_eq!(filled.config.agent_name, "from-env");
        assert!(filled.api_secret.is_none(), "an empty variable is no value");
        let named = WorkerBuilder::new(agent).agent_name("mine").url("ws://mine").fill_from(vars);
        assert_eq!((named.config.agent_name.as_str(), named.url.as_deref()), ("mine", Some("ws://mine")));
        let over = |name: &str| (name == "LIVEKIT_AGENT_NAME_OVERRIDE").then(|| "override".to_owned());
        assert_eq!(complete().agent_name("mine").fill_from(over).config.agent_name, "override");
    }
}
