//! What workers may rely on: offers, assignments and ends of jobs, compared with the outputs of the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agent_proto::Time;
use agent_proto::livekit as wire;
use agent_proto::livekit::{server_message, worker_message};

use crate::machine::{Input, Output, Rules, ServerEvent, WorkerId};

/// A broken promise, in plain words.
pub(super) type Checked = Result<(), String>;

pub(super) fn check(holds: bool, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(what()) }
}

/// What is known of workers and jobs.
pub(super) struct Jobs {
    budget: Duration,
    termination_delay: Duration,
    workers: BTreeMap<WorkerId, Worker>,
    jobs: BTreeMap<String, Job>,
    now: Time,
    /// What a worker has just reported about a job.
    report: Option<(WorkerId, String, JobReport)>,
    /// The pings that are not answered.
    pings: Vec<(WorkerId, i64)>,
}

#[derive(Default)]
struct Worker {
    /// The name and kind with which it is to be registered, and whether it is.
    asked_for: Option<(String, i32)>,
    registered: bool,
    full: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JobReport {
    Accept,
    Decline,
    Dismiss,
    Ended,
}

#[derive(Default)]
struct Job {
    asked: BTreeSet<WorkerId>,
    /// The worker that is asked now, and the deadline for the answers of all workers.
    open: Option<WorkerId>,
    until: Option<Time>,
    assigned: Option<WorkerId>,
    ended: bool,
    unserved: bool,
    /// When the server, which has ended it, must have notified its worker, and whether it did.
    notify_by: Option<Time>,
    notified: bool,
}

impl Jobs {
    pub(super) fn new(rules: &Rules) -> Self {
        Self {
            budget: rules.job_budget,
            termination_delay: rules.termination_delay,
            workers: BTreeMap::new(),
            jobs: BTreeMap::new(),
            now: Time::ZERO,
            report: None,
            pings: Vec::new(),
        }
    }

    /// A job that is over long ago is not kept: another one may have its id.
    pub(super) fn forget(&mut self, job: &str) {
        self.jobs.remove(job);
    }

    /// What happens next; `None`: only time passes.
    pub(super) fn input(&mut self, input: Option<&Input>, now: Time) {
        (self.now, self.report) = (now, None);
        match input {
            Some(Input::WorkerConnected { worker }) => drop(self.workers.entry(*worker).or_default()),
            Some(Input::WorkerGone { worker }) => self.gone(*worker),
            Some(Input::WorkerMessage { worker, message }) => self.message(*worker, message.message.as_ref()),
            _ => {}
        }
    }

