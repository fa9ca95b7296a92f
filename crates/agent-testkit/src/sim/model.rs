//! A model of one worker machine, by its inputs and outputs alone: checks the promises of one machine.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use agent_core::{
    AttemptEnd, CancelReason, Config, DeclineReason, GivenAnswer, JobId, Lifecycle, Notice, Output,
    Violation, Worker,
};
use agent_proto::Time;
use agent_proto::livekit as wire;
use agent_proto::livekit::worker_message::Message;

use super::check::{Check, Checks};
use super::event::FrameContent;
use super::slots::{Holds, Slots};
use super::subject::Subject;
use super::truth::is_success;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(2);
/// How many connects there may be in how long.
const MAX_CONNECTS: usize = 10;
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// The model of one life of a worker.
#[derive(Default)]
pub(super) struct Model {
    max_jobs: usize,
    cleanup_timeout: Duration,
    receipt_timeout: Duration,
    settling: Duration,
    pub(super) draining: bool,
    pub(super) quiet: bool,
    pub(super) was_registered: bool,
    registered_since: Option<Time>,
    /// Offers on this connection without an answer, with the latest time for it.
    owed: VecDeque<(Time, JobId)>,
    slots: Slots,
    /// The last attempt of each assignment, and whether it runs.
    attempts: BTreeMap<JobId, (u32, bool)>,
    /// Attempts whose cleanup was not asked for yet.
    dirty: BTreeSet<JobId>,
    /// Assignments without an outcome.
    open: BTreeSet<JobId>,
    /// Jobs that must not be retried.
    over: BTreeSet<JobId>,
    /// How the last attempt of each job ended, and why it was cancelled.
    ends: BTreeMap<JobId, (Option<AttemptEnd>, Option<CancelReason>)>,
    /// The final status of the present assignment of a job: the text, when it was last sent, and its number
    /// on the connection.
    statuses: BTreeMap<JobId, Status>,
    /// When the last jobs ended.
    ended_at: VecDeque<Time>,
    connects: VecDeque<Time>,
    /// What followed the assignment that is being handled.
    taken: BTreeSet<JobId>,
    /// Nothing has to follow, as the job is here already.
    ignores: bool,
}

struct Status {
    status: i32,
    error: String,
    at: Time,
    number: u64,
}

/// The circumstances of an output.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub(super) now: Time,
    pub(super) worker: usize,
    /// How many frames of this connection the server has read.
    pub(super) read: u64,
    pub(super) registered: bool,
}

/// What else there is among the outputs of one drain.
pub(super) struct Drained {
    stops: bool,
    offered: Option<JobId>,
}

impl Drained {
    pub(super) fn of(outputs: &[Output]) -> Self {
        Self {
            stops: outputs.iter().any(|output| matches!(output, Output::Stopped(_))),
            offered: outputs.iter().find_map(|output| match output {
                Output::Ask { job, .. } => Some(job.id.clone()),
                _ => None,
            }),
        }
    }
}

impl Model {
    pub(super) fn new(config: &Config) -> Self {
        let Config { max_jobs, cleanup_timeout, receipt_timeout, settling, .. } = *config;
        Self { max_jobs, cleanup_timeout, receipt_timeout, settling, ..Self::default() }
    }

    /// A frame is about to be passed to a registered machine, which knows these jobs.
    pub(super) fn before_frame(&mut self, content: &FrameContent, machine: &Worker, now: Time) {
        match content {
            FrameContent::Offer(job) => {
                let full = self.slots.used() >= self.max_jobs && self.slots.get(job).is_none();
                self.owed.push_back((if full { now } else { now + ANSWER }, job.clone()));
            }
            FrameContent::Assignment(job) => {
                (self.taken, self.ignores) = (BTreeSet::new(), false);
                // A new assignment of a job that it had before.
                if machine.lifecycle(job).is_none() {
                    self.statuses.remove(job);
                } else if self.statuses.contains_key(job) {
                    // Its outcome is sent once more, and has to be confirmed again.
                    self.ended_at.push_back(now);
                }
            }
            FrameContent::Registered
            | FrameContent::Termination(_)
            | FrameContent::Pong
            | FrameContent::Garbage => {}
        }
    }

