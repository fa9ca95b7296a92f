//! Every metric that this crate records: name, labels and meaning.

use std::borrow::Cow;

use metrics::{Counter, Gauge, Histogram, Label, SharedString, Unit};

/// One row of the table.
pub(crate) struct Metric {
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    /// Human-readable, in Markdown.
    meaning: &'static str,
}

/// Type and unit of a metric.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Number of events.
    Counter,
    /// Current value.
    Gauge,
    /// Distribution of durations.
    Seconds,
    /// Distribution of sizes.
    Sizes,
}

/// The labels of a worker's metrics.
const WORKER: &[&str] = &["agent_name"];

pub(crate) const OFFERS: Metric = Metric::counter(
    "lk_agents_offers_total",
    &["agent_name", "answer", "reason"],
    "offers by answer: `accepted`, `declined` or `dismissed`. Only declined offers have a reason: `handler`, `panicked`, `silent` or \
     `bad_answer` of `on_request`; `no_slot`, `no_descriptors`, `draining`, `quiet`, `runs_here`, `second_of_target`, `unknown_kind`, `cancelled`",
);
pub(crate) const OFFER_ANSWER: Metric = Metric::seconds(
    "lk_agents_offer_answer_seconds",
    WORKER,
    "time from an offer to its answer, if `on_request` was called",
);
pub(crate) const ASSIGNMENT_WAIT: Metric = Metric::seconds(
    "lk_agents_assignment_wait_seconds",
    WORKER,
    "time from accepting an offer to the assignment",
);
pub(crate) const UNASSIGNED: Metric = Metric::counter(
    "lk_agents_unassigned_offers_total",
    WORKER,
    "accepted offers that were not assigned in time",
);
pub(crate) const ROOM_JOIN: Metric = Metric::seconds(
    "lk_agents_room_join_seconds",
    &["agent_name", "result"],
    "duration of joining a room, by result: `ok` or `failed`",
);
pub(crate) const ROOM_PATHS: Metric = Metric::counter(
    "lk_agents_room_paths_total",
    &["agent_name", "path"],
    "rooms joined, by the path of their media and data: `udp` or `tcp`; through a relay `relay_udp`, `relay_tcp` or `relay_tls`",
);
pub(crate) const JOB_LAUNCH: Metric = Metric::seconds(
    "lk_agents_job_launch_seconds",
    WORKER,
    "time from an assignment to the first call of the handler, including the join",
);
pub(crate) const ACTIVE_JOBS: Metric =
    Metric::gauge("lk_agents_active_job_count", WORKER, "assigned jobs that have not ended");
pub(crate) const SLOTS_USED: Metric = Metric::gauge(
    "lk_agents_slots_used",
    WORKER,
    "slots in use: from offer to outcome, and by stuck attempts",
);
pub(crate) const MAX_JOBS: Metric = Metric::gauge(
    "lk_agents_worker_max_jobs",
    WORKER,
    "total slots: `max_jobs`, or fewer if the limit of open files is too low",
);
pub(crate) const WORKER_LOAD: Metric = Metric::gauge(
    "lk_agents_worker_load",
    WORKER,
    "load from 0 to 1: the share of slots in use, or the result of the worker's load function",
);
pub(crate) const JOBS: Metric = Metric::counter(
    "lk_agents_jobs_total",
    &["agent_name", "outcome"],
    "ended jobs by outcome: `success` or `failed`",
);
pub(crate) const JOB_DURATION: Metric = Metric::seconds(
    "lk_agents_job_duration_seconds",
    &["agent_name", "outcome"],
    "time from an assignment to its outcome, including all attempts and cleanups",
);
pub(crate) const JOB_FAILURES: Metric = Metric::counter(
    "lk_agents_job_failures_total",
    &["agent_name", "kind", "reason"],
    "failed jobs by kind (`fatal`, `invalid`, `panicked`, `retryable`, `timed_out`, `cancelled`) and reason (that of a fatal error, `invalid_input`, or the kind again)",
);
pub(crate) const JOB_RETRIES: Metric =
    Metric::counter("lk_agents_job_retries_total", WORKER, "attempts after the first of a job");
pub(crate) const STUCK_ATTEMPTS: Metric =
    Metric::counter("lk_agents_stuck_attempts_total", WORKER, "attempts that could not be aborted");
