//! Jobs: from the offer to the recorded end.
//!
//! ```text
//!  Waiting ──► Asked(worker) ──► Assigned(worker) ──► Ended
//!               │  ▲  │ dismissed: Ended │ its worker is gone: Forgotten
//!               └──┘ declined, gone: the next worker
//!  nobody left to ask, 3 s over: Unserved
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use agent_proto::livekit as wire;
use agent_proto::livekit::server_message;
use agent_room::Permissions;

use super::entries::{JobEntry, Key, Phase, WorkerEntry};
use super::event::{OfferAnswer, RecordedStatus, ServerEvent, Violation};
use super::history::MAX_HISTORY_LEN;
use super::io::{Output, WorkerId};
use super::request::Grant;
use super::{Server, Timer};

impl Server {
    /// Creates a job; it is offered after the dispatch delay.
    pub(super) fn create_job(&mut self, mut job: wire::Job, only: Option<WorkerId>) -> String {
        job.id = self.next_job_id.take().unwrap_or_else(|| self.new_id("AJ_"));
        job.state = Some(wire::JobState::default());
        let id = job.id.clone();
        let entry = JobEntry {
            job,
            phase: Phase::Waiting,
            asked: BTreeSet::new(),
            answered: BTreeSet::new(),
            assigned_at: None,
            room_knows: true,
            undispatched: false,
            only,
        };
        self.jobs.insert(id.clone(), Box::new(entry));
        if self.rules.dispatch_delay.is_zero() {
            self.launch(&id);
        } else {
            self.wake(Timer::Launch(id.clone()), self.rules.dispatch_delay);
        }
        id
    }

    pub(super) fn launch(&mut self, id: &str) {
        let Some(entry) = self.jobs.get(id) else { return };
        let key = Key::of(&entry.job);
        if entry.only.is_none() && !self.has_affinity(key) {
            let reason =
                if self.is_served(key) { "every worker is full" } else { "no such worker is registered" };
            return self.give_up(id, reason);
        }
        let unknown_for = if entry.only.is_none() { self.room_knows_in() } else { Duration::ZERO };
        if let Some(entry) = self.jobs.get_mut(id).filter(|_| !unknown_for.is_zero()) {
            entry.room_knows = false;
            self.wake(Timer::RoomKnows(id.to_owned()), unknown_for);
        }
        self.wake(Timer::JobBudget(id.to_owned()), self.rules.job_budget);
        self.ask_next(id);
    }

    pub(super) fn on_answer(&mut self, worker: WorkerId, mut answer: wire::AvailabilityResponse) {
        let id = std::mem::take(&mut answer.job_id);
        let Some(entry) = self.jobs.get_mut(&id).filter(|entry| entry.asked.contains(&worker)) else {
            return self.violation(worker, &id, Violation::AnsweredUnasked);
        };
        if !entry.answered.insert(worker) {
            return self.violation(worker, &id, Violation::AnsweredTwice);
        }
        if entry.phase != Phase::Asked(worker) {
            return self.violation(worker, &id, Violation::AnsweredLate);
        }
        let decision = match (answer.available, answer.terminate) {
            (_, true) => OfferAnswer::Dismiss,
            (true, false) => OfferAnswer::Accept,
            (false, false) => OfferAnswer::Decline,
        };
        let worker_id = self.worker_name(worker);
        self.log(ServerEvent::Answered { job_id: id.clone(), worker_id, answer: decision });
        match decision {
            OfferAnswer::Accept => self.assign(&id, worker, answer),
            OfferAnswer::Decline => self.ask_next(&id),
            OfferAnswer::Dismiss => {
                // The only outcome that the API shows.
                let ended_at = self.wall_ns();
                if let Some(state) = self.jobs.get_mut(&id).and_then(|entry| entry.job.state.as_mut()) {
                    state.status = wire::JobStatus::JsSuccess.into();
                    state.ended_at = ended_at;
                }
                self.end(&id, worker, RecordedStatus::Success, String::new(), false);
            }
        }
    }

