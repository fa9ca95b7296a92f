//! The promises of a worker machine, compared with its inputs, outputs and state (ids as in ARCHITECTURE.md).

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use agent_proto::livekit as wire;
use agent_proto::livekit::{server_message, worker_message};
use agent_proto::{MAX_FRAME_LEN, Time, decode_borrowed};

use super::broken::BrokenPromise;
use super::known::{Holds, Known, held};
use super::machine::ScriptReport;
use crate::config::Config;
use crate::job::JobId;
use crate::outcome::Lifecycle;
use crate::worker::{Input, Notice, Output, Worker};

/// How long an offer may wait for its answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

pub(super) struct Ledger {
    max_jobs: usize,
    max_attempts: u32,
    cleanup_limit: Duration,
    receipt_limit: Duration,
    grace: Duration,
    abort: Duration,
    now: Time,
    jobs: BTreeMap<JobId, Known>,
    /// Answers that were sent and not yet reported.
    unreported: Vec<(JobId, &'static str)>,
    /// The job that the present input assigns.
    assigning: Option<JobId>,
    /// Whether the worker waits for its preparation.
    preparing: bool,
    /// Whether the worker has asked for a connection that is neither open nor refused.
    wanted: bool,
    registered: bool,
    draining: bool,
    /// Whether the worker is to accept nothing new; without meaning while it drains.
    quiet: bool,
    drained_by: Time,
    /// Whether it stops with these outputs.
    stopping: bool,
    stopped: bool,
    /// Frames sent on this connection, and how many of them the server is known to have read.
    sent: usize,
    read: usize,
    /// Pings without an answer: their number among the frames, and their timestamp.
    pings: Vec<(usize, i64)>,
    report: ScriptReport,
}

type Checked = Result<(), BrokenPromise>;

impl Ledger {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            max_jobs: config.max_jobs,
            max_attempts: config.retry.attempts,
            cleanup_limit: config.cleanup_timeout,
            receipt_limit: config.receipt_timeout,
            grace: config.grace,
            abort: config.abort_timeout,
            now: Time::ZERO,
            jobs: BTreeMap::new(),
            unreported: Vec::new(),
            assigning: None,
            preparing: false,
            wanted: false,
            registered: false,
            draining: false,
            quiet: false,
            drained_by: Time::ZERO,
            stopping: false,
            stopped: false,
            sent: 0,
            read: 0,
            pings: Vec::new(),
            report: ScriptReport::default(),
        }
    }

    pub(super) const fn report(&self) -> ScriptReport {
        self.report
    }

    pub(super) const fn is_registered(&self) -> bool {
        self.registered
    }

    pub(super) const fn is_preparing(&self) -> bool {
        self.preparing
    }

    pub(super) const fn needs_connection(&self) -> bool {
        self.wanted
    }

    pub(super) const fn drained_by(&self) -> Time {
        self.drained_by
    }

    pub(super) fn is_running(&self, job: &JobId) -> bool {
        self.jobs.get(job).is_some_and(|known| known.runs)
    }

    pub(super) fn oldest_ping(&self) -> Option<i64> {
        self.pings.first().map(|(_, stamp)| *stamp)
    }

    /// Takes what happens next.
    pub(super) fn input(&mut self, input: &Input, worker: &Worker, now: Time) {
        self.now = now;
        self.assigning = None;
        match input {
            Input::Prepared(_) => self.preparing = false,
            Input::Connected if self.wanted => {
                self.wanted = false;
                self.lost();
            }
            Input::ConnectFailed(_) => self.wanted = false,
            Input::Disconnected { .. } => {
                self.wanted = false;
                self.lost();
            }
            Input::FrameReceived(frame) if worker.is_registered() => self.received(frame, worker),
            // The end of an attempt that does not run changes nothing.
            Input::AttemptEnded { job, room_gone, .. } if self.is_running(job) => {
                let known = self.job(job);
                known.runs = false;
                known.over |= room_gone;
                known.holds = known.holds.filter(|holds| *holds != Holds::Stuck);
            }
            Input::Cleaned { job, attempt } => {
                let known = self.job(job);
                known.cleaning = known.cleaning.filter(|(of, _)| of != attempt);
            }
            Input::QuietRequested => self.quiet = true,
            Input::UndrainRequested => self.quiet = false,
            // A second drain does not change the first one.
            Input::DrainRequested { .. } if self.draining => {}
            Input::DrainRequested { within } => {
                self.draining = true;
                self.drained_by = now + *within + self.grace + self.abort;
            }
            Input::StopRequested => {
                let first = !std::mem::replace(&mut self.draining, true);
                let by = now + self.abort;
                self.drained_by = if first { by } else { self.drained_by.min(by) };
            }
            _ => {}
        }
    }

    fn received(&mut self, frame: &Bytes, worker: &Worker) {
        use server_message::Message;
        let Ok(wire::ServerMessage { message: Some(message) }) = decode_borrowed(frame, MAX_FRAME_LEN) else {
            return;
        };
        match message {
            Message::Availability(wire::AvailabilityRequest { job: Some(job), .. }) if !job.id.is_empty() => {
                let due = self.now + ANSWER_LIMIT;
                self.job(&JobId::new(&job.id)).owed.push(due);
                self.report.offers += 1;
            }
            Message::Assignment(wire::JobAssignment { job: Some(job), .. }) => {
                let id = JobId::new(&job.id);
                if worker.lifecycle(&id).is_none() {
                    // A new assignment.
                    self.job(&id).status = None;
                }
                self.assigning = Some(id);
            }
            Message::Pong(pong) => {
                let answered = self.pings.iter().position(|(_, stamp)| *stamp == pong.last_timestamp);
                if let Some((number, _)) = answered.map(|at| self.pings.remove(at)) {
                    self.read = number;
                }
            }
            _ => {}
        }
    }

    /// Checks all outputs of an input or a timeout, and the state after them.
    pub(super) fn outputs(&mut self, outputs: &[Output], worker: &Worker, now: Time) -> Checked {
        self.now = now;
        let stops = outputs.iter().any(|output| matches!(output, Output::Stopped(_)));
        let asks = |id: &JobId| {
            outputs.iter().any(|output| matches!(output, Output::Ask { job, .. } if job.id == *id))
        };
        self.stopping = stops;
        for output in outputs {
            self.check(!self.stopped, "I7", || format!("after Stopped there is {output:?}"))?;
            match output {
                Output::Leave { job } => self.leaves(job, stops || asks(job), worker)?,
                output => self.output(output)?,
            }
        }
        self.registered = worker.is_registered();
        self.settled(worker)
    }

    fn output(&mut self, output: &Output) -> Checked {
        match output {
            Output::Send(frame) => self.sends(frame)?,
            Output::Notice(Notice::OfferAnswered { job, answer, .. }) => {
                let reported = self.unreported.pop();
                self.check(reported == Some((job.id.clone(), answer.label())), "I1", || {
                    format!("{} is reported as {}, but {reported:?} was sent", job.id, answer.label())
                })?;
            }
            Output::Ask { job, .. } => self.job(&job.id).holds = Some(Holds::Offer),
            Output::Start { job, .. } => {
                let known = self.job(&job.id);
                let twice = std::mem::replace(&mut known.assigned, true);
                (known.over, known.status, known.in_room) = (false, None, true);
                self.check(!twice, "I3", || format!("{} starts again before its outcome", job.id))?;
                self.begins(&job.id, 1)?;
            }
            Output::Retry { job, attempt } => {
                let (last, over) = (self.job(job).attempt, self.job(job).over);
                self.check(last + 1 == *attempt, "I2", || {
                    format!("{job}: attempt {attempt} follows {last}")
                })?;
                self.check(!over, "I2", || format!("{job} is retried although it was to stop"))?;
                self.check(!self.draining, "I7", || format!("{job} is retried while draining"))?;
                self.begins(job, *attempt)?;
            }
            Output::Clean { job, attempt, within } => {
                let known = self.job(job);
                let (dirty, last) = (std::mem::take(&mut known.dirty), known.attempt);
                known.holds = Some(Holds::Cleanup);
                let fits = dirty && last == *attempt;
                self.check(fits, "I6", || format!("attempt {attempt} of {job} is cleaned up a second time"))?;
                let until = self.now + *within;
                self.job(job).cleaning = Some((*attempt, until));
                self.check(!within.is_zero() && *within <= self.cleanup_limit, "I6", || {
                    format!("the cleanup of {job} has {within:?}")
                })?;
            }
            Output::Moved { job, to: Lifecycle::Failed | Lifecycle::Success } => {
                let known = self.job(&job.id);
                known.holds = known.holds.filter(|holds| *holds == Holds::Stuck);
            }
            Output::Notice(Notice::Retrying { job, .. }) => self.job(job).holds = Some(Holds::Wait),
            Output::Notice(Notice::Stuck { job }) => self.job(job).holds = Some(Holds::Stuck),
            Output::Cancel { job, .. } => self.job(job).over = true,
            Output::Ended(ended) => self.ends(&ended.job.id)?,
            Output::Prepare => self.preparing = true,
            Output::Connect => self.wanted = true,
            Output::Disconnect => {
                self.wanted = false;
                self.lost();
            }
            Output::Stopped(_) => {
                self.jobs.values_mut().for_each(|known| known.holds = None);
                self.stopped = true;
            }
            Output::Abort { .. } | Output::Moved { .. } | Output::Notice(_) | Output::Leave { .. } => {}
        }
        Ok(())
    }

    fn begins(&mut self, job: &JobId, attempt: u32) -> Checked {
        let limit = self.max_attempts;
        let known = self.job(job);
        let (runs, dirty) =
            (std::mem::replace(&mut known.runs, true), std::mem::replace(&mut known.dirty, true));
        (known.attempt, known.holds) = (attempt, Some(Holds::Attempt));
        self.report.attempts += 1;
        self.cleaned(job)?;
        self.check(!runs, "I2", || format!("attempt {attempt} of {job} begins while another one runs"))?;
        self.check(attempt <= limit, "I2", || format!("{job} has attempt {attempt} of at most {limit}"))?;
        self.check(!dirty, "I6", || {
            format!("attempt {attempt} of {job} begins before the last was cleaned up")
        })
    }

    fn ends(&mut self, job: &JobId) -> Checked {
        let refused = self.assigning.take_if(|assigning| assigning == job).is_some();
        let known = self.job(job);
        let assigned = std::mem::take(&mut known.assigned);
        known.in_room = true;
        let dirty = known.dirty;
        self.report.outcomes += 1;
        self.cleaned(job)?;
        self.check(assigned || refused, "I3", || format!("{job} has an outcome without an assignment"))?;
        self.check(!dirty, "I6", || format!("{job} ends before its cleanup"))
    }

    /// A job continues when its cleanup is done, or its time limit is over.
    fn cleaned(&mut self, job: &JobId) -> Checked {
        let (now, stopping) = (self.now, self.stopping);
        let cleaning = self.job(job).cleaning.take();
        let done = cleaning.is_none_or(|(_, until)| stopping || now >= until);
        self.check(done, "I6", || format!("{job} continues before its cleanup is done"))
    }

    /// `excused`: the room is left in any case, as the worker stops or the job is offered again.
    fn leaves(&mut self, job: &JobId, excused: bool, worker: &Worker) -> Checked {
        let (now, read, limit) = (self.now, self.read, self.receipt_limit);
        let cut = !worker.is_registered();
        let known = self.job(job);
        let was_in = std::mem::take(&mut known.in_room);
        let has_status = known.status.is_some();
        let (at, number) = known.status_sent.unwrap_or((now, 0));
        let confirmed = read > number || now >= at + limit;
        self.check(has_status || cut, "I5", || format!("{job} leaves its room before its status was sent"))?;
        self.check(confirmed || cut || excused, "I5", || {
            format!("{job} leaves its room before the server has read its status")
        })?;
        self.check(was_in, "I3", || format!("{job} leaves a room that it is not in"))
    }

    fn sends(&mut self, frame: &Bytes) -> Checked {
        use worker_message::Message;
        self.sent += 1;
        let message = match decode_borrowed(frame, MAX_FRAME_LEN) {
            Ok(wire::WorkerMessage { message: Some(message) }) => message,
            Ok(_) | Err(_) => return Err(self.broken("I1", format!("{frame:?} is not a message"))),
        };
        match message {
            Message::Ping(ping) => self.pings.push((self.sent, ping.timestamp)),
            Message::Availability(answer) => {
                let id = JobId::new(&answer.job_id);
                let known = self.job(&id);
                let owed = known.owed.pop().is_some();
                let is_new = answer.available && known.holds != Some(Holds::Acceptance);
                // A copy of its offer that cannot be read has an answer of its own.
                if known.holds == Some(Holds::Offer) && known.owed.is_empty() {
                    known.holds = answer.available.then_some(Holds::Acceptance);
                }
                let label = match (answer.available, answer.terminate) {
                    (true, _) => "accepted",
                    (false, true) => "dismissed",
                    (false, false) => "declined",
                };
                self.report.answers += 1;
                self.check(owed, "I1", || format!("{id} is {label} without an offer"))?;
                self.check(!is_new || !(self.draining || self.quiet), "I7", || {
                    format!("{id} is accepted by a worker that drains or is quiet")
                })?;
                self.unreported.push((id, label));
            }
            Message::UpdateJob(update) if update.status() != wire::JobStatus::JsRunning => {
                let (now, sent) = (self.now, self.sent);
                let known = self.job(&JobId::new(&update.job_id));
                known.status_sent = Some((now, sent));
                let status = (update.status(), update.error.clone());
                let before = known.status.replace(status.clone());
                self.report.statuses += 1;
                self.check(before.as_ref().is_none_or(|before| *before == status), "I5", || {
                    format!("{} has the final status {status:?} after {before:?}", update.job_id)
                })?;
            }
            _ => {}
        }
        Ok(())
    }

    /// After all outputs of an input or a timeout.
    fn settled(&self, worker: &Worker) -> Checked {
        self.check(self.unreported.is_empty(), "I1", || {
            format!("answers were sent and not reported: {:?}", self.unreported)
        })?;
        let slots = held(self.jobs.values());
        let (counted, used) = (worker.slots(), worker.used_slots());
        self.check(counted == slots && used == slots.used(), "I10", || {
            format!("the worker counts {counted:?}, in all {used}, but its jobs hold {slots:?}")
        })?;
        self.check(used <= self.max_jobs, "I10", || format!("{used} slots of {} are used", self.max_jobs))?;
        match worker.poll_timeout() {
            Some((at, timer)) => self.check(at > self.now, "I9", || {
                format!("{timer:?} is due at {at}, which is not later than now")
            }),
            None => Ok(()),
        }
    }

    /// Time has passed until now.
    pub(super) fn passed(&mut self, now: Time) -> Checked {
        self.now = now;
        let drained = !self.draining || self.stopped || now < self.drained_by;
        self.check(drained, "I7", || format!("the drain should be over by {}", self.drained_by))?;
        let late = self.jobs.iter().find(|(_, known)| known.owed.iter().any(|due| *due <= now));
        self.check(late.is_none(), "I1", || {
            let job = late.map(|(job, _)| job.to_string()).unwrap_or_default();
            format!("an offer of {job} has had no answer for 2 s")
        })
    }

    /// The script is over, and so is the drain after it.
    pub(super) fn finished(&self) -> Checked {
        self.check(self.stopped, "I7", || "the worker has not stopped".into())?;
        for (job, known) in &self.jobs {
            self.check(!known.assigned, "I3", || format!("{job} was assigned and has no outcome"))?;
            self.check(!known.dirty, "I6", || format!("an attempt of {job} was never cleaned up"))?;
            self.check(!known.in_room, "I3", || format!("{job} has never left its room"))?;
        }
        Ok(())
    }

    pub(super) fn spins(&self, what: String) -> BrokenPromise {
        self.broken("I9", what)
    }

    /// The connection is gone, and with it what was under way on it.
    fn lost(&mut self) {
        self.jobs.values_mut().for_each(|known| known.owed.clear());
        self.pings.clear();
        (self.sent, self.read) = (0, 0);
    }

    fn job(&mut self, job: &JobId) -> &mut Known {
        self.jobs.entry(job.clone()).or_default()
    }

    fn check(&self, holds: bool, id: &'static str, what: impl FnOnce() -> String) -> Checked {
        if holds { Ok(()) } else { Err(self.broken(id, what())) }
    }

    fn broken(&self, id: &'static str, what: String) -> BrokenPromise {
        BrokenPromise { id, what, at: self.now, step: String::new() }
    }
}
