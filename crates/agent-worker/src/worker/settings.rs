//! Settings of a worker, in groups. All tasks of a worker share them behind one `Arc`: a new option is a
//! field here, a method of the builder, and its reader.

use std::sync::Arc;
use std::time::Duration;

use agent_core::{
    BoxError, CheckpointStore, Config, ConfigProblem, Coordinator, Job, Lifecycle, MAX_LEASE, MIN_LEASE,
    PubSub,
};
use agent_rtc::{AutoSubscribe, BoxFuture, E2eeOptions};

use crate::worker::config_error::ConfigError;
use crate::worker::failure::FailureHook;
use crate::worker::redact::Redaction;

/// Called before the worker connects.
pub(crate) type StartHook = Arc<dyn Fn() -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>;
/// Called with each lifecycle state of each job.
pub(crate) type LifecycleHook = Arc<dyn Fn(&Job, Lifecycle) + Send + Sync>;
/// Samples the load of the machine: 0 idle, 1 full.
pub(crate) type LoadFn = Arc<dyn Fn() -> f32 + Send + Sync>;

pub(crate) struct Settings {
    /// The rules of the worker machine.
    pub(crate) rules: Config,
    pub(crate) rooms: RoomSettings,
    pub(crate) checkpoints: CheckpointSettings,
    pub(crate) coordination: CoordinationSettings,
    pub(crate) hooks: Hooks,
    /// How long jobs may continue when a signal, or the future of `run_until`, drains the worker.
    pub(crate) drain_timeout: Duration,
    /// How long code of the user may block its thread before the log names it.
    pub(crate) blocked_after: Duration,
    /// The seed of the jitter; `None`: random for each worker.
    pub(crate) seed: Option<u64>,
    /// Whether the agent has its name from the environment.
    pub(crate) agent_name_is_env: bool,
}

/// How rooms are joined.
pub(crate) struct RoomSettings {
    /// Whether a room is joined before its handler is called.
    pub(crate) join_first: bool,
    pub(crate) auto_subscribe: AutoSubscribe,
    pub(crate) e2ee: Option<E2eeOptions>,
    pub(crate) force_relay: bool,
    pub(crate) refuse_other_servers: bool,
    pub(crate) join_timeout: Duration,
    pub(crate) reconnect_timeout: Duration,
}

/// How jobs save their progress.
pub(crate) struct CheckpointSettings {
    pub(crate) store: Option<Arc<dyn CheckpointStore>>,
    pub(crate) interval: Duration,
    pub(crate) expiry: Duration,
}

/// How jobs elect leaders and exchange messages.
pub(crate) struct CoordinationSettings {
    pub(crate) coordinator: Option<Arc<dyn Coordinator>>,
    pub(crate) lease: Duration,
    /// `None`: the room of each job.
    pub(crate) pubsub: Option<Arc<dyn PubSub>>,
}

/// The user's callbacks beside those of the agent.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) on_start: Option<StartHook>,
    pub(crate) on_lifecycle: Option<LifecycleHook>,
    pub(crate) on_failure: Option<FailureHook>,
    pub(crate) load: Option<LoadFn>,
    pub(crate) redaction: Redaction,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rules: Config::default(),
            rooms: RoomSettings::default(),
            checkpoints: CheckpointSettings::default(),
            coordination: CoordinationSettings::default(),
            hooks: Hooks::default(),
            drain_timeout: Duration::from_secs(3600),
            blocked_after: Duration::from_secs(1),
            seed: None,
            agent_name_is_env: false,
        }
    }
}

impl Default for RoomSettings {
    fn default() -> Self {
        Self {
            join_first: true,
            auto_subscribe: AutoSubscribe::default(),
            e2ee: None,
            force_relay: false,
            refuse_other_servers: false,
            join_timeout: Duration::from_secs(15),
            reconnect_timeout: Duration::from_secs(60),
        }
    }
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        Self { store: None, interval: Duration::from_secs(30), expiry: Duration::from_secs(24 * 3600) }
    }
}

impl Default for CoordinationSettings {
    fn default() -> Self {
        Self { coordinator: None, lease: Duration::from_secs(10), pubsub: None }
    }
}

impl Settings {
    /// Checks what the types do not enforce.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.rules.check()?;
        let times = [
            ("join_timeout", self.rooms.join_timeout),
            ("room_reconnect_timeout", self.rooms.reconnect_timeout),
            ("blocked_after", self.blocked_after),
        ];
        if let Some((name, _)) = times.iter().find(|(_, time)| time.is_zero()) {
            return Err(ConfigProblem::NoTime(name).into());
        }
        self.checkpoints.check()?;
        self.coordination.check()
    }

    /// How long the end of an attempt waits for unsaved changes. A cancelled attempt waits for the rest of
    /// its grace at most.
    pub(crate) fn checkpoint_flush_timeout(&self) -> Duration {
        self.rules.grace.min(Duration::from_secs(10)) / 2
    }
}

impl CheckpointSettings {
    fn check(&self) -> Result<(), ConfigError> {
        let Self { interval, expiry, .. } = *self;
        if interval < Duration::from_millis(1) || expiry <= interval {
            return Err(ConfigError::CheckpointTimes { interval, expiry });
        }
        Ok(())
    }
}

impl CoordinationSettings {
    fn check(&self) -> Result<(), ConfigError> {
        if !(MIN_LEASE..=MAX_LEASE).contains(&self.lease) {
            return Err(ConfigError::Lease(self.lease));
        }
        Ok(())
    }
}