    /// The frame of [`before_frame`](Self::before_frame) was passed to the machine.
    pub(super) fn after_frame(&mut self, content: &FrameContent, now: Time, checks: &mut Checks) {
        match content {
            FrameContent::Offer(job) => {
                // At once without a slot: then it is not owed any more.
                let late = self.owed.iter().any(|(due, owed)| owed == job && *due <= now);
                checks.that(Check::AnswerInTime, !late, || {
                    format!("the offer of {job} was not declined at once, though no slot was free")
                });
            }
            FrameContent::Assignment(job) => {
                checks.that(Check::OneOutcome, self.ignores || self.taken.contains(job), || {
                    format!("the assignment of {job} was neither taken nor ended")
                });
            }
            FrameContent::Registered
            | FrameContent::Termination(_)
            | FrameContent::Pong
            | FrameContent::Garbage => {}
        }
    }

    /// The connection is gone: answers on it are no longer due.
    pub(super) fn cut(&mut self) {
        self.owed.clear();
        self.registered_since = None;
    }

    /// The process was paused until now: what was due could not be done.
    pub(super) fn continued(&mut self, now: Time) {
        for (due, _) in &mut self.owed {
            *due = (*due).max(now + ANSWER);
        }
        self.registered_since = self.registered_since.map(|_| now);
    }

    /// An attempt is over, by the driver.
    pub(super) fn attempt_ended(&mut self, job: &JobId, end: &AttemptEnd, room_gone: bool) {
        if let Some((_, runs)) = self.attempts.get_mut(job) {
            *runs = false;
        }
        if room_gone {
            self.over.insert(job.clone());
        }
        if self.slots.get(job) == Some(Holds::Stuck) {
            self.slots.remove(job);
        }
        self.ends.entry(job.clone()).or_default().0 = Some(end.clone());
    }

    /// The room of a job is gone.
    pub(super) fn room_gone(&mut self, job: &JobId) {
        self.over.insert(job.clone());
    }

    /// Looks at one output.
    pub(super) fn output(
        &mut self,
        output: &Output,
        message: Option<&Message>,
        drained: &Drained,
        at: At,
        checks: &mut Checks,
    ) {
        if !checks.is_on() {
            return;
        }
        match output {
            Output::Send(_) => {
                if let Some(Message::Availability(answer)) = message {
                    self.answered(answer, at, checks);
                }
            }
            Output::Ask { job, .. } => {
                self.slots.set(&job.id, Holds::Offer);
            }
            Output::Start { job, .. } => {
                self.taken.insert(job.id.clone());
                let first = self.open.insert(job.id.clone());
                checks.that(Check::OneAttempt, first, || {
                    format!("{} starts again in the same assignment", job.id)
                });
                if !first {
                    return;
                }
                self.over.remove(&job.id);
                self.ends.remove(&job.id);
                self.statuses.remove(&job.id);
                self.attempt(&job.id, 1, checks);
            }
            Output::Retry { job, attempt } => {
                let before = self.attempts.get(job).map_or(0, |(attempt, _)| *attempt);
                checks.that(Check::OneAttempt, before + 1 == *attempt, || {
                    format!("attempt {attempt} of {job} follows attempt {before}")
                });
                let needless = self.draining || self.over.contains(job);
                checks.that(Check::NoNeedlessAttempt, !needless, || {
                    format!("attempt {attempt} of {job} begins, though the job was to stop")
                });
                if let Some((end, _)) = self.ends.get_mut(job) {
                    *end = None;
                }
                self.attempt(job, *attempt, checks);
            }
            Output::Clean { job, attempt, within } => self.cleans(job, *attempt, *within, checks),
            Output::Cancel { job, reason } => {
                self.over.insert(job.clone());
                self.ends.entry(job.clone()).or_default().1 = Some(reason.clone());
            }
            Output::Moved { job, to: Lifecycle::Failed | Lifecycle::Success } => {
                if self.slots.get(&job.id) != Some(Holds::Stuck) {
                    self.slots.remove(&job.id);
                }
            }
            Output::Ended(ended) => self.ended(ended, at, checks),
            Output::Leave { job } => self.leaves(job, drained, at, checks),
            Output::Connect => self.connects(at, checks),
            Output::Notice(notice) => self.notice(notice, at, checks),
            Output::Stopped(_) => self.slots.clear(),
            Output::Prepare | Output::Disconnect | Output::Abort { .. } | Output::Moved { .. } => {}
        }
    }

