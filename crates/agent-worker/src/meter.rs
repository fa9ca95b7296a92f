//! What every worker tells the `metrics` facade. The page `guide::metrics` lists all of it; a test holds the two together.
//!
//! Labels are few and bounded: never a job, a room or a person. Without a recorder all of this is next to nothing.

use agent_core::{Answer, CheckpointError, EndedJob, GivenAnswer, Notice, Output, Worker};
use metrics::{Gauge, SharedString, Unit, counter, gauge, histogram};
use std::sync::Arc;

use crate::stats::FailureLabel;

/// A counter, and what it counts.
type Described = (&'static str, &'static str);

pub(crate) const RETRIES: Described =
    ("lk_agents_job_retries_total", "Attempts that followed one that failed");
pub(crate) const STUCK: Described = ("lk_agents_stuck_attempts_total", "Attempts that could not be aborted");
pub(crate) const STALE: Described =
    ("lk_agents_stale_jobs_total", "Times that a job had not said for too long that it gets on");
pub(crate) const LEFTOVERS: Described = (
    "lk_agents_leftover_tasks_total",
    "Tasks that were still there when their attempt was over, and were cancelled",
);
pub(crate) const CLEANUP_OVERRUNS: Described =
    ("lk_agents_cleanup_overruns_total", "Cleanups that took too long and were dropped");
pub(crate) const STUCK_CLEANUPS: Described =
    ("lk_agents_stuck_cleanups_total", "Cleanups that took too long and could not be dropped");
pub(crate) const CLEANUP_PANICS: Described =
    ("lk_agents_cleanup_panics_total", "Cleanup callbacks that panicked");
const ENDED: Described = ("lk_agents_jobs_total", "Jobs that ended, by outcome");
const FAILURES: Described = ("lk_agents_job_failures_total", "Jobs that failed for good, by kind and reason");
const ANSWERS: Described = ("lk_agents_request_answers_total", "What the request handler answered");
const REFUSED: Described =
    ("lk_agents_refused_offers_total", "Offers that were declined without the request handler, by reason");
const NOT_ASSIGNED: Described =
    ("lk_agents_unassigned_offers_total", "Offers that were accepted and not assigned in time");
const LOST: Described =
    ("lk_agents_connection_losses_total", "Times that there was no connection to the server");
const VIOLATIONS: Described =
    ("lk_agents_protocol_violations_total", "Odd things that the server did, by kind");

const SAVES: Described =
    ("lk_agents_checkpoint_saves_total", "Checkpoints that were saved or not, by result");
const LEADS: Described = ("lk_agents_elections_won_total", "Leads that jobs of this process have taken");
const LEASES_LOST: Described = ("lk_agents_leases_lost_total", "Leads that were lost, and not given back");
const MISSED: Described =
    ("lk_agents_channel_messages_missed_total", "Messages between jobs that were lost, by what lost them");

const COUNTERS: [Described; 18] = [
    ENDED,
    FAILURES,
    RETRIES,
    ANSWERS,
    REFUSED,
    NOT_ASSIGNED,
    LOST,
    VIOLATIONS,
    STUCK,
    STALE,
    LEFTOVERS,
    CLEANUP_OVERRUNS,
    STUCK_CLEANUPS,
    CLEANUP_PANICS,
    SAVES,
    LEADS,
    LEASES_LOST,
    MISSED,
];

const DURATION: Described =
    ("lk_agents_job_duration_seconds", "From the assignment of a job to its outcome, by outcome");

const ACTIVE: Described =
    ("lk_agents_active_job_count", "Jobs that are assigned to this worker and have no outcome");
const LOAD: Described = ("lk_agents_worker_load", "Slots that are taken, of all: 0 to 1");
const SLOTS: Described = ("lk_agents_worker_max_jobs", "Slots that there are");
const REGISTERED: Described = ("lk_agents_worker_registered", "1 if the server knows the worker, else 0");
const DRAINING: Described = ("lk_agents_worker_draining", "1 if the worker takes no job any more, else 0");

/// The name of a worker's agent as a label. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Meter {
    agent: SharedString,
}

impl Meter {
    pub(crate) fn new(agent_name: &str) -> Self {
        Self { agent: SharedString::from_shared(Arc::from(agent_name)) }
    }

    pub(crate) fn count(&self, (name, _): Described, by: u64) {
        counter!(name, "agent_name" => self.agent.clone()).increment(by);
    }

    /// A job has its outcome.
    pub(crate) fn ended(&self, ended: &EndedJob) {
        let outcome = if ended.outcome.is_success() { "success" } else { "failed" };
        counter!(ENDED.0, "agent_name" => self.agent.clone(), "outcome" => outcome).increment(1);
        histogram!(DURATION.0, "agent_name" => self.agent.clone(), "outcome" => outcome)
            .record(ended.duration.as_secs_f64());
    }