    pub(super) fn on_status(&mut self, worker: WorkerId, update: &wire::UpdateJobStatus) {
        let id = update.job_id.clone();
        let status = match update.status() {
            wire::JobStatus::JsSuccess => Some(RecordedStatus::Success),
            wire::JobStatus::JsFailed => Some(RecordedStatus::Failed),
            wire::JobStatus::JsPending | wire::JobStatus::JsRunning => None,
        };
        let worker_id = self.worker_name(worker);
        match (self.jobs.get(&id).map(|entry| &entry.phase), status) {
            (Some(Phase::Assigned { worker: owner, known: true }), Some(status)) if *owner == worker => {
                self.end(&id, worker, status, update.error.clone(), false);
            }
            (Some(Phase::Assigned { worker: owner, known: true }), None) if *owner == worker => {
                self.log(ServerEvent::Running { job_id: id, worker_id });
            }
            // A correct worker may repeat its final status.
            (Some(Phase::Ended { worker: owner, status: before, error, .. }), Some(status))
                if *owner == worker && *before == status && *error == update.error => {}
            // The worker may not have received an end that the server decided itself.
            (Some(Phase::Ended { worker: owner, by_server: true, .. }), Some(_)) if *owner == worker => {
                self.log(ServerEvent::UnknownJob { job_id: id, worker_id });
            }
            (Some(Phase::Ended { worker: owner, .. }), Some(_)) if *owner == worker => {
                self.violation(worker, &id, Violation::SecondOutcome);
            }
            // Too early.
            (Some(Phase::Assigned { worker: owner, known: false }), Some(_)) if *owner == worker => {
                self.log(ServerEvent::UnknownJob { job_id: id, worker_id });
            }
            (Some(_), Some(_)) if self.may_have_had(worker, &id) => {
                self.log(ServerEvent::UnknownJob { job_id: id, worker_id });
            }
            (_, None) => {}
            (_, Some(_)) => self.violation(worker, &id, Violation::ForeignJob),
        }
    }

    /// Whether a worker may have been assigned this job on an earlier connection, under another id: its
    /// connection is newer than the assignment. The earlier connection may still be open, if the server did
    /// not notice its end.
    fn may_have_had(&self, worker: WorkerId, id: &str) -> bool {
        let assigned_at = self.jobs.get(id).and_then(|entry| entry.assigned_at);
        let connected_at = self.workers.get(&worker).map(|entry| entry.number);
        assigned_at.zip(connected_at).is_some_and(|(assigned, connected)| connected > assigned)
    }

    /// The agent of a job left its room.
    pub(super) fn agent_left(&mut self, room: &str, identity: &str, by_itself: bool) {
        let in_room = |id: &String| {
            self.jobs.get(id).is_some_and(|entry| {
                entry.room_knows && entry.job.room.as_ref().is_some_and(|in_room| in_room.name == room)
            })
        };
        let of_agent = |worker: WorkerId, entry: &WorkerEntry| {
            let jobs = entry.running.iter().filter(|(id, agent)| *agent == identity && in_room(id));
            jobs.map(|(id, _)| (id.clone(), worker)).collect::<Vec<_>>()
        };
        let left: Vec<(String, WorkerId)> =
            self.workers.iter().flat_map(|(worker, entry)| of_agent(*worker, entry)).collect();
        for (id, worker) in left {
            if by_itself {
                self.violation(worker, &id, Violation::LeftBeforeStatus);
            }
            // Decided immediately, but sent a moment after the room has notified its participants.
            let error = "agent worker left the room".to_owned();
            self.end(&id, worker, RecordedStatus::Failed, error, true);
            self.wake(Timer::Termination(worker, id), self.rules.termination_delay);
        }
    }

