//! The driver's half of a job: its attempts, each by a script, its room, and its cleanups.

use std::sync::Arc;
use std::time::Duration;

use agent_core::{AttemptEnd, ClaimSession, Input, Job, JobErrorKind, JobId, JoinedRoom, Presence};
use agent_room::{DisconnectReason, Inbox, StreamId, View};
use agent_server::{Join, MemberId};

use super::event::{Inside, Place};
use super::fault::Fault;
use super::script::Script;
use super::stores::Saving;
use super::world::World;

/// One assignment in a process.
pub(super) struct Running {
    pub(super) job: Arc<Job>,
    /// The number of the current or last attempt, unique in the run.
    pub(super) serial: u64,
    pub(super) attempt: u32,
    pub(super) in_attempt: bool,
    pub(super) script: Script,
    /// The room, while it is joined.
    pub(super) member: Option<MemberId>,
    /// Whether it was joined and is gone.
    pub(super) room_gone: bool,
    pub(super) view: Option<View>,
    pub(super) presence: Option<Presence>,
    /// Another number whenever somebody comes or goes.
    pub(super) changed: u64,
    pub(super) cancelled: bool,
    /// Whether its room was left for good, as the job has its outcome.
    pub(super) left: bool,
    pub(super) data: Option<Data>,
    pub(super) session: ClaimSession,
    pub(super) saving: Saving,
}

/// The data of its room, and what became of them.
pub(super) struct Data {
    pub(super) inbox: Inbox,
    pub(super) reader: Option<StreamId>,
    /// The messages that came, and those that were read or reported as missed.
    pub(super) came: u64,
    pub(super) accounted: u64,
}

impl World {
    /// The job of an attempt that still runs.
    fn attempt_of(&mut self, worker: usize, job: &JobId, serial: u64) -> Option<&mut Running> {
        let running = self.process(worker)?.jobs.get_mut(job)?;
        (running.in_attempt && running.serial == serial).then_some(running)
    }

    fn script(&mut self, attempt: u32) -> Script {
        if self.is_faulty() {
            Script::new(attempt, &self.plan, &mut self.swarm, &mut self.rng)
        } else {
            Script::good(&mut self.rng)
        }
    }

    pub(super) fn start_attempt(&mut self, place: Place, job: Arc<Job>) {
        let script = self.script(1);
        self.serial += 1;
        let (serial, wait, id) = (self.serial, script.join, job.id.clone());
        let running = Running {
            job,
            serial,
            attempt: 1,
            in_attempt: true,
            script,
            member: None,
            room_gone: false,
            view: None,
            presence: None,
            changed: 0,
            cancelled: false,
            left: false,
            data: None,
            session: ClaimSession::default(),
            saving: Saving::default(),
        };
        if let Some(process) = self.process(place.worker) {
            process.jobs.insert(id.clone(), Box::new(running));
        }
        self.inside_after(place, wait, Inside::Join { job: id, serial });
    }

    pub(super) fn retry_attempt(&mut self, place: Place, job: &JobId, attempt: u32) {
        let script = self.script(attempt);
        self.serial += 1;
        let serial = self.serial;
        let Some(running) = self.process(place.worker).and_then(|process| process.jobs.get_mut(job)) else {
            return;
        };
        (running.serial, running.attempt, running.in_attempt) = (serial, attempt, true);
        let wait = if running.member.is_some() { Duration::from_millis(1) } else { script.join };
        running.script = script;
        running.session = ClaimSession::default();
        running.saving = Saving::default();
        self.inside_after(place, wait, Inside::Join { job: job.clone(), serial });
    }

    /// Joins the room, unless an earlier attempt has, and calls the handler.
    pub(super) fn join_room(&mut self, place: Place, job: &JobId, serial: u64) {
        let worker = place.worker;
        let Some(running) = self.attempt_of(worker, job, serial) else { return };
        if running.cancelled {
            return self.attempt_ends(worker, job, serial, AttemptEnd::Aborted);
        }
        if running.room_gone {
            let kind = JobErrorKind::Fatal { reason: "room_gone".into() };
            let end = AttemptEnd::Error { kind, text: "the room is gone".to_owned() };
            return self.attempt_ends(worker, job, serial, end);
        }
        if running.member.is_none() {
            let problem = if self.swarm.strikes(Fault::JoinFails, 0.2, &mut self.rng) {
                Some(JobErrorKind::Retryable { after: Duration::ZERO })
            } else if self.swarm.strikes(Fault::TokenExpired, 0.1, &mut self.rng) {
                Some(JobErrorKind::Fatal { reason: "unknown_error".into() })
            } else {
                self.join(place, job).err()
            };
            if let Some(kind) = problem {
                let end = AttemptEnd::Error { kind, text: "the room could not be joined".to_owned() };
                return self.attempt_ends(worker, job, serial, end);
            }
        }
        self.begin_handler(place, job, serial);
    }