    fn answered(&mut self, answer: &wire::AvailabilityResponse, at: At, checks: &mut Checks) {
        let job = JobId::new(&answer.job_id);
        let found = self.owed.iter().position(|(_, owed)| *owed == job);
        let due = found.and_then(|at| self.owed.remove(at));
        checks.that(Check::OneAnswer, due.is_some(), || format!("an answer for {job} without an offer"));
        if let Some((due, _)) = due {
            checks.that(Check::AnswerInTime, at.now <= due, || {
                format!("the answer for {job} was due at {due}")
            });
        }
        // An acceptance may be repeated.
        let first = self.slots.get(&job) != Some(Holds::Acceptance);
        let new = due.is_some() && answer.available && (self.draining || (self.quiet && first));
        checks.that(Check::NothingNewInDrain, !new, || {
            format!("worker {} accepts {job} while it drains or is quiet", at.worker)
        });
        match self.slots.get(&job) {
            Some(Holds::Offer) if answer.available => {
                self.slots.set(&job, Holds::Acceptance);
            }
            Some(Holds::Offer) => {
                self.slots.remove(&job);
            }
            _ => {}
        }
    }

    fn attempt(&mut self, job: &JobId, attempt: u32, checks: &mut Checks) {
        let runs = self.attempts.get(job).is_some_and(|(_, runs)| *runs);
        checks.that(Check::OneAttempt, !runs, || {
            format!("attempt {attempt} of {job} begins while another one runs")
        });
        checks.that(Check::OneCleanup, self.dirty.insert(job.clone()), || {
            format!("attempt {attempt} of {job} begins before the cleanup of the last one")
        });
        self.attempts.insert(job.clone(), (attempt, true));
        self.slots.set(job, Holds::Attempt);
    }

    fn cleans(&mut self, job: &JobId, attempt: u32, within: Duration, checks: &mut Checks) {
        let right = self.attempts.get(job).is_some_and(|(last, _)| *last == attempt);
        checks.that(Check::OneCleanup, self.dirty.remove(job) && right, || {
            format!("attempt {attempt} of {job} is cleaned up once more")
        });
        checks.that(Check::CleanupInTime, within <= self.cleanup_timeout, || {
            format!("the cleanup of {job} may take {within:?}")
        });
        self.slots.set(job, Holds::Cleanup);
    }

    fn ended(&mut self, ended: &agent_core::EndedJob, at: At, checks: &mut Checks) {
        let job = &ended.job.id;
        self.taken.insert(job.clone());
        checks.that(Check::OneOutcome, self.open.remove(job) || ended.attempts == 0, || {
            format!("{job} has another outcome: {}", ended.outcome)
        });
        checks.that(Check::OneCleanup, !self.dirty.contains(job), || {
            format!("{job} has its outcome before its cleanup")
        });
        let (end, reason) = self.ends.get(job).cloned().unwrap_or_default();
        let expected = ended.attempts > 0 && is_success(end.as_ref(), reason.as_ref());
        checks.that(Check::TrueOutcome, ended.outcome.is_success() == expected, || {
            format!(
                "{job} is reported as {}: its handler ended as {end:?}, cancelled: {reason:?}",
                ended.outcome
            )
        });
        self.ended_at.push_back(at.now);
    }