pub(crate) const LEFTOVER_TASKS: Metric = Metric::counter(
    "lk_agents_leftover_tasks_total",
    WORKER,
    "tasks that still ran a second after they were cancelled with their attempt, as they block their thread",
);
pub(crate) const CLEANUP_OVERRUNS: Metric = Metric::counter(
    "lk_agents_cleanup_overruns_total",
    WORKER,
    "cleanup callbacks that exceeded their time limit and were dropped",
);
pub(crate) const STUCK_CLEANUPS: Metric = Metric::counter(
    "lk_agents_stuck_cleanups_total",
    WORKER,
    "cleanups that exceeded their time limit and could not be dropped",
);
pub(crate) const CLEANUP_PANICS: Metric =
    Metric::counter("lk_agents_cleanup_panics_total", WORKER, "cleanup callbacks that panicked");
pub(crate) const STALE_JOBS: Metric = Metric::counter(
    "lk_agents_stale_jobs_total",
    WORKER,
    "how often a job did not call `ctx.progress()` for `stale_after`",
);
pub(crate) const BLOCKED_THREADS: Metric = Metric::counter(
    "lk_agents_blocked_threads_total",
    WORKER,
    "how often code of a job blocked its thread for `blocked_after`",
);
pub(crate) const REGISTERED: Metric =
    Metric::gauge("lk_agents_worker_registered", WORKER, "1 while the worker is registered, else 0");
pub(crate) const RECONNECTS: Metric =
    Metric::counter("lk_agents_reconnects_total", WORKER, "registrations after the first one");
pub(crate) const CONNECTION_FAILURES: Metric = Metric::counter(
    "lk_agents_connection_losses_total",
    WORKER,
    "connections to the server that were lost or could not be established",
);
pub(crate) const DRAINING: Metric =
    Metric::gauge("lk_agents_worker_draining", WORKER, "1 while the worker drains, else 0");
pub(crate) const QUIET: Metric = Metric::gauge(
    "lk_agents_worker_quiet",
    WORKER,
    "1 while the worker accepts no new jobs until an undrain, else 0",
);
pub(crate) const VIOLATIONS: Metric = Metric::counter(
    "lk_agents_protocol_violations_total",
    &["agent_name", "kind"],
    "protocol violations of the server, by the labels of `agent_core::Violation`",
);
pub(crate) const CHECKPOINT_SAVES: Metric = Metric::counter(
    "lk_agents_checkpoint_saves_total",
    &["agent_name", "result"],
    "saves by result: `ok`, `superseded` (another worker has taken over), `unavailable` or another label of an error",
);
pub(crate) const CHECKPOINT_SAVE: Metric =
    Metric::seconds("lk_agents_checkpoint_save_seconds", WORKER, "duration of successful saves");
pub(crate) const CHECKPOINT_LOADS: Metric = Metric::counter(
    "lk_agents_checkpoint_loads_total",
    &["agent_name", "result"],
    "loads by result: `found`, `nothing`, or the label of an error",
);
pub(crate) const LEADS: Metric =
    Metric::gauge("lk_agents_leads", WORKER, "elections that jobs of this worker lead now");
pub(crate) const ELECTIONS_WON: Metric =
    Metric::counter("lk_agents_elections_won_total", WORKER, "how often a job became the leader");
