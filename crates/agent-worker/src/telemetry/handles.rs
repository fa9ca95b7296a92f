//! The handles of one worker: what is on the way of each job is looked up once.

use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram, SharedString};

use super::table;

/// Handles of the recorder that was there when the worker started to run; without one, and before, they do
/// nothing.
pub(super) struct Handles {
    /// For what is rare, and has labels of its own.
    agent_name: Arc<str>,
    pub(super) accepted: Counter,
    pub(super) offer_answer: Histogram,
    pub(super) assignment_wait: Histogram,
    pub(super) unassigned: Counter,
    pub(super) joined: Histogram,
    pub(super) job_launch: Histogram,
    pub(super) active_jobs: Gauge,
    pub(super) slots_used: Gauge,
    pub(super) max_jobs: Gauge,
    pub(super) load: Gauge,
    pub(super) succeeded: Counter,
    pub(super) failed: Counter,
    pub(super) success_duration: Histogram,
    pub(super) failure_duration: Histogram,
    pub(super) retries: Counter,
    pub(super) stuck: Counter,
    pub(super) leftover_tasks: Counter,
    pub(super) cleanup_overruns: Counter,
    pub(super) stuck_cleanups: Counter,
    pub(super) cleanup_panics: Counter,
    pub(super) stale: Counter,
    pub(super) registered: Gauge,
    pub(super) reconnects: Counter,
    pub(super) connection_failures: Counter,
    pub(super) draining: Gauge,
    pub(super) saved: Counter,
    pub(super) save_took: Histogram,
    pub(super) leads: Gauge,
    pub(super) elections_won: Counter,
    pub(super) published: Counter,
    pub(super) received: Counter,
    pub(super) lost: Counter,
    pub(super) lagged: Counter,
    pub(super) interruptions: Counter,
    pub(super) dropped_events: Counter,
    pub(super) dropped_messages: Counter,
    pub(super) dropped_frames: Counter,
}

impl Handles {
    /// Takes them from the recorder, so that each counter is there at 0 before anything happens.
    pub(super) fn register(agent_name: &str) -> Self {
        let name: Arc<str> = agent_name.into();
        let own = || [SharedString::from(Arc::clone(&name))];
        let and = |word: &'static str| [Arc::clone(&name).into(), word.into()];
        Self {
            accepted: table::OFFERS.count([Arc::clone(&name).into(), "accepted".into(), "".into()]),
            offer_answer: table::OFFER_ANSWER.times(own()),
            assignment_wait: table::ASSIGNMENT_WAIT.times(own()),
            unassigned: table::UNASSIGNED.count(own()),
            joined: table::ROOM_JOIN.times(and("ok")),
            job_launch: table::JOB_LAUNCH.times(own()),
            active_jobs: table::ACTIVE_JOBS.level(own()),
            slots_used: table::SLOTS_USED.level(own()),
            max_jobs: table::MAX_JOBS.level(own()),
            load: table::WORKER_LOAD.level(own()),
            succeeded: table::JOBS.count(and("success")),
            failed: table::JOBS.count(and("failed")),
            success_duration: table::JOB_DURATION.times(and("success")),
            failure_duration: table::JOB_DURATION.times(and("failed")),
            retries: table::JOB_RETRIES.count(own()),
            stuck: table::STUCK_ATTEMPTS.count(own()),
            leftover_tasks: table::LEFTOVER_TASKS.count(own()),
            cleanup_overruns: table::CLEANUP_OVERRUNS.count(own()),
            stuck_cleanups: table::STUCK_CLEANUPS.count(own()),
            cleanup_panics: table::CLEANUP_PANICS.count(own()),
            stale: table::STALE_JOBS.count(own()),
            registered: table::REGISTERED.level(own()),
            reconnects: table::RECONNECTS.count(own()),
            connection_failures: table::CONNECTION_FAILURES.count(own()),
            draining: table::DRAINING.level(own()),
            saved: table::CHECKPOINT_SAVES.count(and("ok")),
            save_took: table::CHECKPOINT_SAVE.times(own()),
            leads: table::LEADS.level(own()),
            elections_won: table::ELECTIONS_WON.count(own()),
            published: table::CHANNEL_PUBLISHED.count(own()),
            received: table::CHANNEL_RECEIVED.count(own()),
            lost: table::CHANNEL_MISSED.count(and("carrier")),
            lagged: table::CHANNEL_MISSED.count(and("reader")),
            interruptions: table::CHANNEL_INTERRUPTIONS.count(own()),
            dropped_events: table::ROOM_EVENTS_DROPPED.count(and("events")),
            dropped_messages: table::ROOM_EVENTS_DROPPED.count(and("data")),
            dropped_frames: table::ROOM_EVENTS_DROPPED.count(and("frames")),
            agent_name: name,
        }
    }

    pub(super) fn agent_name(&self) -> SharedString {
        Arc::clone(&self.agent_name).into()
    }
}