    /// The dispatch of a job was deleted: the job ends as a success, and its agent is removed a moment later.
    pub(super) fn terminate(&mut self, id: &str) {
        let Some(entry) = self.jobs.get_mut(id) else { return };
        // The server waits until it knows what becomes of the job.
        let is_launching =
            matches!(entry.phase, Phase::Waiting | Phase::Asked(_) | Phase::Assigned { known: false, .. });
        if is_launching || !entry.room_knows {
            entry.undispatched = true;
            return;
        }
        let Phase::Assigned { worker, .. } = entry.phase else { return };
        let room = entry.job.room.as_ref().map(|room| room.name.clone()).unwrap_or_default();
        let identity = self.identity_of(id);
        self.send_termination(worker, id.to_owned());
        self.end(id, worker, RecordedStatus::Success, String::new(), true);
        if let Some(member) = identity.and_then(|identity| self.member_of(&room, &identity)) {
            self.wake(Timer::Removal(room, member), self.rules.removal_delay);
        }
    }

    pub(super) fn on_room_knows(&mut self, id: &str) {
        let Some(entry) = self.jobs.get_mut(id) else { return };
        entry.room_knows = true;
        if entry.undispatched {
            self.terminate(id);
        }
    }

    pub(super) fn send_termination(&mut self, worker: WorkerId, job_id: String) {
        if !self.workers.contains_key(&worker) {
            return;
        }
        let worker_id = self.worker_name(worker);
        self.log(ServerEvent::Terminated { job_id: job_id.clone(), worker_id });
        self.send(worker, server_message::Message::Termination(wire::JobTermination { job_id }));
    }

    pub(super) fn on_budget_over(&mut self, id: &str) {
        if let Some(Phase::Asked(worker)) = self.jobs.get(id).map(|entry| &entry.phase) {
            self.violation(*worker, id, Violation::NeverAnswered);
            self.give_up(id, "no worker answered in time");
        }
    }

    pub(super) fn on_bookkeeping(&mut self, id: &str) {
        let Some(entry) = self.jobs.get_mut(id) else { return };
        if let Phase::Assigned { worker, known } = &mut entry.phase {
            *known = true;
            let (worker, is_undispatched) = (*worker, entry.undispatched);
            let identity = entry.job.state.as_ref().map(|state| state.participant_identity.clone());
            if let Some(worker) = self.workers.get_mut(&worker) {
                worker.running.insert(id.to_owned(), identity.unwrap_or_default());
            }
            if is_undispatched {
                self.terminate(id);
            }
        }
    }

    pub(super) fn forget_jobs_of(&mut self, worker: WorkerId) {
        let (mut asked, mut assigned) = (Vec::new(), Vec::new());
        for (id, entry) in &self.jobs {
            match entry.phase {
                Phase::Asked(of) if of == worker => asked.push(id.clone()),
                Phase::Assigned { worker: of, .. } if of == worker => assigned.push(id.clone()),
                _ => {}
            }
        }
        for id in assigned {
            self.finish(&id, Phase::Forgotten);
        }
        for id in asked {
            self.ask_next(&id);
        }
    }

    /// The identity of a job's agent, once it was assigned.
    pub fn identity_of(&self, job: &str) -> Option<String> {
        let state = self.jobs.get(job)?.job.state.as_ref()?;
        Some(state.participant_identity.clone()).filter(|identity| !identity.is_empty())
    }

    /// The identity of the participant whom a participant or publisher job is about.
    pub fn target_of(&self, job: &str) -> Option<String> {
        Some(self.jobs.get(job)?.job.participant.as_ref()?.identity.clone())
    }