    pub(crate) fn failure(&self, label: &FailureLabel) {
        let (kind, reason) = (label.kind, label.reason.clone());
        counter!(FAILURES.0, "agent_name" => self.agent.clone(), "kind" => kind, "reason" => reason)
            .increment(1);
    }

    /// The request handler has said this.
    pub(crate) fn answer(&self, answer: &Answer) {
        let answer = match answer {
            Answer::Accept(_) => "accept",
            Answer::Decline => "decline",
            Answer::Dismiss => "dismiss",
        };
        counter!(ANSWERS.0, "agent_name" => self.agent.clone(), "answer" => answer).increment(1);
    }

    /// What is to be seen of the machine from outside.
    pub(crate) fn output(&self, output: &Output) {
        match output {
            Output::Ended(ended) => self.ended(ended),
            Output::Notice(Notice::OfferAnswered {
                answer: GivenAnswer::Declined(why), after: None, ..
            }) => {
                counter!(REFUSED.0, "agent_name" => self.agent.clone(), "reason" => why.word()).increment(1);
            }
            Output::Notice(Notice::BadAnswer { .. }) => {
                counter!(REFUSED.0, "agent_name" => self.agent.clone(), "reason" => "bad answer")
                    .increment(1);
            }
            Output::Notice(Notice::NotAssigned { .. }) => self.count(NOT_ASSIGNED, 1),
            Output::Notice(Notice::ConnectionLost { .. }) => self.count(LOST, 1),
            Output::Notice(Notice::Violation(violation)) => {
                let kind = format!("{violation:?}");
                counter!(VIOLATIONS.0, "agent_name" => self.agent.clone(), "kind" => kind).increment(1);
            }
            _ => {}
        }
    }
}

/// A checkpoint was saved, or not.
pub(crate) fn saved<T>(result: &Result<T, CheckpointError>) {
    let result = match result {
        Ok(_) => "saved",
        Err(CheckpointError::Superseded) => "superseded",
        Err(_) => "failed",
    };
    counter!(SAVES.0, "result" => result).increment(1);
}

/// A job leads.
pub(crate) fn elected() {
    counter!(LEADS.0).increment(1);
}

/// A job leads no longer, against its will.
pub(crate) fn lease_lost() {
    counter!(LEASES_LOST.0).increment(1);
}

/// Messages did not come (`carrier`), or came and were dropped, as the job was too slow (`reader`).
pub(crate) fn missed(by: &'static str, count: u64) {
    counter!(MISSED.0, "by" => by).increment(count);
}

/// What a worker is like now. Made when it begins to run, so that a recorder that was installed before hears of it.
pub(crate) struct Gauges {
    active: Gauge,
    load: Gauge,
    registered: Gauge,
    draining: Gauge,
    max_jobs: usize,
    shown: Option<Shown>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Shown {
    active: usize,
    used: usize,
    registered: bool,
    draining: bool,
}

impl Gauges {
    pub(crate) fn new(meter: &Meter, max_jobs: usize) -> Self {
        for (name, what) in COUNTERS {
            metrics::describe_counter!(name, Unit::Count, what);
        }
        metrics::describe_histogram!(DURATION.0, Unit::Seconds, DURATION.1);
        for (name, what) in [ACTIVE, LOAD, SLOTS, REGISTERED, DRAINING] {
            metrics::describe_gauge!(name, what);
        }
        let of = |(name, _): Described| gauge!(name, "agent_name" => meter.agent.clone());
        of(SLOTS).set(number(max_jobs));
        let (active, load) = (of(ACTIVE), of(LOAD));
        Self { active, load, registered: of(REGISTERED), draining: of(DRAINING), max_jobs, shown: None }
    }

    /// Shows what has changed.
    pub(crate) fn show(&mut self, machine: &Worker) {
        let slots = machine.slots();
        let active = slots.used() - slots.offered - slots.accepted;
        self.set(Shown {
            active,
            used: slots.used(),
            registered: machine.is_registered(),
            draining: machine.is_draining(),
        });
    }

    fn set(&mut self, now: Shown) {
        if self.shown.replace(now) == Some(now) {
            return;
        }
        self.active.set(number(now.active));
        self.load.set(number(now.used) / number(self.max_jobs.max(1)));
        self.registered.set(f64::from(u8::from(now.registered)));
        self.draining.set(f64::from(u8::from(now.draining)));
    }
}

/// A worker that is gone is neither registered nor at work.
impl Drop for Gauges {
    fn drop(&mut self) {
        self.set(Shown { active: 0, used: 0, registered: false, draining: false });
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 jobs")]
const fn number(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_lists_every_metric_with_its_meaning() {
        let page = include_str!("guide/metrics.md");
        for (name, what) in COUNTERS.into_iter().chain([DURATION, ACTIVE, LOAD, SLOTS, REGISTERED, DRAINING])
        {
            let line = page.lines().find(|line| line.contains(&format!("| `{name}` |")));
            assert!(line.is_some_and(|line| line.contains(what)), "{name}: {what}");
        }
    }
}
