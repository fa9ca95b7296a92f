//! The rooms of jobs, as their process sees them: who is there, what data come, and how they end.

use std::task::Poll;
use std::time::Duration;

use agent_core::{EndWhen, Input, Job, JobId, Presence, RoomEnd};
use agent_room::{DataFilter, DisconnectReason, RoomEvent, View, ViewChange};
use agent_server::{Join, MemberId};

use super::attempts::joined_room;
use super::check::Check;
use super::event::{Inside, Place};
use super::world::World;

/// The topic of all data.
pub(super) const TOPIC: &str = "numbers";

impl World {
    /// An event of a room reaches the process of its agent.
    pub(super) fn room_event(&mut self, worker: usize, job: &JobId, member: MemberId, event: &RoomEvent) {
        let running = self.process(worker).and_then(|process| process.jobs.get_mut(job));
        let Some(running) = running.filter(|running| running.member == Some(member)) else { return };
        let Some(view) = &mut running.view else { return };
        let change = view.apply(event);
        if let Some(data) = &mut running.data {
            data.came += u64::from(matches!(event, RoomEvent::DataReceived(_)));
            data.inbox.push(event);
        }
        match change {
            ViewChange::Ended(reason) => {
                running.room_gone = true;
                running.member = None;
                let end = room_end(&reason);
                self.timeline.note(self.now, || format!("worker {worker}: the room of {job} ends: {reason}"));
                if end != RoomEnd::Left {
                    self.model_of(worker, |model, _| model.room_gone(job));
                }
                self.input(worker, Input::RoomEnded { job: job.clone(), end });
            }
            ViewChange::None | ViewChange::Changed | ViewChange::Replaced => {
                self.read(worker, job);
                self.report_presence(worker, job);
            }
        }
    }

    /// Reports who is in the room of a job, if that has changed.
    pub(super) fn report_presence(&mut self, worker: usize, job: &JobId) {
        self.serial += 1;
        let since = self.serial;
        let Some(process) = self.process(worker) else { return };
        let place = process.place();
        let Some(running) = process.jobs.get_mut(job) else { return };
        let Some(view) = &running.view else { return };
        let now = presence(&running.job, view);
        if running.presence.as_ref() == Some(&now) {
            return;
        }
        running.changed = since;
        // Before the first person came there is no wait, only that of the room itself.
        let emptied = now.people == 0 && running.presence.as_ref().is_some_and(|before| before.people > 0);
        let about_people = running.job.target.is_none();
        running.presence = Some(now.clone());
        if emptied
            && about_people
            && let (Some(after), Some(place)) = (self.plan.config.end_when.after(), place)
        {
            let wait = after + Duration::from_millis(50);
            self.inside_after(place, wait, Inside::EmptyDue { job: job.clone(), since });
        }
        self.input(worker, Input::PresenceChanged { job: job.clone(), presence: now });
    }

    /// Nobody has come back: the handler was cancelled, or has ended.
    pub(super) fn empty_due(&mut self, worker: usize, job: &JobId, since: u64) {
        let now = self.now;
        let patience = self.plan.config.end_when.after().unwrap_or_default() + Duration::from_millis(60);
        let Some(process) = self.processes.get(worker) else { return };
        let Some(running) = process.jobs.get(job) else { return };
        // A process that was paused meanwhile may be about to do it.
        let ran = process.continued_at + patience <= now;
        let runs = running.in_attempt && !running.cancelled && running.changed == since && !running.room_gone;
        if ran && self.plan.config.end_when != EndWhen::Never {
            self.checks.that(Check::EndsInTime, !runs, || {
                format!("worker {worker}: {job} continues, though nobody is left in its room")
            });
        }
    }

    /// The connection to the room of a job is lost for good.
    pub(super) fn room_is_lost(&mut self, worker: usize, job: &JobId, member: MemberId) {
        let Some(running) = self.process(worker).and_then(|process| process.jobs.get_mut(job)) else {
            return;
        };
        if running.member != Some(member) {
            return;
        }
        running.member = None;
        running.room_gone = true;
        self.model_of(worker, |model, _| model.room_gone(job));
        self.input(worker, Input::RoomEnded { job: job.clone(), end: RoomEnd::Lost });
    }

