//! Watches running jobs: their room and its participants, their progress, and second jobs.
//!
//! It does not change the course of a job directly: a room that is over cancels the job, as anything else
//! can, and a job that reports no progress is logged.

use agent_proto::Time;

use super::Worker;
use super::io::{Notice, Output};
use super::room_end::RoomEnd;
use super::room_rules::{JoinedRoom, Presence, Rules, ShortRoom};
use super::timers::{JobTimer, Timer};
use super::wire;
use crate::config::Config;
use crate::job::lifecycle::{JobInput, Phase};
use crate::job::{Job, JobId};
use crate::outcome::CancelReason;

impl Worker {
    pub(super) fn on_room_joined(&mut self, id: &JobId, room: JoinedRoom, now: Time) {
        let registered = self.is_registered();
        let Some(entry) = self.jobs.get_mut(id).filter(|entry| entry.state.is_assigned()) else { return };
        if entry.join.on_joined(room.took, now) && registered {
            let timing = entry.join.to_wire(entry.assigned_at);
            self.out.push_back(Output::Send(wire::running(id, Some(timing))));
        }
        let rules = rules(&self.config, &entry.job);
        let before = entry.room.short_room(rules);
        let reason = entry.room.on_room(room, rules, now);
        if let Some(short) = entry.room.short_room(rules).filter(|short| before.as_ref() != Some(short)) {
            let ShortRoom { departure_timeout, configured, wait } = short;
            let job = id.clone();
            self.out.push_back(Output::Notice(Notice::ShortRoom {
                job,
                departure_timeout,
                configured,
                wait,
            }));
        }
        self.after_room_change(id, reason, now);
    }

    pub(super) fn on_presence(&mut self, id: &JobId, presence: &Presence, now: Time) {
        let Some(entry) = self.jobs.get_mut(id).filter(|entry| entry.state.is_assigned()) else { return };
        let reason = entry.room.on_presence(presence, rules(&self.config, &entry.job), now);
        self.after_room_change(id, reason, now);
    }

    /// Sets the time at which the job is over, unless it is over already.
    fn after_room_change(&mut self, id: &JobId, reason: Option<CancelReason>, now: Time) {
        let Some(entry) = self.jobs.get(id) else { return };
        let timer = Timer::Job(id.clone(), JobTimer::Empty);
        match entry.room.ends_at(rules(&self.config, &entry.job)).filter(|_| reason.is_none()) {
            Some(at) => self.timers.set(timer, at.max(now)),
            None => self.timers.clear(&timer),
        }
        if let Some(reason) = reason {
            self.apply(id, JobInput::Cancelled(reason), now);
        }
    }

    /// Nobody joined, or returned, in time.
    pub(super) fn on_empty(&mut self, id: &JobId, now: Time) {
        let Some(entry) = self.jobs.get(id) else { return };
        let reason = entry.room.reason(rules(&self.config, &entry.job));
        self.apply(id, JobInput::Cancelled(reason), now);
    }

    /// The connection to the room was restored into another room of its name.
    pub(super) fn on_room_replaced(&mut self, id: &JobId, now: Time) {
        // A job belongs to its room: for another one of the same name the server creates another job.
        if !self.config.stay_in_new_room {
            self.apply(id, JobInput::Cancelled(CancelReason::RoomGone), now);
        }
    }

    pub(super) fn on_room_ended(&mut self, id: &JobId, end: RoomEnd, now: Time) {
        if let Some(reason) = end.cancel_reason() {
            self.on_cancel_requested(id, reason, now);
        }
    }

    pub(super) fn on_cancel_requested(&mut self, id: &JobId, reason: CancelReason, now: Time) {
        if reason == CancelReason::RoomClosed {
            if let Some(entry) = self.jobs.get_mut(id) {
                entry.room_closed = true;
            } else if self.closing.contains_key(id) {
                self.out.push_back(Output::Notice(Notice::ClosedUnconfirmed { job: id.clone() }));
            }
        }
        self.apply(id, JobInput::Cancelled(reason), now);
    }

    /// The handler reports progress. From the first time on it is expected to.
    pub(super) fn on_progress(&mut self, id: &JobId, now: Time) {
        if self.jobs.get(id).is_some_and(|entry| entry.state.is_assigned()) {
            self.timers.set(Timer::Job(id.clone(), JobTimer::Stale), now + self.config.stale_after);
        }
    }

    /// It has not done so for too long: noticed once, until it reports progress again.
    pub(super) fn on_stale(&mut self, id: &JobId) {
        // Between two attempts there is no handler to report it.
        if !self.jobs.get(id).is_some_and(|entry| entry.state.phase() == Some(&Phase::Running)) {
            return;
        }
        let silent_for = self.config.stale_after;
        self.out.push_back(Output::Notice(Notice::Stale { job: id.clone(), silent_for }));
    }

    /// Whether a job of the same room, agent and target is here already, and the worker is not to have two.
    pub(super) fn is_second(&self, job: &Job) -> bool {
        self.config.one_per_target && self.jobs.values().any(|entry| is_same(&entry.job, job))
    }
}

/// A room or a target of the same name counts as the same unless another instance of the room, or another
/// session of the participant, is known: the older job is about to end then, and the new one is needed.
fn is_same(one: &Job, other: &Job) -> bool {
    let equal = |one: &str, other: &str| one.is_empty() || other.is_empty() || one == other;
    let target = match (&one.target, &other.target) {
        (None, None) => true,
        (Some(one), Some(other)) => one.identity == other.identity && equal(&one.sid, &other.sid),
        _ => false,
    };
    target
        && one.room.name == other.room.name
        && equal(&one.room.sid, &other.room.sid)
        && one.agent_name == other.agent_name
        && one.kind == other.kind
}

fn rules<'a>(config: &Config, job: &'a Job) -> Rules<'a> {
    Rules { end_when: config.end_when, stay: config.stay_in_new_room, job }
}
