//! Configuration of the worker machine.

use std::time::Duration;

use agent_proto::TrackSource;

use crate::backoff::Backoff;
use crate::job::JobKind;
use crate::job::time_limit::time_limit;
use crate::retry::RetryPolicy;

/// Default of the maximum number of concurrent jobs. A job is a task, not a process, so this guards against
/// runaway dispatching rather than measuring the machine.
pub const DEFAULT_MAX_JOBS: usize = 1000;

/// The longest deployment name, in bytes.
pub const MAX_DEPLOYMENT_LEN: usize = 64;

/// Registration data, limits and timeouts of a worker. Created with [`Default`], then changed.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Config {
    /// The name by which dispatches request this agent; empty: every new room gets one automatically.
    pub agent_name: String,
    /// The deployment; empty unless deployments are used. At most [`MAX_DEPLOYMENT_LEN`] bytes of
    /// `a-z A-Z 0-9 . -`.
    pub deployment: String,
    /// The version that the server shows for this worker.
    pub version: String,
    /// The kind of job to register for.
    pub kind: JobKind,
    /// What the agent may do in its rooms.
    pub permissions: AgentPermissions,
    /// Slots: jobs at once, at least 1.
    pub max_jobs: usize,
    /// How long the request handler may take; at most 2 s, because all workers that are asked share the
    /// server's 3 s.
    pub answer_timeout: Duration,
    /// How long to wait for the assignment after accepting.
    pub assignment_timeout: Duration,
    /// An outcome that is younger than this, counted from the assignment, is sent twice: the server may not
    /// know the job yet.
    pub settling: Duration,
    /// How long to stay in the room of an ended job until the server confirms that it has read the outcome.
    pub receipt_timeout: Duration,
    /// How long a cancelled handler may take to return before it is aborted.
    pub grace: Duration,
    /// How long an aborted handler may take to end before it counts as stuck.
    pub abort_timeout: Duration,
    /// How long the cleanup of an attempt may take.
    pub cleanup_timeout: Duration,
    /// How long one cleanup callback may take; `None`: its [share](crate::callback_time) of the whole.
    pub cleanup_callback_timeout: Option<Duration>,
    /// How long a job may run with all its attempts, counted from its assignment, unless its metadata has a
    /// `timeout` (in seconds). `None`: unlimited, unless there is a maximum; then
    /// [`DEFAULT_JOB_TIMEOUT`](crate::DEFAULT_JOB_TIMEOUT).
    pub job_timeout: Option<Duration>,
    /// The longest time that a job's metadata may ask for. `None`: any, if jobs have a time limit at all.
    pub max_job_timeout: Option<Duration>,
    /// When a job is over because of who is in its room.
    pub end_when: EndWhen,
    /// How long a handler that has reported progress may be silent before that is logged.
    pub stale_after: Duration,
    /// Whether a job continues in another room of the same name: when its own was gone before it was joined,
    /// or while its connection was lost.
    pub stay_in_new_room: bool,
    /// Whether an offer is refused while a job of the same room, agent, kind and target is here. Another
    /// instance of the room, or another session of the target, does not count.
    pub one_per_target: bool,
    /// How a job is retried after a retryable error.
    pub retry: RetryPolicy,
    /// Whether there is something to be done before the first connection, and how long it may take; `None`:
    /// there is nothing.
    pub start_timeout: Option<Duration>,
    /// Time limit of one connection attempt.
    pub connect_timeout: Duration,
    /// How long the server may take to answer the registration.
    pub register_timeout: Duration,
    /// How often to ping the server.
    pub ping_interval: Duration,
    /// A connection that received no byte for this long counts as dead.
    pub silence_limit: Duration,
    /// The waits between connection attempts.
    pub backoff: Backoff,
    /// How long a connection must be established to reset the backoff.
    pub stable_after: Duration,
    /// Maximum number of consecutive failed connection attempts, after which the worker stops; `None`:
    /// unlimited.
    pub max_connect_attempts: Option<u32>,
}

/// What the agent of a job may do in its room; the server includes it in the job's token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
#[allow(clippy::struct_excessive_bools, reason = "the protocol's own shape")]
pub struct AgentPermissions {
    /// May receive tracks.
    pub can_subscribe: bool,
    /// May publish tracks.
    pub can_publish: bool,
    /// The sources of which it may publish tracks; empty: any. livekit-server (1.13) takes it and does not
    /// enforce it: it does not include it in the job's token.
    pub can_publish_sources: Vec<TrackSource>,
    /// May publish data.
    pub can_publish_data: bool,
    /// May change its own metadata, name and attributes.
    pub can_update_metadata: bool,
    /// May receive the metrics that other participants publish.
    pub can_subscribe_metrics: bool,
    /// Is not shown to the other participants.
    pub hidden: bool,
}

