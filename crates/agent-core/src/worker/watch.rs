//! What running jobs are watched for: that somebody is left in the room, and that they get on.
//!
//! Neither changes the course of a job by itself: an empty room asks it to stop, as anything else can, and a job that does not get on is
//! told to people.

use super::Worker;
use super::io::{Notice, Output};
use super::timers::{JobTimer, Timer};
use crate::config::EndWhen;
use crate::job::lifecycle::{JobInput, JobState};
use crate::job::{Job, JobId};
use crate::outcome::CancelReason;
use crate::time::Time;

/// Who is in the room of a job, besides its agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence {
    /// People, or what stands for one: ordinary clients, callers, connectors.
    pub people: usize,
    /// Whether the participant is there that the job is about; `false` for a room job.
    pub target: bool,
}

/// What a job's watch knows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    /// Somebody was there who counts.
    seen: bool,
}

impl Worker {
    pub(super) fn on_presence(&mut self, id: &JobId, presence: Presence, now: Time) {
        let policy = self.config.end_when;
        let timer = Timer::Job(id.clone(), JobTimer::Empty);
        let Some(entry) = self.jobs.get_mut(id).filter(|entry| entry.state.is_assigned()) else { return };
        let (there, after) = match policy {
            EndWhen::Never => return,
            EndWhen::Empty { after } => (presence.people > 0, after),
            // A job that is about nobody in particular is about people.
            EndWhen::TargetLeft { after } if entry.job.target.is_some() => (presence.target, after),
            EndWhen::TargetLeft { after } => (presence.people > 0, after),
        };
        if there {
            entry.watch.seen = true;
            self.timers.clear(&timer);
        } else if entry.watch.seen && !self.timers.is_set(&timer) {
            self.timers.set(timer, now + after);
        }
    }

    /// Nobody came back.
    pub(super) fn on_empty(&mut self, id: &JobId, now: Time) {
        let Some(entry) = self.jobs.get(id) else { return };
        let target = matches!(self.config.end_when, EndWhen::TargetLeft { .. }) && entry.job.target.is_some();
        let text = if target { "the participant has left" } else { "the room is empty" };
        self.apply(id, JobInput::Cancelled(CancelReason::Shutdown(text.to_owned())), now);
    }

    /// The handler gets on. From the first time on it is expected to say so.
    pub(super) fn on_progress(&mut self, id: &JobId, now: Time) {
        if self.jobs.get(id).is_some_and(|entry| entry.state.is_assigned()) {
            self.timers.set(Timer::Job(id.clone(), JobTimer::Stale), now + self.config.stale_after);
        }
    }

    /// It has not said so for too long. It is told once, until it gets on again.
    pub(super) fn on_stale(&mut self, id: &JobId) {
        // Between two attempts there is nobody to say it.
        if !self.jobs.get(id).is_some_and(|entry| matches!(entry.state, JobState::Running { .. })) {
            return;
        }
        let silent_for = self.config.stale_after;
        self.out.push_back(Output::Notice(Notice::Stale { job: id.clone(), silent_for }));
    }

    /// Whether a job of the same room, agent and target is here already, and the worker is not to have two.
    pub(super) fn is_second(&self, job: &Job) -> bool {
        let target = |job: &Job| job.target.as_ref().map(|target| target.identity.clone());
        let same = |other: &Job| {
            other.room.name == job.room.name
                && other.agent_name == job.agent_name
                && other.kind == job.kind
                && target(other) == target(job)
        };
        self.config.one_per_target && self.jobs.values().any(|entry| same(&entry.job))
    }
}
