//! Offers, assignments, cancellations: feeds server and user input into each job's state machine.

use std::sync::Arc;
use std::time::Duration;

use agent_proto::{Secret, Time};

use super::Worker;
use super::entries::{Entry, ReportedLoad};
use super::io::{Notice, OfferId, Output, Violation};
use super::join_timing::JoinTiming;
use super::room_rules::RoomWatch;
use super::steps::{send_answer, set_step_timer};
use super::timers::{JobTimer, Timer};
use super::wire::{self, Unusable};
use crate::answer::{Accept, Answer, DeclineReason, GivenAnswer};
use crate::job::lifecycle::{JobInput, JobState, Phase};
use crate::job::time_limit::time_limit;
use crate::job::{Job, JobId, JobLabels};
use crate::outcome::{CancelReason, Lifecycle, Outcome, Verdict};

/// How long no job is accepted after the process ran out of file descriptors.
const DESCRIPTORS_WAIT: Duration = Duration::from_secs(10);

/// Keeps the reported load below the server's target of 0.7, from which on a single worker gets no jobs.
const LOAD_SCALE: f32 = 0.69;
/// The smallest change of the load that is reported.
const LOAD_STEP: f32 = 0.01;

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
                    send_answer(&mut self.out, &labels, &again, 1, (GivenAnswer::Accepted, None));
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
        if self.quiet {
            return self.refuse(&labels, DeclineReason::Quiet);
        }
        // A repeat of the old status must not end the new job.
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

    /// The pending offer of this answer. `None` if the answer is late, or for an offer of an earlier
    /// connection: that was settled without the user.
    fn offered(&mut self, offer: OfferId, id: &JobId) -> Option<&mut Entry> {
        self.jobs.get_mut(id).filter(|entry| entry.offer == offer && entry.state == JobState::Offered)
    }

    /// Fails an assigned job that this version cannot run, as the server has granted it.
    pub(super) fn on_unusable_assignment(&mut self, unusable: Unusable) {
        self.violation(Violation::NoJob);
        // A job that we have is not ended by an invalid copy of its assignment.
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
                // The server did not wait for our answer, but the offer still gets exactly one (I1).
                self.apply(&id, JobInput::Accepted, now);
            }
        } else if self.closing.contains_key(&id) {
            self.settle_again(&id, now);
            return self.violation(Violation::DuplicateAssignment);
        } else {
            // Late or unexpected: the server has granted it, so it is run or failed, never dropped silently.
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
        let (mut answered, mut waited) = (None, None);
        if let Some(entry) = self.jobs.get_mut(&id) {
            // Until now it has the time of the offer.
            entry.join.offered = entry.accepted_at.map(|accepted| (entry.assigned_at, accepted));
            answered = entry.accepted_at.map(|accepted| accepted - entry.assigned_at);
            waited = entry.accepted_at.map(|accepted| now - accepted);
            entry.job = Arc::clone(&job);
            entry.assigned_at = now;
            entry.epoch = self.epoch;
            entry.deadline = deadline;
            entry.attempt_at = now;
        }
        self.apply(&id, JobInput::Assigned, now);
        self.out.push_back(Output::Start { job, token, url, answered, waited });
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

    /// Declines without calling the request handler.
    fn refuse(&mut self, job: &JobLabels, why: DeclineReason) {
        self.send_no(job, 1, GivenAnswer::Declined(why), None);
    }

    pub(super) fn send_no(
        &mut self,
        job: &JobLabels,
        owed: u32,
        answer: GivenAnswer,
        after: Option<Duration>,
    ) {
        let frame = wire::refuse(&job.id, answer == GivenAnswer::Dismissed);
        send_answer(&mut self.out, job, &frame, owed, (answer, after));
    }

    fn insert(&mut self, job: Arc<Job>, state: JobState, offer: OfferId, now: Time) {
        let (id, cleanup_time) = (job.id.clone(), self.cleanup_time(now));
        let entry = self.entry(job, state, offer, now);
        set_step_timer(&mut self.timers, &self.config, &entry, cleanup_time, now);
        self.jobs.insert(id, entry);
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
            join: JoinTiming::default(),
            epoch: self.epoch,
            deadline: None,
            attempt_at: now,
            took: None,
            room_gone: false,
            retry_wait: Duration::ZERO,
            room: RoomWatch::default(),
            room_closed: false,
            last_error: None,
        }
    }

    /// Whether there are file descriptors for one more job. An ended job keeps its own until its room is
    /// left.
    fn has_descriptors(&self) -> bool {
        let taken = self.jobs.len() + self.closing_rooms + self.other_jobs;
        taken < self.descriptors && !self.timers.is_set(&Timer::Descriptors)
    }

    /// The estimate was too high: the program has opened more files since, or the machine's limit is reached.
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

    /// Reports the load to the server when it has changed enough; whether the worker is full is reported at
    /// once.
    pub(super) fn report_load(&mut self) {
        if !self.is_registered() {
            return;
        }
        let (used, own) = (self.used_slots(), self.own_load());
        let room = used < self.config.max_jobs && self.has_descriptors();
        let busy = !room || own >= 1.0;
        let draining = self.drain.is_some();
        let full = busy || draining || self.quiet;
        let now = ReportedLoad { full, busy, draining, load: LOAD_SCALE * own.clamp(0.0, 1.0), jobs: used };
        if let Some(reported) = self.reported_load {
            let idle_again = used == 0 && reported.jobs != 0;
            let same = (reported.full, reported.busy, reported.draining) == (full, busy, draining);
            if same && (reported.load - now.load).abs() < LOAD_STEP && !idle_again {
                return;
            }
        }
        // A worker that drains or is quiet is reported as full, too, but has its own notice.
        if self.drain.is_none() && self.reported_load.map_or(busy, |reported| reported.busy != busy) {
            self.out.push_back(Output::Notice(Notice::Full(busy)));
        }
        self.reported_load = Some(now);
        self.status_seq += 1;
        self.out.push_back(Output::Send(wire::load(&now, self.status_seq)));
    }
}