    fn ask_next(&mut self, id: &str) {
        let Some(entry) = self.jobs.get(id) else { return };
        let selected = match entry.only {
            Some(only) => {
                Some(only).filter(|only| !entry.asked.contains(only) && self.workers.contains_key(only))
            }
            None => {
                let candidates = self.candidates(Key::of(&entry.job), &entry.asked);
                self.select(&candidates)
            }
        };
        let Some(worker) = selected else {
            return self.give_up(id, "no worker is left to ask");
        };
        let (worker_id, now) = (self.worker_name(worker), self.wall_ns());
        let Some(entry) = self.jobs.get_mut(id) else { return };
        entry.asked.insert(worker);
        entry.phase = Phase::Asked(worker);
        let state = entry.job.state.get_or_insert_default();
        state.status = wire::JobStatus::JsRunning.into();
        state.worker_id.clone_from(&worker_id);
        state.started_at = now;
        state.updated_at = now;
        let job = entry.job.clone();
        self.log(ServerEvent::Offered {
            job_id: id.to_owned(),
            worker_id,
            dispatch_id: job.dispatch_id.clone(),
            room: job.room.as_ref().map(|room| room.name.clone()).unwrap_or_default(),
        });
        let offer = wire::AvailabilityRequest { job: Some(job), resuming: false };
        self.send(worker, server_message::Message::Availability(offer));
    }

    fn assign(&mut self, id: &str, worker: WorkerId, answer: wire::AvailabilityResponse) {
        let registration = self.workers.get(&worker).and_then(|entry| entry.registration.as_ref());
        let permissions = registration.map(|registration| Permissions::from(&registration.permissions));
        let worker_id = self.worker_name(worker);
        let Some(entry) = self.jobs.get_mut(id) else { return };
        let identity = answer.participant_identity;
        entry.job.state.get_or_insert_default().participant_identity.clone_from(&identity);
        entry.phase = Phase::Assigned { worker, known: false };
        entry.assigned_at = Some(self.ids);
        let mut attributes = answer.participant_attributes;
        attributes.insert("lk.agent_name".to_owned(), entry.job.agent_name.clone());
        let grant = Grant {
            room: entry.job.room.as_ref().map(|room| room.name.clone()).unwrap_or_default(),
            identity: identity.clone(),
            name: answer.participant_name,
            metadata: answer.participant_metadata,
            attributes,
            agent: true,
            permissions: permissions.unwrap_or_default(),
        };
        let job = Box::new(entry.job.clone());
        self.log(ServerEvent::Assigned { job_id: id.to_owned(), worker_id, identity });
        self.out.push_back(Output::Assign { worker, job, grant: Box::new(grant) });
        // Recorded after the assignment was sent, as on the real server: status updates before that are not
        // understood.
        if self.rules.bookkeeping.is_zero() {
            self.on_bookkeeping(id);
        } else {
            self.wake(Timer::Bookkeeping(id.to_owned()), self.rules.bookkeeping);
        }
    }

    fn end(&mut self, id: &str, worker: WorkerId, status: RecordedStatus, error: String, by_server: bool) {
        let worker_id = self.worker_name(worker);
        if let Some(worker) = self.workers.get_mut(&worker) {
            worker.running.remove(id);
        }
        self.finish(id, Phase::Ended { worker, status, error: error.clone(), by_server });
        self.log(ServerEvent::Ended { job_id: id.to_owned(), worker_id, status, error });
    }

    fn give_up(&mut self, id: &str, reason: &str) {
        let Some(entry) = self.jobs.get(id) else { return };
        let dispatch_id = entry.job.dispatch_id.clone();
        self.finish(id, Phase::Unserved);
        self.log(ServerEvent::Unserved { job_id: id.to_owned(), dispatch_id, reason: reason.to_owned() });
    }

    /// Finishes a job, and drops the oldest finished jobs if there are too many.
    fn finish(&mut self, id: &str, phase: Phase) {
        let Some(entry) = self.jobs.get_mut(id) else { return };
        entry.phase = phase;
        let len = entry.len();
        self.over.push_back((id.to_owned(), len));
        self.over_len += len;
        while (self.over.len() > self.rules.history
            || (self.over_len > MAX_HISTORY_LEN && self.over.len() > 1))
            && let Some((oldest, len)) = self.over.pop_front()
        {
            self.over_len -= len;
            if let Some(entry) = self.jobs.remove(&oldest) {
                self.leave_out(&entry.job);
            }
        }
    }
}
