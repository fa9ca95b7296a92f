//! What a seed decides before a run begins.

use std::time::Duration;

use fastrand::Rng;

use agent_core::{Config, EndWhen, JobKind, RetryPolicy};
use agent_proto::Time;
use agent_server::Rules;

use super::fault::{Fault, Swarm};

/// The name of the simulated agent.
pub(super) const AGENT: &str = "simulated";
/// How many dispatches there are at least.
const MIN_DISPATCHES: usize = 30;

/// Settings of one run.
pub(super) struct Plan {
    pub(super) workers: usize,
    pub(super) config: Config,
    pub(super) rules: Rules,
    /// When the faults end.
    pub(super) heals_at: Time,
    /// The number of dispatches until then, besides bursts.
    pub(super) dispatches: usize,
    /// Mean time between two faults.
    pub(super) fault_gap: Duration,
    /// Shortest and longest time that a message takes, in microseconds.
    pub(super) latency: (u64, u64),
    /// How many handlers of a hundred wait for their cancellation.
    pub(super) waiting_handlers: u8,
    /// Whether jobs have checkpoints, and workers elect a leader.
    pub(super) checkpoints: bool,
    pub(super) leases: bool,
}

impl Plan {
    pub(super) fn new(rng: &mut Rng, swarm: &Swarm) -> Self {
        let seconds = Duration::from_secs;
        let mut config = Config::default();
        AGENT.clone_into(&mut config.agent_name);
        config.kind = if rng.u8(..4) == 0 { JobKind::Participant } else { JobKind::Room };
        config.max_jobs = rng.usize(2..=30);
        if rng.bool() {
            config.job_timeout = Some(seconds(rng.u64(5..=40)));
        }
        if rng.u8(..3) == 0 {
            config.end_when = EndWhen::Empty { after: seconds(rng.u64(1..=8)) };
        }
        config.one_per_target = rng.u8(..6) == 0;
        config.stay_in_new_room = rng.u8(..6) == 0;
        let attempts = if swarm.has(Fault::HandlerRetries) { rng.u32(2..=12) } else { rng.u32(1..=4) };
        config.retry = RetryPolicy::attempts(attempts).backoff(seconds(1), seconds(rng.u64(1..=10)));
        if rng.u8(..4) == 0 {
            config.grace = seconds(rng.u64(1..=5));
        }
        let mut rules = Rules { history: 2_000, ..Rules::default() };
        if swarm.has(Fault::LostStatus) {
            rules.bookkeeping = Duration::from_millis(rng.u64(1..=400));
        }
        if rng.bool() {
            rules.dispatch_delay = Duration::from_millis(rng.u64(0..=250));
        }
        if rng.u8(..3) == 0 {
            rules.departure_timeout = seconds(rng.u64(5..=20));
        }
        let fastest = rng.u64(50..=20_000);
        Self {
            workers: rng.usize(3..=5),
            config,
            rules,
            heals_at: Time::ZERO + seconds(rng.u64(15..=40)),
            dispatches: MIN_DISPATCHES + rng.usize(..20),
            fault_gap: Duration::from_millis(rng.u64(200..=2_000)),
            latency: (fastest, fastest + rng.u64(1..=20_000)),
            waiting_handlers: rng.u8(5..=40),
            checkpoints: rng.u8(..3) != 0,
            leases: rng.u8(..3) != 0,
        }
    }
}
