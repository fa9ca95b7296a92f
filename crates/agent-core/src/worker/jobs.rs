//! Offers, assignments, cancellations: what the server and the user say, put to the machine of each job.

use super::Worker;
use super::entries::{Entry, ToldLoad};
use super::io::{Notice, OfferId, Output, Violation};
use super::room_rules::RoomWatch;
use super::timers::{JobTimer, Timer};
use super::wire::{self, Unusable};
use crate::answer::{Accept, Answer, DeclineReason, GivenAnswer};
use crate::job::lifecycle::{Effect, Exit, JobInput, JobState, Phase, Transition, step};
use crate::job::time_limit::time_limit;
use crate::job::{Job, JobId, JobLabels};
use crate::outcome::{CancelReason, Lifecycle, Outcome, Verdict};
use agent_proto::{Secret, Time};
use bytes::Bytes;
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::time::Duration;

/// How long nothing is taken after something could not be opened for want of a file descriptor.
const DESCRIPTORS_WAIT: Duration = Duration::from_secs(10);

/// From the server's target load of 0.7 on, a lone worker gets nothing.
const LOAD_SCALE: f32 = 0.69;
/// Smaller changes are not worth a message.
const LOAD_STEP: f32 = 0.01;

/// What tells one state from another, whatever is known of it: its timer is set when this changes.
fn place(state: &JobState) -> (Discriminant<JobState>, Option<Discriminant<Phase>>) {
    (discriminant(state), state.phase().map(discriminant))
}

impl Worker {
    pub(super) fn on_offer(&mut self, job: Result<Job, Unusable>, now: Time) {
        let job = match job {
            Ok(job) => job,
            Err(unusable) => {
                self.violation(Violation::NoJob);
                if let Some(labels) = unusable {
                    self.refuse(&labels, DeclineReason::UnknownKind);
                }
                return;
            }
        };
        let (id, labels) = (job.id.clone(), JobLabels::from(&job));
        if self.drain.is_some() {
            return self.refuse(&labels, DeclineReason::Draining);
        }
        if let Some(entry) = self.jobs.get_mut(&id) {
            match entry.state {
                JobState::Offered => entry.owed += 1,
                JobState::Accepted => {
                    let again = wire::accept(&id, entry.accept.clone());
                    self.out.push_back(Output::Send(again));
                    self.tell_answer(labels, GivenAnswer::Accepted, None);
                }
                JobState::Assigned { .. } => self.refuse(&labels, DeclineReason::RunsHere),
            }
            return;
        }
        if self.jobs.len() >= self.config.max_jobs {
            return self.refuse(&labels, DeclineReason::NoSlot);
        }
        if !self.has_descriptors() {
            return self.refuse(&labels, DeclineReason::NoDescriptors);
        }
        if self.is_second(&job) {
            return self.refuse(&labels, DeclineReason::SecondOfTarget);
        }
        // The old status must not end the new job.
        self.close(&id);
        let offer = OfferId(self.offers);
        self.offers += 1;
        let job = Arc::new(job);
        self.insert(Arc::clone(&job), JobState::Offered, offer, now);
        self.out.push_back(Output::Moved { job: Arc::clone(&job), to: Lifecycle::Created });
        self.out.push_back(Output::Ask { offer, job });
    }

    pub(super) fn on_answer(&mut self, offer: OfferId, id: &JobId, answer: Answer, now: Time) {
        let Some(entry) = self.offered(offer, id) else { return };
        let input = match answer {
            Answer::Accept(accept) => match accept.check(&entry.job.agent_name) {
                Ok(()) => {
                    entry.accept = accept;
                    JobInput::Accepted
                }
                Err(problem) => {
                    let job = JobLabels::from(&*entry.job);
                    self.out.push_back(Output::Notice(Notice::BadAnswer { job, problem }));
                    JobInput::Declined(DeclineReason::BadAnswer)
                }
            },
            Answer::Decline => JobInput::Declined(DeclineReason::Handler),
            Answer::Dismiss => JobInput::Dismissed,
        };
        self.apply(id, input, now);
    }

    pub(super) fn on_request_panicked(&mut self, offer: OfferId, id: &JobId, now: Time) {
        if self.offered(offer, id).is_some() {
            self.apply(id, JobInput::Declined(DeclineReason::Panicked), now);
        }
    }

    /// The job that the user was asked about. Too late, or for an offer on a connection that is gone: it was answered, or freed,
    /// without the user.
    fn offered(&mut self, offer: OfferId, id: &JobId) -> Option<&mut Entry> {
        self.jobs.get_mut(id).filter(|entry| entry.offer == offer && entry.state == JobState::Offered)
    }