    /// The connection to the room of a job is back, as another participant session, in another room perhaps.
    pub(super) fn room_is_back(&mut self, place: Place, job: &JobId, old: MemberId) {
        let worker = place.worker;
        let grant = self.server.grants.get(job).cloned();
        let Some(running) = self.process(worker).and_then(|process| process.jobs.get_mut(job)) else {
            return;
        };
        if running.member != Some(old) {
            return;
        }
        let Some(grant) = grant else { return self.room_is_lost(worker, job, old) };
        let sid = running.view.as_ref().map(|view| view.room().sid.clone());
        let member = self.server.new_id();
        self.server.agents.remove(&old);
        self.add_agent(member, place, job.clone());
        let Ok(connected) = self.request(Join::new(member, grant)) else {
            self.server.agents.remove(&member);
            return self.room_is_lost(worker, job, old);
        };
        let view = View::new(connected);
        let replaced = sid.is_some_and(|sid| sid != view.room().sid);
        let joined = joined_room(&view);
        let Some(running) = self.process(worker).and_then(|process| process.jobs.get_mut(job)) else {
            return;
        };
        running.member = Some(member);
        running.view = Some(view);
        if replaced {
            self.input(worker, Input::RoomReplaced { job: job.clone() });
        }
        self.input(worker, Input::RoomJoined { job: job.clone(), room: joined });
        self.report_presence(worker, job);
    }

    /// A handler begins to read the data of its room.
    pub(super) fn begin_reading(&mut self, worker: usize, job: &JobId) {
        #[cfg(test)]
        let bug = self.bug;
        let Some(running) = self.process(worker).and_then(|process| process.jobs.get_mut(job)) else {
            return;
        };
        let (reads, first) = (running.script.reads, running.attempt == 1);
        let Some(data) = &mut running.data else { return };
        #[cfg(test)]
        super::planted::attempt_begins(bug, &mut data.inbox, first);
        if !first {
            data.inbox.begin_attempt([]);
        }
        if reads {
            data.reader = Some(data.inbox.open_data(DataFilter::Topic(TOPIC.to_owned())).0);
        }
        self.read(worker, job);
    }

    /// Reads what there is.
    fn read(&mut self, worker: usize, job: &JobId) {
        let Some(running) = self.processes.get_mut(worker).and_then(|process| process.jobs.get_mut(job))
        else {
            return;
        };
        let Some(data) = &mut running.data else { return };
        let Some(reader) = data.reader else { return };
        while let Poll::Ready(Some(next)) = data.inbox.next_message(reader) {
            data.accounted += next.map_or_else(|missed| missed.count, |_| 1);
        }
        let (came, accounted) = (data.came, data.accounted);
        self.checks.that(Check::RoomDataKept, came == accounted, || {
            format!(
                "worker {worker}: of {came} messages to {job}, {accounted} were read or reported as missed"
            )
        });
    }
}

fn presence(job: &Job, view: &View) -> Presence {
    let target = job.target.as_ref().map(|target| target.identity.as_str());
    Presence {
        people: view.people(),
        keepers: view.keepers(),
        target: target
            .and_then(|target| view.participants().get(target))
            .map(|participant| participant.sid.clone()),
    }
}

const fn room_end(reason: &DisconnectReason) -> RoomEnd {
    match reason {
        DisconnectReason::ClientInitiated => RoomEnd::Left,
        DisconnectReason::DuplicateIdentity => RoomEnd::DuplicateIdentity,
        DisconnectReason::Removed => RoomEnd::Removed,
        DisconnectReason::RoomDeleted => RoomEnd::Deleted,
        DisconnectReason::RoomClosed => RoomEnd::Closed,
        _ => RoomEnd::Lost,
    }
}