    /// The final status of a job was sent, as this frame of the connection.
    pub(super) fn status_sent(
        &mut self,
        update: &wire::UpdateJobStatus,
        now: Time,
        number: u64,
        checks: &mut Checks,
    ) {
        if matches!(update.status(), wire::JobStatus::JsRunning | wire::JobStatus::JsPending) {
            return;
        }
        let job = JobId::new(&update.job_id);
        let status = Status { status: update.status, error: update.error.clone(), at: now, number };
        let before = self.statuses.insert(job, status);
        let same = before.is_none_or(|before| before.status == update.status && before.error == update.error);
        checks.that(Check::OneStatus, same, || format!("two final statuses of {}", update.job_id));
    }

    fn leaves(&mut self, job: &JobId, drained: &Drained, at: At, checks: &mut Checks) {
        let sent = self.statuses.get(job);
        let read =
            sent.is_some_and(|sent| at.read >= sent.number || at.now >= sent.at + self.receipt_timeout);
        let excused = !at.registered || drained.stops || drained.offered.as_ref() == Some(job);
        checks.that(Check::ReadBeforeLeave, read || excused, || {
            format!("{job} leaves its room before the server has read its status")
        });
    }

    fn connects(&mut self, at: At, checks: &mut Checks) {
        self.connects.push_back(at.now);
        if self.connects.len() > MAX_CONNECTS
            && let Some(first) = self.connects.pop_front()
        {
            checks.that(Check::ReconnectRate, at.now >= first + CONNECT_TIME, || {
                format!("worker {} has connected {} times since {first}", at.worker, MAX_CONNECTS + 1)
            });
        }
    }

    fn notice(&mut self, notice: &Notice, at: At, checks: &mut Checks) {
        match notice {
            Notice::Registered { .. } => {
                self.was_registered = true;
                self.registered_since = Some(at.now);
            }
            Notice::Retrying { job, .. } => {
                self.slots.set(job, Holds::Wait);
            }
            Notice::Stuck { job } => {
                self.slots.set(job, Holds::Stuck);
            }
            Notice::OfferAnswered { answer: GivenAnswer::Declined(DeclineReason::NoSlot), job, .. } => {
                let used = self.slots.used();
                checks.that(Check::FreeSlotAccepts, used >= self.max_jobs, || {
                    format!("{} is declined with {used} of {} slots used", job.id, self.max_jobs)
                });
            }
            Notice::Violation(Violation::DuplicateAssignment | Violation::NoJob) => {
                self.ignores = true;
            }
            _ => {}
        }
    }

    /// What must hold when the outputs are drained.
    pub(super) fn after(&mut self, subject: &Subject, worker: usize, now: Time, checks: &mut Checks) {
        if !checks.is_on() {
            return;
        }
        let (slots, counted) = (self.slots.counts(), subject.slots());
        checks.that(Check::Slots, counted == slots && slots.used() <= self.max_jobs, || {
            format!("worker {worker} counts {counted:?}, by its outputs it is {slots:?} of {}", self.max_jobs)
        });
        if let Some((due, job)) = self.owed.front() {
            checks.that(Check::AnswerInTime, *due >= now, || {
                format!("worker {worker} has not answered the offer of {job}, due at {due}")
            });
        }
        self.check_closing(subject.worker().closing(), worker, now, checks);
    }

    /// A job that has its outcome waits for its repeat and at most two receipts.
    fn check_closing(&mut self, closing: usize, worker: usize, now: Time, checks: &mut Checks) {
        let wait = self.settling + self.receipt_timeout * 2 + Duration::from_millis(100);
        while self.ended_at.front().is_some_and(|at| *at + wait < now) {
            self.ended_at.pop_front();
        }
        if closing > 0 && self.registered_since.is_some_and(|since| since + wait < now) {
            checks.that(Check::Bounded, closing <= self.ended_at.len(), || {
                format!("worker {worker} keeps {closing} ended jobs, {} ended lately", self.ended_at.len())
            });
        }
    }

    /// The machine has stopped.
    pub(super) fn stopped(&mut self, checks: &mut Checks) {
        checks.that(Check::OneOutcome, self.open.is_empty(), || {
            format!("there is no outcome of {:?}", self.open)
        });
        checks.that(Check::OneCleanup, self.dirty.is_empty(), || {
            format!("there was no cleanup for {:?}", self.dirty)
        });
    }
}