    /// An assignment of something that we cannot run: the server has granted it, so it is failed.
    pub(super) fn on_odd_assignment(&mut self, unusable: Unusable) {
        self.violation(Violation::NoJob);
        // One that we know is not ended by somebody's odd copy of it.
        let unknown =
            |job: &JobLabels| !self.jobs.contains_key(&job.id) && !self.closing.contains_key(&job.id);
        if let Some(job) = unusable.filter(unknown) {
            let outcome = Outcome::failed(DeclineReason::UnknownKind.to_string());
            self.out.push_back(Output::Send(wire::ended(&job.id, &outcome)));
            self.out.push_back(Output::Notice(Notice::UnknownKind { job }));
        }
    }

    pub(super) fn on_assignment(&mut self, mut job: Job, token: Secret, url: Option<String>, now: Time) {
        let id = job.id.clone();
        if let Some(entry) = self.jobs.get(&id) {
            if entry.state.is_assigned() {
                return self.violation(Violation::DuplicateAssignment);
            }
            job.resuming = entry.job.resuming;
            if entry.state == JobState::Offered {
                // The server does not wait for our answer, but the offer still gets its one (I1).
                self.apply(&id, JobInput::Accepted, now);
            }
        } else if self.closing.contains_key(&id) {
            return self.violation(Violation::DuplicateAssignment);
        } else {
            // Late or unasked: the server has granted it, so it is run or failed, never dropped in silence.
            self.violation(Violation::UnexpectedAssignment);
            let free = self.jobs.len() < self.config.max_jobs && self.has_descriptors();
            let refusal = match (&self.drain, free) {
                (Some(_), _) => Some(("draining", "assigned while the worker drains")),
                (None, false) => Some(("no_slot", "assigned without a free slot")),
                (None, true) => None,
            };
            let offer = OfferId(self.offers);
            self.offers += 1;
            if let Some((reason, text)) = refusal {
                let entry = self.entry(Arc::new(job), JobState::Accepted, offer, now);
                return self.finish(entry.assignment(now), Verdict::fatal(reason, text), now);
            }
            self.insert(Arc::new(job.clone()), JobState::Accepted, offer, now);
        }
        let job = Arc::new(job);
        let deadline = time_limit(self.config.job_timeout, self.config.max_job_timeout, &job.raw_metadata)
            .map(|limit| now + limit);
        let mut waited = None;
        if let Some(entry) = self.jobs.get_mut(&id) {
            waited = entry.accepted_at.map(|accepted| now - accepted);
            entry.job = Arc::clone(&job);
            entry.assigned_at = now;
            entry.epoch = self.epoch;
            entry.deadline = deadline;
            entry.attempt_at = now;
        }
        self.apply(&id, JobInput::Assigned, now);
        self.out.push_back(Output::Start { job, token, url, waited });
        if let Some(deadline) = deadline {
            self.timers.set(Timer::Job(id, JobTimer::Deadline), deadline);
        }
    }

    pub(super) fn on_termination(&mut self, id: &JobId, now: Time) {
        if self.jobs.contains_key(id) {
            self.apply(id, JobInput::Cancelled(CancelReason::Terminated), now);
        } else if !self.closing.contains_key(id) {
            self.violation(Violation::UnknownTermination);
        }
    }

    pub(super) fn on_step_timer(&mut self, id: &JobId, now: Time) {
        let input = match self.jobs.get(id).map(|entry| &entry.state) {
            Some(JobState::Offered) => JobInput::AnswerOverdue,
            Some(JobState::Accepted) => JobInput::AssignmentOverdue,
            Some(JobState::Assigned { phase, .. }) => match phase {
                Phase::Cancelled { .. } => JobInput::GraceOver,
                Phase::Aborting { .. } => JobInput::AbortOverdue,
                Phase::Abandoned { .. } | Phase::Cleaning { .. } => return self.on_cleanup_overdue(id, now),
                Phase::BackingOff { .. } => JobInput::RetryDue,
                Phase::Starting | Phase::Running | Phase::Stuck => return,
            },
            None => return,
        };
        self.apply(id, input, now);
    }

    pub(super) fn on_deadline(&mut self, id: &JobId, now: Time) {
        self.apply(id, JobInput::Cancelled(CancelReason::Deadline), now);
    }

