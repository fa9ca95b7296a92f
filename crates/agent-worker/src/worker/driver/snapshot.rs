//! What is read of a running worker from outside.

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "http")]
use agent_core::LiveJob;
use agent_core::{HealthProblem, JobKind, SlotCounts, Time, Worker};
use agent_net::ServerUrl;

use crate::worker::settings::Settings;

/// A snapshot of the machine and of what the driver knows of it.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "http"), allow(dead_code, reason = "a handle reads a part of it"))]
pub(crate) struct Snapshot {
    pub(crate) agent_name: String,
    pub(crate) agent_name_is_env: bool,
    pub(crate) deployment: String,
    pub(crate) kind: JobKind,
    pub(crate) server: String,
    /// The id of the last registration; empty before the first.
    pub(crate) worker_id: Arc<str>,
    pub(crate) registered: bool,
    pub(crate) draining: bool,
    pub(crate) quiet: bool,
    pub(crate) liveness: Result<(), HealthProblem>,
    pub(crate) readiness: Result<(), HealthProblem>,
    pub(crate) slots: SlotCounts,
    pub(crate) capacity: usize,
    pub(crate) load: f32,
    /// Jobs with an outcome that the server has not confirmed.
    pub(crate) unconfirmed: usize,
    pub(crate) uptime: Duration,
}

/// A part of the list of live jobs.
#[cfg(feature = "http")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) offset: usize,
    pub(crate) limit: usize,
}

/// Live jobs, and how many there are in all.
#[cfg(feature = "http")]
#[derive(Clone, Debug, Default)]
pub(crate) struct JobPage {
    pub(crate) total: usize,
    pub(crate) jobs: Vec<LiveJob>,
}

impl Snapshot {
    /// Of a worker that has stopped.
    pub(crate) fn stopped(settings: &Settings, server: &ServerUrl) -> Self {
        let rules = &settings.rules;
        Self {
            agent_name: rules.agent_name.clone(),
            agent_name_is_env: settings.agent_name_is_env,
            deployment: rules.deployment.clone(),
            kind: rules.kind,
            server: server.to_string(),
            worker_id: "".into(),
            registered: false,
            draining: false,
            quiet: false,
            liveness: Err(HealthProblem::Stopped),
            readiness: Err(HealthProblem::Stopped),
            slots: SlotCounts::default(),
            capacity: rules.max_jobs,
            load: 0.0,
            unconfirmed: 0,
            uptime: Duration::ZERO,
        }
    }

    pub(super) fn of(
        machine: &Worker,
        settings: &Settings,
        server: &ServerUrl,
        worker_id: Arc<str>,
        now: Time,
    ) -> Self {
        Self {
            worker_id,
            registered: machine.is_registered(),
            draining: machine.is_draining(),
            quiet: machine.is_quiet(),
            liveness: machine.liveness(),
            readiness: machine.readiness(),
            slots: machine.slots(),
            capacity: machine.capacity(),
            load: machine.load(),
            unconfirmed: machine.closing(),
            uptime: now - Time::ZERO,
            ..Self::stopped(settings, server)
        }
    }
}

#[cfg(feature = "http")]
impl JobPage {
    pub(super) fn of(machine: &Worker, Page { offset, limit }: Page, now: Time) -> Self {
        let jobs = machine.live_jobs(now).skip(offset).take(limit).collect();
        Self { total: machine.used_slots(), jobs }
    }
}