    fn message(&mut self, from: WorkerId, message: Option<&worker_message::Message>) {
        use worker_message::Message;
        let Some(worker) = self.workers.get_mut(&from) else { return };
        match message {
            Some(Message::Register(request)) if !worker.registered => {
                worker.asked_for = Some((request.agent_name.clone(), request.r#type));
            }
            Some(Message::UpdateWorker(update)) if worker.registered => {
                worker.full = update.status() == wire::WorkerStatus::WsFull;
            }
            Some(Message::Ping(ping)) => self.pings.push((from, ping.timestamp)),
            Some(Message::Availability(answer)) => {
                let report = match (answer.available, answer.terminate) {
                    (_, true) => JobReport::Dismiss,
                    (true, false) => JobReport::Accept,
                    (false, false) => JobReport::Decline,
                };
                let job = self.jobs.get_mut(&answer.job_id).filter(|job| job.open == Some(from));
                if let Some(job) = job {
                    job.open = None;
                    self.report = Some((from, answer.job_id.clone(), report));
                }
            }
            Some(Message::UpdateJob(update))
                if !matches!(update.status(), wire::JobStatus::JsPending | wire::JobStatus::JsRunning) =>
            {
                self.report = Some((from, update.job_id.clone(), JobReport::Ended));
            }
            _ => {}
        }
    }

    /// A connection is over: nothing is sent on it, and its jobs are over for the server.
    fn gone(&mut self, worker: WorkerId) {
        self.workers.remove(&worker);
        self.pings.retain(|(of, _)| *of != worker);
        for job in self.jobs.values_mut() {
            job.open = job.open.filter(|open| *open != worker);
            job.notify_by = job.notify_by.filter(|_| job.assigned != Some(worker));
        }
    }

    pub(super) fn output(&mut self, output: &Output) -> Checked {
        match output {
            Output::Send { worker, message } => {
                check(self.workers.contains_key(worker), || format!("{message:?} for nobody"))?;
                match &message.message {
                    Some(message) => self.sent(*worker, message),
                    None => Err("an empty message".to_owned()),
                }
            }
            Output::Assign { worker, job, grant } => {
                let accepted = (*worker, job.id.clone(), JobReport::Accept);
                check(self.report.as_ref() == Some(&accepted), || format!("{} is assigned unasked", job.id))?;
                let room = job.room.as_ref().map(|room| room.name.as_str());
                check(Some(grant.room.as_str()) == room && grant.agent, || {
                    format!("{} has {grant:?}", job.id)
                })?;
                let known = self.jobs.entry(job.id.clone()).or_default();
                let before = known.assigned.replace(*worker);
                check(before.is_none() && !known.ended && !known.unserved, || {
                    format!("{} is assigned again", job.id)
                })
            }
            Output::Close { worker, .. } => {
                let known = self.workers.contains_key(worker);
                self.gone(*worker);
                check(known, || format!("{worker} is closed, and is not a worker"))
            }
            Output::Log(ServerEvent::Ended { job_id, .. }) => self.ended(job_id),
            Output::Log(ServerEvent::Unserved { job_id, .. }) if !job_id.is_empty() => {
                let job = self.jobs.entry(job_id.clone()).or_default();
                job.open = None;
                let before = std::mem::replace(&mut job.unserved, true);
                check(!before && !job.ended && job.assigned.is_none(), || {
                    format!("{job_id} is given up too late")
                })
            }
            _ => Ok(()),
        }
    }

    fn sent(&mut self, to: WorkerId, message: &server_message::Message) -> Checked {
        use server_message::Message;
        let worker = self.workers.entry(to).or_default();
        match message {
            Message::Register(_) => {
                let twice = std::mem::replace(&mut worker.registered, true);
                check(!twice && worker.asked_for.is_some(), || format!("worker {to} is registered again"))
            }
            Message::Pong(pong) => {
                let ping = self.pings.iter().position(|ping| *ping == (to, pong.last_timestamp));
                let ping = ping.ok_or_else(|| format!("{pong:?} answers no ping of {to}"))?;
                self.pings.remove(ping);
                Ok(())
            }
            Message::Availability(offer) => {
                let offered = offer.job.clone().ok_or("an offer of nothing")?;
                let simulated = offered.dispatch_id.is_empty();
                let fits = worker.asked_for.as_ref().is_some_and(|(name, kind)| {
                    *name == offered.agent_name && *kind == offered.r#type && !worker.full
                });
                check(worker.registered && (fits || simulated), || {
                    format!("{} is not for worker {to}", offered.id)
                })?;
                let (now, budget) = (self.now, self.budget);
                let job = self.jobs.entry(offered.id.clone()).or_default();
                job.until.get_or_insert(now + budget);
                let (open, again) = (job.open.replace(to), !job.asked.insert(to));
                check(open.is_none() && !again, || {
                    format!("{} is offered to {to}, to {open:?} before", offered.id)
                })?;
                let over = job.assigned.is_some() || job.ended || job.unserved;
                check(!over, || format!("{} is offered, and is over", offered.id))
            }
            Message::Termination(termination) => {
                let job = self.jobs.entry(termination.job_id.clone()).or_default();
                let twice = std::mem::replace(&mut job.notified, true);
                check(job.assigned == Some(to) && !twice, || format!("{termination:?} for worker {to}"))
            }
            Message::Assignment(_) => Err("the machine makes no tokens".to_owned()),
            Message::GoAway(_) => Err("the machine does not go away".to_owned()),
        }
    }

    fn ended(&mut self, id: &str) -> Checked {
        let (now, delay) = (self.now, self.termination_delay);
        let job = self.jobs.entry(id.to_owned()).or_default();
        let twice = std::mem::replace(&mut job.ended, true);
        check(!twice && !job.unserved, || format!("{id} ends a second time"))?;
        match self.report.take() {
            Some((worker, of, JobReport::Dismiss)) if of == id => {
                check(job.asked.contains(&worker), || format!("{id} is dismissed by {worker}"))
            }
            Some((worker, of, JobReport::Ended)) if of == id => check(job.assigned == Some(worker), || {
                format!("{id} is ended by {worker}, who does not have it")
            }),
            report => {
                self.report = report;
                job.notify_by = Some(now + delay);
                check(job.assigned.is_some(), || format!("{id} ends, and nobody has it"))
            }
        }
    }

    /// After all outputs of an input.
    pub(super) fn settled(&self) -> Checked {
        check(self.pings.is_empty(), || format!("pings without an answer: {:?}", self.pings))?;
        if let Some((worker, job, report @ (JobReport::Accept | JobReport::Dismiss))) = &self.report {
            let done = self.jobs.get(job).is_some_and(|job| match report {
                JobReport::Accept => job.assigned == Some(*worker),
                _ => job.ended,
            });
            check(done, || format!("{worker} reported {report:?} for {job}, without effect"))?;
        }
        for (id, job) in &self.jobs {
            let waits = job.open.is_some() && job.until.is_some_and(|until| until <= self.now);
            check(!waits, || format!("{id} waits too long for {:?}", job.open))?;
            let overdue = !job.notified && job.notify_by.is_some_and(|by| by <= self.now);
            check(!overdue, || format!("the worker of {id} was not notified of its end"))?;
        }
        Ok(())
    }

    /// Everybody is gone.
    pub(super) fn finished(&self) -> Checked {
        for (id, job) in &self.jobs {
            let over = job.ended || job.unserved || job.assigned.is_some();
            check(over && job.open.is_none(), || format!("{id} hangs"))?;
        }
        Ok(())
    }
}