    /// Puts one input to one job and does what its table says. A job that is gone needs nothing.
    pub(super) fn apply(&mut self, id: &JobId, input: JobInput, now: Time) {
        let Some(entry) = self.jobs.get_mut(id) else { return };
        match step(entry.state.clone(), input) {
            Transition::Stay(next, effect) => {
                let moved = place(&next) != place(&entry.state);
                entry.state = next;
                if moved {
                    self.set_step_timer(id, now);
                }
                self.carry_out(id, effect, now);
            }
            Transition::Gone(exit) => {
                let Some(entry) = self.jobs.remove(id) else { return };
                // A repeat is of an outcome that it had before.
                let timers = [JobTimer::Step, JobTimer::Deadline, JobTimer::Empty, JobTimer::Stale];
                self.timers.clear_job(id, &timers);
                self.let_go(entry, exit, now);
            }
        }
    }

    /// The effects of a job that goes on.
    fn carry_out(&mut self, id: &JobId, effect: Effect, now: Time) {
        match effect {
            // A wait for the next attempt is told with its reason.
            Effect::None | Effect::BackOff => {}
            Effect::Start => {
                self.moved(id, Lifecycle::Assigned);
            }
            Effect::StartAgain => {
                let Some(entry) = self.jobs.get_mut(id) else { return };
                entry.attempt_at = now;
                entry.took = None;
                let attempt = entry.state.attempt();
                self.out.push_back(Output::StartAgain { job: id.clone(), attempt });
            }
            Effect::Clean => {
                let Some(entry) = self.jobs.get(id) else { return };
                let (attempt, within) = (entry.state.attempt(), self.cleanup_time(now));
                self.out.push_back(Output::Clean { job: id.clone(), attempt, within });
            }
            Effect::Accept => {
                let Some(entry) = self.jobs.get_mut(id) else { return };
                entry.accepted_at = Some(now);
                let frame = wire::accept(id, entry.accept.clone());
                let (owed, after) = (entry.owed, Some(now - entry.assigned_at));
                let labels = JobLabels::from(&*entry.job);
                self.send_answer(&labels, &frame, owed, GivenAnswer::Accepted, after);
            }
            Effect::TellRunning => {
                if self.moved(id, Lifecycle::Running) && self.is_registered() {
                    self.out.push_back(Output::Send(wire::running(id)));
                }
            }
            Effect::Cancel(reason) => self.out.push_back(Output::Cancel { job: id.clone(), reason }),
            Effect::Abort => self.out.push_back(Output::Abort { job: id.clone() }),
            Effect::FinishStuck(verdict) => {
                self.out.push_back(Output::Notice(Notice::Stuck { job: id.clone() }));
                if let Some(entry) = self.jobs.get_mut(id) {
                    entry.lifecycle = Lifecycle::Failed;
                    let assignment = entry.assignment(now);
                    self.finish(assignment, verdict, now);
                }
            }
            Effect::Odd => self.violation(Violation::OddJobInput),
        }
    }

    /// What is left to do for a job that is gone from its slot.
    fn let_go(&mut self, entry: Entry, exit: Exit, now: Time) {
        let labels = JobLabels::from(&*entry.job);
        match exit {
            Exit::Decline(why) => {
                self.send_no(&labels, entry.owed, GivenAnswer::Declined(why), Some(now - entry.assigned_at));
            }
            Exit::Dismiss => {
                self.send_no(&labels, entry.owed, GivenAnswer::Dismissed, Some(now - entry.assigned_at));
            }
            Exit::Forget => {
                if entry.state == JobState::Accepted {
                    self.out.push_back(Output::Notice(Notice::NotAssigned { job: labels }));
                }
                self.out.push_back(Output::Moved { job: entry.job, to: Lifecycle::Failed });
            }
            Exit::Finish(verdict) => self.finish(entry.assignment(now), verdict, now),
            Exit::Release => {}
        }
    }

    /// Tells that a job reached a lifecycle state; `false`: it did before.
    fn moved(&mut self, id: &JobId, to: Lifecycle) -> bool {
        let Some(entry) = self.jobs.get_mut(id).filter(|entry| entry.lifecycle < to) else { return false };
        entry.lifecycle = to;
        self.out.push_back(Output::Moved { job: Arc::clone(&entry.job), to });
        true
    }

    /// Declines without asking.
    fn refuse(&mut self, job: &JobLabels, why: DeclineReason) {
        self.send_no(job, 1, GivenAnswer::Declined(why), None);
    }

    fn send_no(&mut self, job: &JobLabels, owed: u32, answer: GivenAnswer, after: Option<Duration>) {
        let frame = wire::refuse(&job.id, answer == GivenAnswer::Dismissed);
        self.send_answer(job, &frame, owed, answer, after);
    }