    fn join(&mut self, place: Place, job: &JobId) -> Result<(), JobErrorKind> {
        let failed = || JobErrorKind::Retryable { after: Duration::ZERO };
        let grant = self.server.grants.get(job).cloned().ok_or_else(failed)?;
        let member = self.server.new_id();
        self.add_agent(member, place, job.clone());
        let connected = match self.request(Join::new(member, grant)) {
            Ok(connected) => connected,
            Err(_) => {
                self.server.agents.remove(&member);
                return Err(failed());
            }
        };
        let view = View::new(connected);
        let joined = joined_room(&view);
        if let Some(running) = self.process(place.worker).and_then(|process| process.jobs.get_mut(job)) {
            running.member = Some(member);
            running.view = Some(view);
            let inbox = Inbox::new([]);
            running.data = Some(Data { inbox, reader: None, came: 0, accounted: 0 });
        }
        self.input(place.worker, Input::RoomJoined { job: job.clone(), room: joined });
        self.report_presence(place.worker, job);
        Ok(())
    }

    fn begin_handler(&mut self, place: Place, job: &JobId, serial: u64) {
        let worker = place.worker;
        self.input(worker, Input::HandlerStarted { job: job.clone() });
        let checkpoints = self.plan.checkpoints;
        let Some(running) = self.attempt_of(worker, job, serial) else { return };
        if let Some((wait, end)) = running.script.end.clone() {
            self.inside_after(place, wait, Inside::End { job: job.clone(), serial, end });
        }
        self.begin_reading(worker, job);
        if checkpoints {
            self.load_checkpoint(place, job, serial);
        }
    }

    pub(super) fn attempt_ends(&mut self, worker: usize, job: &JobId, serial: u64, end: AttemptEnd) {
        let Some(running) = self.attempt_of(worker, job, serial) else { return };
        running.in_attempt = false;
        let room_gone = running.room_gone;
        if let Some(data) = &mut running.data {
            data.reader = None;
            data.inbox.end_attempt();
        }
        let left = running.left;
        if left && let Some(process) = self.process(worker) {
            process.jobs.remove(job);
        }
        self.model_of(worker, |model, _| model.attempt_ended(job, &end, room_gone));
        self.timeline.note(self.now, || format!("worker {worker}: the handler of {job} ends: {end:?}"));
        self.input(worker, Input::AttemptEnded { job: job.clone(), end, room_gone });
    }

    pub(super) fn cancel_attempt(&mut self, place: Place, job: &JobId) {
        let Some(running) = self.process(place.worker).and_then(|process| process.jobs.get_mut(job)) else {
            return;
        };
        running.cancelled = true;
        let serial = running.serial;
        if running.in_attempt
            && let Some((wait, end)) = running.script.on_cancel.clone()
        {
            // A handler that was never called cannot succeed.
            let (wait, end) = match running.view {
                Some(_) => (wait, end),
                None => (Duration::ZERO, AttemptEnd::Aborted),
            };
            self.inside_after(place, wait, Inside::End { job: job.clone(), serial, end });
        }
    }

    pub(super) fn abort_attempt(&mut self, place: Place, job: &JobId) {
        let Some(running) = self.process(place.worker).and_then(|process| process.jobs.get_mut(job)) else {
            return;
        };
        let (serial, on_abort) = (running.serial, running.script.on_abort);
        let (wait, end) = match on_abort {
            Some(wait) => (wait, AttemptEnd::Aborted),
            // It comes to an end much later.
            None => (self.between(Duration::from_secs(5), Duration::from_secs(200)), AttemptEnd::Ok),
        };
        self.inside_after(place, wait, Inside::End { job: job.clone(), serial, end });
    }

    pub(super) fn clean(&mut self, place: Place, job: JobId, attempt: u32, within: Duration) {
        let running = self.process(place.worker).and_then(|process| process.jobs.get(&job));
        let takes = running.and_then(|running| running.script.cleanup).unwrap_or(within).min(within);
        self.inside_after(place, takes, Inside::Cleaned { job, attempt });
    }

    pub(super) fn leave_room(&mut self, worker: usize, job: &JobId) {
        let Some(process) = self.process(worker) else { return };
        let Some(running) = process.jobs.get_mut(job) else { return };
        let member = running.member.take();
        running.left = true;
        if !running.in_attempt {
            process.jobs.remove(job);
        }
        if let Some(member) = member {
            let wait = self.latency();
            let reason = DisconnectReason::ClientInitiated;
            self.queue.add(self.now + wait, super::event::Event::MemberLeaves { member, reason });
        }
    }
}

/// The room, as a driver reports it.
pub(super) fn joined_room(view: &View) -> JoinedRoom {
    let room = view.room();
    JoinedRoom {
        sid: room.sid.clone(),
        age: view.age_when_joined(),
        took: Duration::ZERO,
        empty_timeout: room.empty_timeout,
        departure_timeout: room.departure_timeout,
    }
}