/// When a job is over because of who is in its room. It is then cancelled as
/// [`Shutdown`](crate::CancelReason::Shutdown): the handler has its grace, and the job succeeds.
///
/// A server closes a room some time after the last participant left (`departure_timeout`, usually 20 s), or
/// after its creation when nobody joined (`empty_timeout`, usually 300 s), and records a failure for the jobs
/// in it. So, except with [`Never`](Self::Never), a job also ends before that: 10 s before the end of either
/// timeout, or less where it is short (half of a departure timeout, but at least 4.5 s; a tenth of an empty
/// timeout, but at least 1.5 s).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum EndWhen {
    /// After the last person has left the room, whatever the kind of the job.
    Empty {
        /// How long to wait for somebody to return.
        after: Duration,
    },
    /// After the target participant has left; for a room job like [`Empty`](Self::Empty).
    ///
    /// When the target joins in another session (it was killed and started again, or its page was reloaded),
    /// the job is cancelled at once, as [`TargetReplaced`](crate::CancelReason::TargetReplaced): the server
    /// creates a job for each session. A connection that is resumed is the same session. A hidden participant
    /// is not shown to agents: such a job ends as with [`Never`](Self::Never).
    TargetLeft {
        /// How long to wait for the target to return.
        after: Duration,
    },
    /// The handler or the server decides.
    Never,
}

impl EndWhen {
    /// The wait, unless it is [`Never`](Self::Never).
    #[must_use]
    pub const fn after(&self) -> Option<Duration> {
        match self {
            Self::Empty { after } | Self::TargetLeft { after } => Some(*after),
            Self::Never => None,
        }
    }
}

impl Default for EndWhen {
    /// 10 s after the target participant left, or the last person for a room job.
    fn default() -> Self {
        Self::TargetLeft { after: Duration::from_secs(10) }
    }
}

impl Default for AgentPermissions {
    /// All but metrics and hidden.
    fn default() -> Self {
        Self {
            can_subscribe: true,
            can_publish: true,
            can_publish_sources: Vec::new(),
            can_publish_data: true,
            can_update_metadata: true,
            can_subscribe_metrics: false,
            hidden: false,
        }
    }
}

impl Config {
    /// The time limit of a job whose metadata has no `timeout`; `None`: unlimited.
    #[must_use]
    pub fn usual_job_timeout(&self) -> Option<Duration> {
        time_limit(self.job_timeout, self.max_job_timeout, "")
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            agent_name: String::new(),
            deployment: String::new(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            kind: JobKind::Room,
            permissions: AgentPermissions::default(),
            max_jobs: DEFAULT_MAX_JOBS,
            answer_timeout: Duration::from_secs(1),
            assignment_timeout: Duration::from_millis(7500),
            settling: Duration::from_millis(500),
            receipt_timeout: Duration::from_secs(5),
            grace: Duration::from_secs(10),
            abort_timeout: Duration::from_secs(1),
            cleanup_timeout: Duration::from_secs(10),
            cleanup_callback_timeout: None,
            job_timeout: None,
            max_job_timeout: None,
            end_when: EndWhen::default(),
            stale_after: Duration::from_secs(60),
            stay_in_new_room: false,
            one_per_target: false,
            retry: RetryPolicy::default(),
            start_timeout: None,
            connect_timeout: Duration::from_secs(15),
            register_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(10),
            silence_limit: Duration::from_secs(25),
            backoff: Backoff::default(),
            stable_after: Duration::from_secs(60),
            max_connect_attempts: None,
        }
    }
}

/// An invalid setting. The message names it and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// No slot.
    #[error("`max_jobs` is 0: such a worker never takes a job; give at least 1")]
    NoSlots,
    /// Too much time, or none, for the request handler.
    #[error(
        "`answer_timeout` is {0:?}: give more than 0 and at most 2s, since the server drops a job after 3 s, which all workers share"
    )]
    AnswerTimeout(Duration),
    /// A deployment that servers refuse.
    #[error("`deployment` is {0:?}: give at most 64 bytes of letters, digits, `.` and `-`")]
    Deployment(String),
    /// An agent name that is too long.
    #[error("`agent_name` has {len} bytes: give at most {limit}")]
    AgentName {
        /// Its length, in bytes.
        len: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// An agent name with white space around it, which no dispatch has.
    #[error(
        "`agent_name` is {0:?}, with white space around it: remove that, also from LIVEKIT_AGENT_NAME or LIVEKIT_AGENT_NAME_OVERRIDE if the name comes from there"
    )]
    AgentNameSpace(String),
    /// No wait between connections.
    #[error("`reconnect_backoff` has no wait at all: give it a `floor`, or a `base` and a `cap`")]
    NoBackoff,
    /// A duration of zero.
    #[error("`{0}` is 0: give it some time")]
    NoTime(&'static str),
    /// No attempt at all.
    #[error("`retry` allows 0 attempts in all: give at least 1, which means no retry")]
    NoAttempts,
    /// No connection at all.
    #[error("`max_connect_attempts` is 0: give at least 1, or leave it out, so that there is no limit")]
    NoConnects,
    /// Pings too rare to distinguish a live connection from a dead one.
    #[error(
        "`silence_limit` ({limit:?}) must be longer than `ping_interval` ({ping:?}), which must be more than 0"
    )]
    Silence {
        /// The ping interval.
        ping: Duration,
        /// The silence limit.
        limit: Duration,
    },
}