pub(crate) const LEADS_LOST: Metric = Metric::counter(
    "lk_agents_leases_lost_total",
    &["agent_name", "reason"],
    "ended leases by reason: `released`, `expired` (not renewed in time) or `refused` (the store granted it to another job)",
);
pub(crate) const CHANNEL_PUBLISHED: Metric = Metric::counter(
    "lk_agents_channel_messages_published_total",
    WORKER,
    "messages and announcements that jobs sent on channels",
);
pub(crate) const CHANNEL_RECEIVED: Metric = Metric::counter(
    "lk_agents_channel_messages_received_total",
    WORKER,
    "messages and announcements that jobs received on channels",
);
pub(crate) const CHANNEL_MISSED: Metric = Metric::counter(
    "lk_agents_channel_messages_missed_total",
    &["agent_name", "by"],
    "messages that were lost in transit (`backend`), and events that were dropped because the job read too slowly (`reader`)",
);
pub(crate) const CHANNEL_INTERRUPTIONS: Metric = Metric::counter(
    "lk_agents_channel_interruptions_total",
    WORKER,
    "interruptions of channels that may have lost an unknown number of messages",
);
pub(crate) const ROOM_EVENTS_DROPPED: Metric = Metric::counter(
    "lk_agents_room_events_dropped_total",
    &["agent_name", "stream"],
    "events, data messages, frames and text or byte streams that were dropped because a stream of events (`events`), of data (`data`) or of a track (`frames`) was read too slowly, or streams of a topic were not taken (`streams`)",
);
pub(crate) const HANDLER: Metric = Metric::seconds(
    "lk_agents_handler_seconds",
    &["handler", "result"],
    "layer `Measured`: duration of handler calls, by result: `ok`, a kind of error, or `dropped` after an abort or a panic",
);
pub(crate) const HANDLERS_RUNNING: Metric =
    Metric::gauge("lk_agents_handlers_running", &["handler"], "layer `Measured`: handler calls in progress");
pub(crate) const POOL_IN_USE: Metric =
    Metric::gauge("lk_agents_pool_in_use", &["pool"], "`Pool`: items in use, by the pool's name");
pub(crate) const POOL_WAIT: Metric =
    Metric::seconds("lk_agents_pool_wait_seconds", &["pool"], "`Pool`: duration of successful acquisitions");
pub(crate) const POOL_TIMEOUTS: Metric =
    Metric::counter("lk_agents_pool_timeouts_total", &["pool"], "`Pool`: acquisitions that timed out");
pub(crate) const BATCH_ITEMS: Metric = Metric::sizes(
    "lk_agents_batch_items",
    &["flush"],
    "`Batches`: items in a batch, by the reason for its end: `full`, `waited` or `ended` (end of the stream, or the stop)",
);
pub(crate) const PIPELINE_ITEMS: Metric =
    Metric::counter("lk_agents_pipeline_items_total", &[], "`Pipeline`: items that completed all stages");
pub(crate) const PIPELINE_FAILURES: Metric =
    Metric::counter("lk_agents_pipeline_failures_total", &["stage"], "`Pipeline`: failures by stage");
pub(crate) const UNKNOWN_EVENTS: Metric = Metric::counter(
    "lk_agents_unknown_events_total",
    &[],
    "`StateMachine`: events without a transition from the current state",
);

/// The table, in the order of the guide.
const ALL: &[&Metric] = &[
    &OFFERS,
    &OFFER_ANSWER,
    &ASSIGNMENT_WAIT,
    &UNASSIGNED,
    &ROOM_JOIN,
    &ROOM_PATHS,
    &JOB_LAUNCH,
    &ACTIVE_JOBS,
    &SLOTS_USED,
    &MAX_JOBS,
    &WORKER_LOAD,
    &JOBS,
    &JOB_DURATION,
    &JOB_FAILURES,
    &JOB_RETRIES,
    &STUCK_ATTEMPTS,
    &LEFTOVER_TASKS,
    &CLEANUP_OVERRUNS,
    &STUCK_CLEANUPS,
    &CLEANUP_PANICS,
    &STALE_JOBS,
    &BLOCKED_THREADS,
    &REGISTERED,
    &RECONNECTS,
    &CONNECTION_FAILURES,
    &DRAINING,
    &QUIET,
    &VIOLATIONS,
    &CHECKPOINT_SAVES,
    &CHECKPOINT_SAVE,
    &CHECKPOINT_LOADS,
    &LEADS,
    &ELECTIONS_WON,
    &LEADS_LOST,
    &CHANNEL_PUBLISHED,
    &CHANNEL_RECEIVED,
    &CHANNEL_MISSED,
    &CHANNEL_INTERRUPTIONS,
    &ROOM_EVENTS_DROPPED,
    &HANDLER,
    &HANDLERS_RUNNING,
    &POOL_IN_USE,
    &POOL_WAIT,
    &POOL_TIMEOUTS,
    &BATCH_ITEMS,
    &PIPELINE_ITEMS,
    &PIPELINE_FAILURES,
    &UNKNOWN_EVENTS,
];

