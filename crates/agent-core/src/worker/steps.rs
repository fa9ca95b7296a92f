//! One transition of one job: an input for its state machine, and the effects. The job is looked up once.

use std::collections::VecDeque;
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use agent_proto::Time;

use super::Worker;
use super::entries::Entry;
use super::io::{Notice, Output, Violation};
use super::timers::{JobTimer, Timer, Timers};
use super::wire;
use crate::answer::GivenAnswer;
use crate::config::Config;
use crate::job::lifecycle::{Effect, Exit, JobInput, JobState, Phase, Transition, step};
use crate::job::{JobId, JobLabels};
use crate::outcome::Lifecycle;

impl Worker {
    /// Applies an input to a job and carries out the transition. Input for a closed job is ignored.
    pub(super) fn apply(&mut self, id: &JobId, input: JobInput, now: Time) {
        let (cleanup_time, registered) = (self.cleanup_time(now), self.is_registered());
        let Some(entry) = self.jobs.get_mut(id) else { return };
        match step(entry.state.clone(), input) {
            Transition::Stay(next, effect) => {
                let moved = position(&next) != position(&entry.state);
                entry.state = next;
                if moved {
                    set_step_timer(&mut self.timers, &self.config, entry, cleanup_time, now);
                }
                let out = &mut self.out;
                match effect {
                    // The wait before the next attempt was reported with its reason.
                    Effect::None | Effect::BackOff => {}
                    Effect::Start => {
                        advance(entry, Lifecycle::Assigned, out);
                    }
                    Effect::Retry => {
                        (entry.attempt_at, entry.took) = (now, None);
                        out.push_back(Output::Retry { job: id.clone(), attempt: entry.state.attempt() });
                    }
                    Effect::Clean => {
                        let (attempt, within) = (entry.state.attempt(), cleanup_time);
                        out.push_back(Output::Clean { job: id.clone(), attempt, within });
                    }
                    Effect::Accept => accept(entry, out, now),
                    Effect::ReportRunning => {
                        if advance(entry, Lifecycle::Running, out) {
                            let timing =
                                entry.join.on_called(now).then(|| entry.join.to_wire(entry.assigned_at));
                            if registered {
                                out.push_back(Output::Send(wire::running(id, timing)));
                            }
                        }
                    }
                    Effect::Cancel(reason) => out.push_back(Output::Cancel { job: id.clone(), reason }),
                    Effect::Abort => {
                        out.push_back(Output::Abort { job: id.clone(), cause: self.abort_cause })
                    }
                    Effect::FinishStuck(verdict) => {
                        out.push_back(Output::Notice(Notice::Stuck { job: id.clone() }));
                        let assignment = entry.assignment(now);
                        entry.lifecycle = Lifecycle::Failed;
                        self.finish(assignment, verdict, now);
                    }
                    Effect::Unexpected => self.violation(Violation::UnexpectedJobInput),
                }
            }
            Transition::Gone(exit) => {
                let Some(entry) = self.jobs.remove(id) else { return };
                // A timer for a repeat belongs to an earlier outcome of this job.
                let timers = [JobTimer::Step, JobTimer::Deadline, JobTimer::Empty, JobTimer::Stale];
                self.timers.clear_job(id, &timers);
                self.release(entry, exit, now);
            }
        }
    }

    /// The effects of a job that has left its slot.
    fn release(&mut self, entry: Entry, exit: Exit, now: Time) {
        match exit {
            Exit::Decline(why) => self.refuse_offered(&entry, GivenAnswer::Declined(why), now),
            Exit::Dismiss => self.refuse_offered(&entry, GivenAnswer::Dismissed, now),
            Exit::Forget => {
                if entry.state == JobState::Accepted {
                    let job = JobLabels::from(&*entry.job);
                    self.out.push_back(Output::Notice(Notice::NotAssigned { job }));
                }
                self.out.push_back(Output::Moved { job: entry.job, to: Lifecycle::Failed });
            }
            Exit::Finish(verdict) => self.finish(entry.assignment(now), verdict, now),
            Exit::Release => {}
        }
    }

    fn refuse_offered(&mut self, entry: &Entry, answer: GivenAnswer, now: Time) {
        let job = JobLabels::from(&*entry.job);
        self.send_no(&job, entry.owed, answer, Some(now - entry.assigned_at));
    }
}

/// Identifies a state without its data: the job's timer is set again when this changes.
fn position(state: &JobState) -> (Discriminant<JobState>, Option<Discriminant<Phase>>) {
    (discriminant(state), state.phase().map(discriminant))
}

/// Reports that a job reached a lifecycle state; `false`: it had reached it before.
fn advance(entry: &mut Entry, to: Lifecycle, out: &mut VecDeque<Output>) -> bool {
    let first = entry.lifecycle < to;
    if first {
        entry.lifecycle = to;
        out.push_back(Output::Moved { job: Arc::clone(&entry.job), to });
    }
    first
}

fn accept(entry: &mut Entry, out: &mut VecDeque<Output>, now: Time) {
    entry.accepted_at = Some(now);
    let frame = wire::accept(&entry.job.id, entry.accept.clone());
    let given = (GivenAnswer::Accepted, Some(now - entry.assigned_at));
    send_answer(out, &JobLabels::from(&*entry.job), &frame, entry.owed, given);
}

/// Answers an offer as often as it was made.
pub(super) fn send_answer(
    out: &mut VecDeque<Output>,
    job: &JobLabels,
    frame: &Bytes,
    owed: u32,
    (answer, after): (GivenAnswer, Option<Duration>),
) {
    for _ in 0..owed {
        out.push_back(Output::Send(frame.clone()));
        out.push_back(Output::Notice(Notice::OfferAnswered { job: job.clone(), answer, after }));
    }
}

/// Sets the timer for the longest stay in the present state, or clears it.
pub(super) fn set_step_timer(
    timers: &mut Timers,
    config: &Config,
    entry: &Entry,
    cleanup_time: Duration,
    now: Time,
) {
    let timer = Timer::Job(entry.job.id.clone(), JobTimer::Step);
    let wait = match &entry.state {
        JobState::Offered => config.answer_timeout,
        JobState::Accepted => config.assignment_timeout,
        JobState::Assigned { phase, .. } => match phase {
            Phase::Cancelled { .. } => config.grace,
            Phase::Aborting { .. } => config.abort_timeout,
            // The driver drops a cleanup at its time limit; this covers one that cannot be dropped.
            Phase::Abandoned { .. } | Phase::Cleaning { .. } => {
                cleanup_time.saturating_add(config.abort_timeout)
            }
            Phase::BackingOff { .. } => entry.retry_wait,
            Phase::Starting | Phase::Running | Phase::Stuck => return timers.clear(&timer),
        },
    };
    timers.set(timer, now + wait);
}
