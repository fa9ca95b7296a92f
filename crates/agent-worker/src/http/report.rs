//! What is reported as JSON.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use agent_core::{JobKind, LiveJob, SlotCounts};
use agent_proto::text::shorten;

use crate::telemetry::{SECONDS, TimeHistogram};
use crate::worker::driver::Snapshot;
use crate::worker::stats::WorkerStats;

/// The longest name of a room or participant, in characters: the server's own limit.
pub(super) const MAX_NAME: usize = 256;

/// The answer of `/worker`: that of the official workers, with that of each worker of the program.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Summary {
    pub(crate) agent_name: String,
    pub(crate) agent_name_is_env: bool,
    pub(crate) deployment: String,
    pub(crate) worker_type: Cow<'static, str>,
    pub(crate) active_jobs: usize,
    pub(crate) worker_load: f32,
    pub(crate) sdk_version: Cow<'static, str>,
    pub(crate) project_type: Cow<'static, str>,
    pub(crate) protocol_version: u32,
    /// Whether all workers are.
    pub(crate) live: bool,
    pub(crate) ready: bool,
    pub(crate) draining: bool,
    #[serde(default)]
    pub(crate) quiet: bool,
    pub(crate) workers: Vec<WorkerReport>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct WorkerReport {
    pub(crate) agent_name: String,
    pub(crate) deployment: String,
    pub(crate) worker_type: Cow<'static, str>,
    #[serde(default)]
    pub(crate) server: String,
    pub(crate) worker_id: String,
    pub(crate) live: bool,
    pub(crate) ready: bool,
    /// Why it is not live, or else why it is not ready.
    pub(crate) problem: Option<String>,
    pub(crate) registered: bool,
    pub(crate) draining: bool,
    #[serde(default)]
    pub(crate) quiet: bool,
    pub(crate) active_jobs: usize,
    pub(crate) worker_load: f32,
    pub(crate) max_jobs: usize,
    pub(crate) slots: Slots,
    pub(crate) unconfirmed_outcomes: usize,
    pub(crate) uptime_seconds: u64,
    pub(crate) jobs_succeeded: u64,
    pub(crate) jobs_failed: u64,
    pub(crate) job_retries: u64,
    pub(crate) stuck_attempts: u64,
    /// Times from an assignment to the first call of the handler.
    #[serde(default)]
    pub(crate) job_launch_seconds: Times,
}

/// A histogram of times in seconds.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Times {
    /// The upper bounds of the buckets.
    pub(crate) bounds: Vec<f64>,
    /// How many times are in each bucket, and at the end those above all bounds.
    pub(crate) counts: Vec<u64>,
    pub(crate) sum: f64,
}

/// What is known of a worker.
pub(super) struct Known {
    pub(super) status: Snapshot,
    pub(super) stats: WorkerStats,
    pub(super) launches: TimeHistogram,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Slots {
    pub(crate) used: usize,
    pub(crate) offered: usize,
    pub(crate) accepted: usize,
    pub(crate) running: usize,
    pub(crate) backing_off: usize,
    pub(crate) cleaning: usize,
    pub(crate) stuck: usize,
}

/// The answer of `/jobs`.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct JobsReport {
    pub(crate) total: usize,
    /// Those that the filter leaves.
    #[serde(default)]
    pub(crate) matching: usize,
    pub(crate) offset: usize,
    pub(crate) limit: usize,
    pub(crate) jobs: Vec<JobReport>,
}

#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct JobReport {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) agent_name: String,
    pub(crate) room: String,
    pub(crate) room_sid: String,
    /// The identity of the participant for which it was created.
    pub(crate) participant: Option<String>,
    pub(crate) dispatch_id: String,
    pub(crate) request_id: Option<String>,
    pub(crate) state: Cow<'static, str>,
    pub(crate) age_seconds: f64,
    pub(crate) attempts: u32,
    pub(crate) last_error: Option<String>,
}

impl Summary {
    /// `None` without a worker.
    pub(super) fn of(workers: &[Known]) -> Option<Self> {
        let first = &workers.first()?.status;
        let all = |is: fn(&Snapshot) -> bool| workers.iter().all(|worker| is(&worker.status));
        Some(Self {
            agent_name: first.agent_name.clone(),
            agent_name_is_env: first.agent_name_is_env,
            deployment: first.deployment.clone(),
            worker_type: worker_type(first.kind).into(),
            active_jobs: workers.iter().map(|worker| active(worker.status.slots)).sum(),
            worker_load: workers.iter().map(|worker| worker.status.load).fold(0.0, f32::max),
            sdk_version: env!("CARGO_PKG_VERSION").into(),
            project_type: "rust".into(),
            protocol_version: 1,
            live: all(|worker| worker.liveness.is_ok()),
            ready: all(|worker| worker.readiness.is_ok()),
            draining: workers.iter().any(|worker| worker.status.draining),
            quiet: workers.iter().any(|worker| worker.status.quiet),
            workers: workers.iter().map(WorkerReport::of).collect(),
        })
    }
}

impl WorkerReport {
    fn of(Known { status: worker, stats, launches }: &Known) -> Self {
        let problem = worker.liveness.and(worker.readiness).err();
        Self {
            agent_name: worker.agent_name.clone(),
            deployment: worker.deployment.clone(),
            worker_type: worker_type(worker.kind).into(),
            server: worker.server.clone(),
            worker_id: shorten(&worker.worker_id, MAX_NAME),
            live: worker.liveness.is_ok(),
            ready: worker.readiness.is_ok(),
            problem: problem.map(|problem| problem.to_string()),
            registered: worker.registered,
            draining: worker.draining,
            quiet: worker.quiet,
            active_jobs: active(worker.slots),
            worker_load: worker.load,
            max_jobs: worker.capacity,
            slots: Slots::of(worker.slots),
            unconfirmed_outcomes: worker.unconfirmed,
            uptime_seconds: worker.uptime.as_secs(),
            jobs_succeeded: stats.succeeded,
            jobs_failed: stats.failed(),
            job_retries: stats.retries,
            stuck_attempts: stats.stuck,
            job_launch_seconds: Times {
                bounds: SECONDS.to_vec(),
                counts: launches.counts.to_vec(),
                sum: launches.sum,
            },
        }
    }
}

impl Slots {
    const fn of(slots: SlotCounts) -> Self {
        let SlotCounts { offered, accepted, running, backing_off, cleaning, stuck, .. } = slots;
        Self { used: slots.used(), offered, accepted, running, backing_off, cleaning, stuck }
    }
}

impl JobReport {
    pub(super) fn of(live: &LiveJob) -> Self {
        let job = &live.job;
        let name = |text: &str| shorten(text, MAX_NAME);
        Self {
            id: name(&job.id),
            kind: job.kind.to_string(),
            agent_name: name(&job.agent_name),
            room: name(&job.room.name),
            room_sid: name(&job.room.sid),
            participant: job.target.as_ref().map(|target| name(&target.identity)),
            dispatch_id: name(&job.dispatch_id),
            request_id: job.request_id.clone(),
            state: live.state.as_str().into(),
            age_seconds: (live.age.as_secs_f64() * 1000.0).round() / 1000.0,
            attempts: live.attempts,
            last_error: live.last_error.as_deref().map(str::to_owned),
        }
    }
}

/// Assigned jobs without an outcome.
const fn active(slots: SlotCounts) -> usize {
    slots.running + slots.backing_off + slots.cleaning
}

/// As the protocol names it.
const fn worker_type(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Publisher => "JT_PUBLISHER",
        JobKind::Participant => "JT_PARTICIPANT",
        _ => "JT_ROOM",
    }
}