const MAX_AGENT_NAME_LEN: usize = 256;

impl Config {
    /// Checks the settings.
    ///
    /// # Errors
    /// The first invalid setting.
    pub fn check(&self) -> Result<(), ConfigProblem> {
        if self.max_jobs == 0 {
            return Err(ConfigProblem::NoSlots);
        }
        if self.answer_timeout.is_zero() || self.answer_timeout > Duration::from_secs(2) {
            return Err(ConfigProblem::AnswerTimeout(self.answer_timeout));
        }
        if self.agent_name.len() > MAX_AGENT_NAME_LEN {
            return Err(ConfigProblem::AgentName { len: self.agent_name.len(), limit: MAX_AGENT_NAME_LEN });
        }
        if self.agent_name.trim() != self.agent_name {
            return Err(ConfigProblem::AgentNameSpace(self.agent_name.clone()));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if self.deployment.len() > MAX_DEPLOYMENT_LEN || !self.deployment.chars().all(allowed) {
            return Err(ConfigProblem::Deployment(self.deployment.chars().take(100).collect()));
        }
        let times = [
            ("cleanup_timeout", Some(self.cleanup_timeout)),
            ("cleanup_callback_timeout", self.cleanup_callback_timeout),
            ("stale_after", Some(self.stale_after)),
            ("job_timeout", self.job_timeout),
            ("max_job_timeout", self.max_job_timeout),
            ("start_timeout", self.start_timeout),
        ];
        if let Some((name, _)) = times.iter().find(|(_, time)| time.is_some_and(|time| time.is_zero())) {
            return Err(ConfigProblem::NoTime(name));
        }
        if self.retry.attempts == 0 {
            return Err(ConfigProblem::NoAttempts);
        }
        if self.max_connect_attempts == Some(0) {
            return Err(ConfigProblem::NoConnects);
        }
        let Backoff { floor, base, cap, .. } = &self.backoff;
        if floor.is_zero() && (base.is_zero() || cap.is_zero()) {
            return Err(ConfigProblem::NoBackoff);
        }
        if self.ping_interval.is_zero() || self.silence_limit <= self.ping_interval {
            return Err(ConfigProblem::Silence { ping: self.ping_interval, limit: self.silence_limit });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut Config), expected: &str) {
        let mut config = Config::default();
        change(&mut config);
        let shown = config.check().map_or_else(|e| e.to_string(), |()| "ok".to_owned());
        assert!(shown.contains(expected), "{shown}");
    }

    #[test]
    fn problems_name_the_setting() {
        check(|_| {}, "ok");
        check(|c| c.max_jobs = 0, "`max_jobs` is 0");
        check(|c| c.answer_timeout = Duration::from_secs(3), "`answer_timeout` is 3s");
        check(|c| c.agent_name = "greeter\r".to_owned(), "white space");
        check(|c| c.agent_name = " ".to_owned(), "white space");
        check(|c| c.agent_name = "the greeter".to_owned(), "ok");
        check(|c| c.backoff = Backoff::new(Duration::ZERO, Duration::ZERO, Duration::MAX), "no wait at all");
        check(|c| c.backoff = Backoff::new(Duration::ZERO, Duration::MAX, Duration::MAX), "ok");
        check(|c| c.deployment = "d".repeat(64), "ok");
        check(|c| c.deployment = "d".repeat(65), "`deployment` is");
        check(|c| c.deployment = "with space".into(), "`deployment` is \"with space\"");
        check(|c| c.deployment = "under_score".into(), "`deployment` is");
        check(|c| c.agent_name = "a".repeat(257), "`agent_name` has 257 bytes");
        check(|c| c.cleanup_timeout = Duration::ZERO, "`cleanup_timeout` is 0");
        check(|c| c.cleanup_callback_timeout = Some(Duration::ZERO), "`cleanup_callback_timeout` is 0");
        check(|c| c.job_timeout = Some(Duration::ZERO), "`job_timeout` is 0");
        check(|c| c.max_job_timeout = Some(Duration::ZERO), "`max_job_timeout` is 0");
        check(|c| c.start_timeout = Some(Duration::ZERO), "`start_timeout` is 0");
        check(|c| c.retry = RetryPolicy::attempts(0), "`retry` allows 0 attempts");
        check(|c| c.retry = RetryPolicy::never(), "ok");
        check(|c| c.silence_limit = Duration::from_secs(5), "`silence_limit` (5s)");
    }
}