    /// Answers an offer as often as it was made.
    fn send_answer(
        &mut self,
        job: &JobLabels,
        frame: &Bytes,
        owed: u32,
        answer: GivenAnswer,
        after: Option<Duration>,
    ) {
        for _ in 0..owed {
            self.out.push_back(Output::Send(frame.clone()));
            self.tell_answer(job.clone(), answer, after);
        }
    }

    fn tell_answer(&mut self, job: JobLabels, answer: GivenAnswer, after: Option<Duration>) {
        self.out.push_back(Output::Notice(Notice::OfferAnswered { job, answer, after }));
    }

    fn insert(&mut self, job: Arc<Job>, state: JobState, offer: OfferId, now: Time) {
        let id = job.id.clone();
        let entry = self.entry(job, state, offer, now);
        self.jobs.insert(id.clone(), entry);
        self.set_step_timer(&id, now);
    }

    fn entry(&self, job: Arc<Job>, state: JobState, offer: OfferId, now: Time) -> Entry {
        Entry {
            job,
            state,
            lifecycle: Lifecycle::Created,
            offer,
            owed: 1,
            accept: Accept::default(),
            assigned_at: now,
            accepted_at: None,
            epoch: self.epoch,
            deadline: None,
            attempt_at: now,
            took: None,
            room_gone: false,
            retry_wait: Duration::ZERO,
            room: RoomWatch::default(),
            room_closed: false,
        }
    }

    fn set_step_timer(&mut self, id: &JobId, now: Time) {
        let timer = Timer::Job(id.clone(), JobTimer::Step);
        let Some(entry) = self.jobs.get(id) else { return self.timers.clear(&timer) };
        let wait = match &entry.state {
            JobState::Offered => self.config.answer_timeout,
            JobState::Accepted => self.config.assignment_timeout,
            JobState::Assigned { phase, .. } => match phase {
                Phase::Cancelled { .. } => self.config.grace,
                Phase::Aborting { .. } => self.config.abort_timeout,
                // The driver drops a cleanup whose time is over; this is for one that cannot be dropped.
                Phase::Abandoned { .. } | Phase::Cleaning { .. } => {
                    self.cleanup_time(now) + self.config.abort_timeout
                }
                Phase::BackingOff { .. } => entry.retry_wait,
                Phase::Starting | Phase::Running | Phase::Stuck => return self.timers.clear(&timer),
            },
        };
        self.timers.set(timer, now + wait);
    }

    /// Whether one more job finds the file descriptors that it needs. One that has ended keeps its own until its room is left.
    fn has_descriptors(&self) -> bool {
        let taken = self.jobs.len() + self.closing.len() + self.other_jobs;
        taken < self.descriptors && !self.timers.is_set(&Timer::Descriptors)
    }

    /// The estimate was too high: the program has opened more since, or the machine has no more.
    pub(super) fn on_descriptors_exhausted(&mut self, now: Time) {
        if !self.timers.is_set(&Timer::Descriptors) {
            self.out.push_back(Output::Notice(Notice::DescriptorsExhausted { wait: DESCRIPTORS_WAIT }));
        }
        self.timers.set(Timer::Descriptors, now + DESCRIPTORS_WAIT);
    }

    #[allow(clippy::cast_precision_loss, reason = "a share of slots needs no more precision")]
    pub(super) fn own_load(&self) -> f32 {
        self.user_load.unwrap_or(self.used_slots() as f32 / self.capacity().max(1) as f32)
    }

    /// Tells the server how busy we are, when that has changed enough; whether we are full is told at once.
    pub(super) fn tell_load(&mut self) {
        if !self.is_registered() {
            return;
        }
        let (used, own) = (self.used_slots(), self.own_load());
        let room = used < self.config.max_jobs && self.has_descriptors();
        let full = !room || self.drain.is_some() || own >= 1.0;
        let now = ToldLoad { full, load: LOAD_SCALE * own.clamp(0.0, 1.0), jobs: used };
        if let Some(told) = self.told_load {
            let idle_again = used == 0 && told.jobs != 0;
            if told.full == full && (told.load - now.load).abs() < LOAD_STEP && !idle_again {
                return;
            }
        }
        // A worker that drains reports itself full, too, and says that it drains.
        if self.drain.is_none() && self.told_load.map_or(full, |told| told.full != full) {
            self.out.push_back(Output::Notice(Notice::Full(full)));
        }
        self.told_load = Some(now);
        self.out.push_back(Output::Send(wire::load(full, now.load, used)));
    }
}
