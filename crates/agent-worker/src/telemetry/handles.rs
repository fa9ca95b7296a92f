//! The metric handles of one worker, looked up once instead of for each job.

use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram, SharedString};

use super::table;

/// Handles of the recorder that was installed when the worker started; without a recorder they do nothing.
pub(super) struct Handles {
    /// For rare metrics with further labels.
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
    pub(super) blocked: Counter,
    pub(super) registered: Gauge,
    pub(super) reconnects: Counter,
    pub(super) connection_failures: Counter,
    pub(super) draining: Gauge,
    pub(super) quiet: Gauge,
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
    pub(super) dropped_streams: Counter,
}

impl Handles {
    /// Registers them with the recorder, so that each counter exists at 0.
    pub(super) fn register(agent_name: &str) -> Self {
        let name: Arc<str> = agent_name.into();
        let own = || [SharedString::from(Arc::clone(&name))];
        let and = |value: &'static str| [Arc::clone(&name).into(), value.into()];
        Self {
            accepted: table::OFFERS.counter_with([Arc::clone(&name).into(), "accepted".into(), "".into()]),
            offer_answer: table::OFFER_ANSWER.histogram_with(own()),
            assignment_wait: table::ASSIGNMENT_WAIT.histogram_with(own()),
            unassigned: table::UNASSIGNED.counter_with(own()),
            joined: table::ROOM_JOIN.histogram_with(and("ok")),
            job_launch: table::JOB_LAUNCH.histogram_with(own()),
            active_jobs: table::ACTIVE_JOBS.gauge_with(own()),
            slots_used: table::SLOTS_USED.gauge_with(own()),
            max_jobs: table::MAX_JOBS.gauge_with(own()),
            load: table::WORKER_LOAD.gauge_with(own()),
            succeeded: table::JOBS.counter_with(and("success")),
            failed: table::JOBS.counter_with(and("failed")),
            success_duration: table::JOB_DURATION.histogram_with(and("success")),
            failure_duration: table::JOB_DURATION.histogram_with(and("failed")),
            retries: table::JOB_RETRIES.counter_with(own()),
            stuck: table::STUCK_ATTEMPTS.counter_with(own()),
            leftover_tasks: table::LEFTOVER_TASKS.counter_with(own()),
            cleanup_overruns: table::CLEANUP_OVERRUNS.counter_with(own()),
            stuck_cleanups: table::STUCK_CLEANUPS.counter_with(own()),
            cleanup_panics: table::CLEANUP_PANICS.counter_with(own()),
            stale: table::STALE_JOBS.counter_with(own()),
            blocked: table::BLOCKED_THREADS.counter_with(own()),
            registered: table::REGISTERED.gauge_with(own()),
            reconnects: table::RECONNECTS.counter_with(own()),
            connection_failures: table::CONNECTION_FAILURES.counter_with(own()),
            draining: table::DRAINING.gauge_with(own()),
            quiet: table::QUIET.gauge_with(own()),
            saved: table::CHECKPOINT_SAVES.counter_with(and("ok")),
            save_took: table::CHECKPOINT_SAVE.histogram_with(own()),
            leads: table::LEADS.gauge_with(own()),
            elections_won: table::ELECTIONS_WON.counter_with(own()),
            published: table::CHANNEL_PUBLISHED.counter_with(own()),
            received: table::CHANNEL_RECEIVED.counter_with(own()),
            lost: table::CHANNEL_MISSED.counter_with(and("backend")),
            lagged: table::CHANNEL_MISSED.counter_with(and("reader")),
            interruptions: table::CHANNEL_INTERRUPTIONS.counter_with(own()),
            dropped_events: table::ROOM_EVENTS_DROPPED.counter_with(and("events")),
            dropped_messages: table::ROOM_EVENTS_DROPPED.counter_with(and("data")),
            dropped_frames: table::ROOM_EVENTS_DROPPED.counter_with(and("frames")),
            dropped_streams: table::ROOM_EVENTS_DROPPED.counter_with(and("streams")),
            agent_name: name,
        }
    }

    pub(super) fn agent_name(&self) -> SharedString {
        Arc::clone(&self.agent_name).into()
    }
}