/// Registers the meaning and unit of each metric with the recorder.
pub(super) fn describe() {
    for metric in ALL {
        let (name, meaning) = (metric.name, Cow::Borrowed(metric.meaning));
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(name, Unit::Count, meaning),
            Kind::Gauge => metrics::describe_gauge!(name, Unit::Count, meaning),
            Kind::Seconds => metrics::describe_histogram!(name, Unit::Seconds, meaning),
            Kind::Sizes => metrics::describe_histogram!(name, Unit::Count, meaning),
        }
    }
}

/// The names of the distributions of sizes.
#[cfg(feature = "cli")]
pub(super) fn sizes() -> impl Iterator<Item = &'static str> {
    ALL.iter().filter(|metric| metric.kind == Kind::Sizes).map(|metric| metric.name)
}

impl Metric {
    const fn counter(name: &'static str, labels: &'static [&'static str], meaning: &'static str) -> Self {
        Self { name, kind: Kind::Counter, labels, meaning }
    }

    const fn gauge(name: &'static str, labels: &'static [&'static str], meaning: &'static str) -> Self {
        Self { name, kind: Kind::Gauge, labels, meaning }
    }

    const fn seconds(name: &'static str, labels: &'static [&'static str], meaning: &'static str) -> Self {
        Self { name, kind: Kind::Seconds, labels, meaning }
    }

    const fn sizes(name: &'static str, labels: &'static [&'static str], meaning: &'static str) -> Self {
        Self { name, kind: Kind::Sizes, labels, meaning }
    }

    /// The counter with these label values, in the order of the labels.
    pub(crate) fn counter_with<const N: usize>(&self, values: [SharedString; N]) -> Counter {
        debug_assert!(self.kind == Kind::Counter, "{}", self.name);
        metrics::counter!(self.name, self.labels(values))
    }

    /// The gauge with these label values, in the order of the labels.
    pub(crate) fn gauge_with<const N: usize>(&self, values: [SharedString; N]) -> Gauge {
        debug_assert!(self.kind == Kind::Gauge, "{}", self.name);
        metrics::gauge!(self.name, self.labels(values))
    }

    /// The histogram with these label values, in the order of the labels.
    pub(crate) fn histogram_with<const N: usize>(&self, values: [SharedString; N]) -> Histogram {
        debug_assert!(matches!(self.kind, Kind::Seconds | Kind::Sizes), "{}", self.name);
        metrics::histogram!(self.name, self.labels(values))
    }

    fn labels<const N: usize>(&self, values: [SharedString; N]) -> Vec<Label> {
        debug_assert_eq!(self.labels.len(), N, "{}", self.name);
        self.labels.iter().zip(values).map(|(label, value)| Label::new(*label, value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_names_follow_the_conventions_of_prometheus() {
        let mut names = BTreeSet::new();
        for Metric { name, kind, .. } in ALL {
            assert!(names.insert(name), "{name} is listed twice");
            assert!(name.starts_with("lk_agents_"), "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert_eq!(name.ends_with("_seconds"), *kind == Kind::Seconds, "{name}");
        }
    }

    /// The guide contains this table; `UPDATE_GUIDE=1` updates it.
    #[test]
    fn the_guide_shows_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/guide/metrics.md");
        let file = std::fs::read_to_string(path).unwrap();
        let (before, rest) = file.split_once("<!-- metrics -->\n").unwrap();
        let (written, after) = rest.split_once("<!-- end -->").unwrap();
        let mut made = "| name | type | labels | meaning |\n|---|---|---|---|\n".to_owned();
        for Metric { name, kind, labels, meaning } in ALL {
            let kind = match kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Seconds | Kind::Sizes => "histogram",
            };
            let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
            made += &format!("| `{name}` | {kind} | {} | {meaning} |\n", labels.join(", "));
        }
        if std::env::var_os("UPDATE_GUIDE").is_some() {
            std::fs::write(path, format!("{before}<!-- metrics -->\n{made}<!-- end -->{after}")).unwrap();
        } else {
            assert_eq!(
                made.lines().collect::<Vec<_>>(),
                written.lines().collect::<Vec<_>>(),
                "UPDATE_GUIDE=1 updates it"
            );
        }
    }
}
