//! The server machine in a run, and what it has recorded.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_core::JobId;
use agent_proto::Time;
use agent_proto::livekit as wire;
use agent_proto::livekit::server_message::Message;
use agent_room::{DisconnectReason, RoomEvent};
use agent_server::{
    Call, Grant, Input, MemberId, Output, RecordedStatus, Refusal, Reply, Request, RequestId, Rules, Server,
    ServerEvent, WorkerId,
};

use super::event::{Event, FrameContent, Inside, Place};
use super::fault::Fault;
use super::world::World;

/// The server of a run.
pub(super) struct SimServer {
    machine: Server,
    rules: Rules,
    born: Time,
    reply: Option<(RequestId, Result<Reply, Refusal>)>,
    last_id: u64,
    /// The grants of the assigned jobs.
    pub(super) grants: BTreeMap<JobId, Grant>,
    /// The agents in rooms: whose they are, and when their next event arrives.
    pub(super) agents: BTreeMap<MemberId, AgentMember>,
    pub(super) records: Records,
}

pub(super) struct AgentMember {
    pub(super) place: Place,
    pub(super) job: JobId,
    event_at: Time,
}

/// The state that follows from the log of the server.
#[derive(Default)]
pub(super) struct Records {
    /// The connection of each worker id.
    workers: BTreeMap<String, WorkerId>,
    pub(super) jobs: BTreeMap<JobId, Record>,
    /// The number of jobs that were offered, also before a restart.
    pub(super) offered: u64,
}

/// One job, by the log.
#[derive(Default)]
pub(super) struct Record {
    pub(super) dispatch: String,
    /// The connection that it is assigned to and not ended.
    pub(super) held_by: Option<WorkerId>,
    /// The connection that it was assigned to.
    pub(super) owner: Option<WorkerId>,
    pub(super) ended: Option<(RecordedStatus, String)>,
    /// Whether the server ended it by itself.
    pub(super) terminated: bool,
    /// Whether its assignment was lost: its worker cannot know.
    pub(super) assignment_lost: bool,
}

impl SimServer {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            machine: Server::new(rules.clone()),
            rules,
            born: Time::ZERO,
            reply: None,
            last_id: 0,
            grants: BTreeMap::new(),
            agents: BTreeMap::new(),
            records: Records::default(),
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Time> {
        self.machine.poll_timeout().map(|at| self.born + (at - Time::ZERO))
    }

    /// A new id of a member or a request.
    pub(super) const fn new_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Whether the room exists.
    pub(super) fn has_room(&self, room: &str) -> bool {
        self.machine.participants(room).is_some()
    }

    /// The names of all rooms.
    pub(super) fn rooms(&self) -> Vec<String> {
        self.machine.room_infos().into_iter().map(|room| room.name).collect()
    }

    /// A server without memory.
    pub(super) fn restart(&mut self, now: Time) {
        self.rules.seed = self.rules.seed.wrapping_add(1);
        self.machine = Server::new(self.rules.clone());
        self.born = now;
        self.grants.clear();
        self.agents.clear();
        self.records.jobs.clear();
    }

    fn local(&self, now: Time) -> Time {
        Time::ZERO + (now - self.born)
    }
}

impl Records {
    fn log(&mut self, event: &ServerEvent) {
        match event {
            ServerEvent::Offered { job_id, dispatch_id, .. } => {
                self.jobs.entry(JobId::new(job_id)).or_insert_with(|| {
                    self.offered += 1;
                    Record { dispatch: dispatch_id.clone(), ..Record::default() }
                });
            }
            ServerEvent::Assigned { job_id, worker_id, .. } => {
                let conn = self.workers.get(worker_id).copied();
                if let Some(record) = self.jobs.get_mut(&JobId::new(job_id)) {
                    (record.held_by, record.owner) = (conn, conn);
                }
            }
            ServerEvent::Ended { job_id, status, error, .. } => {
                if let Some(record) = self.jobs.get_mut(&JobId::new(job_id)) {
                    record.held_by = None;
                    record.ended = Some((*status, error.clone()));
                }
            }
            ServerEvent::Terminated { job_id, .. } => {
                if let Some(record) = self.jobs.get_mut(&JobId::new(job_id)) {
                    record.terminated = true;
                }
            }
            ServerEvent::Disconnected { worker_id, .. } => {
                let Some(conn) = self.workers.remove(worker_id) else { return };
                for record in self.jobs.values_mut().filter(|record| record.held_by == Some(conn)) {
                    record.held_by = None;
                }
            }
            _ => {}
        }
    }
}

impl World {
    pub(super) fn server_input(&mut self, input: Input) {
        self.delivered += 1;
        let now = self.server.local(self.now);
        self.server.machine.handle_input(input, now);
        self.server_outputs();
    }

    pub(super) fn server_timeout(&mut self) {
        let now = self.server.local(self.now);
        self.server.machine.handle_timeout(now);
        self.server_outputs();
    }

    /// Makes a request of the server.
    pub(super) fn request<C: Call>(&mut self, call: C) -> Result<C::Reply, Refusal> {
        let id = self.server.new_id();
        let request: Request = call.into();
        self.server_input(Input::Requested { id, request });
        match self.server.reply.take() {
            Some((of, reply)) if of == id => C::reply(reply?).ok_or(Refusal::NoReply),
            _ => Err(Refusal::NoReply),
        }
    }

    fn server_outputs(&mut self) {
        while let Some(output) = self.server.machine.poll_output() {
            match output {
                Output::Send { worker, message } => self.server_sends(worker, *message),
                Output::Assign { worker, job, grant } => self.server_assigns(worker, *job, *grant),
                Output::Close { worker, .. } => self.close_by_server(worker),
                Output::Notify { member, event } => self.notify(member, event),
                Output::Reply { id, reply } => self.server.reply = Some((id, reply)),
                Output::Log(event) => {
                    self.timeline.note(self.now, || format!("server: {event:?}"));
                    self.server.records.log(&event);
                }
                // No track, stream or call is simulated.
                Output::Stream { .. }
                | Output::DataFrame { .. }
                | Output::LocalTrack { .. }
                | Output::Requested { .. }
                | Output::CallDone { .. } => {}
            }
        }
    }

    fn server_sends(&mut self, worker: WorkerId, message: wire::ServerMessage) {
        let content = match &message.message {
            Some(Message::Register(registered)) => {
                self.server.records.workers.insert(registered.worker_id.clone(), worker);
                FrameContent::Registered
            }
            Some(Message::Availability(offer)) => FrameContent::Offer(
                offer.job.as_ref().map_or_else(|| JobId::new(""), |job| JobId::new(&job.id)),
            ),
            Some(Message::Assignment(assignment)) => {
                let job = assignment.job.as_ref();
                FrameContent::Assignment(job.map_or_else(|| JobId::new(""), |job| JobId::new(&job.id)))
            }
            Some(Message::Termination(termination)) => {
                FrameContent::Termination(JobId::new(&termination.job_id))
            }
            Some(Message::Pong(_)) => FrameContent::Pong,
            Some(Message::GoAway(_)) | None => FrameContent::Garbage,
        };
        if matches!(content, FrameContent::Termination(_)) {
            if self.swarm.strikes(Fault::LostTermination, 0.5, &mut self.rng) {
                return;
            }
            if self.swarm.strikes(Fault::DoubleTermination, 0.5, &mut self.rng) {
                self.send_to_worker(worker, message.clone(), content.clone(), Duration::ZERO);
            }
        }
        self.send_to_worker(worker, message, content, Duration::ZERO);
    }

    fn server_assigns(&mut self, worker: WorkerId, job: wire::Job, grant: Grant) {
        let id = JobId::new(&job.id);
        self.server.grants.insert(id.clone(), grant);
        if self.swarm.has(Fault::LostStatus) {
            self.swarm.count(Fault::LostStatus);
        }
        if self.swarm.strikes(Fault::LostAssignment, 0.1, &mut self.rng) {
            if let Some(record) = self.server.records.jobs.get_mut(&id) {
                record.assignment_lost = true;
            }
            return;
        }
        let token = format!("token of {id}");
        let message = Message::Assignment(wire::JobAssignment { job: Some(job), url: None, token });
        let content = FrameContent::Assignment(id);
        if self.swarm.strikes(Fault::LateAssignment, 0.1, &mut self.rng) {
            let wait = self.between(Duration::from_secs(5), Duration::from_secs(12));
            return self.send_late(worker, message, content, wait);
        }
        self.send_to_worker(worker, wire::ServerMessage { message: Some(message) }, content, Duration::ZERO);
    }

    /// An event of a room reaches a member, in order, if it is an agent.
    fn notify(&mut self, member: MemberId, event: RoomEvent) {
        let wait = self.latency();
        let now = self.now;
        let Some(agent) = self.server.agents.get_mut(&member) else { return };
        agent.event_at = agent.event_at.max(now + wait);
        let (at, place, job) = (agent.event_at, agent.place, agent.job.clone());
        if matches!(event, RoomEvent::Disconnected { .. }) {
            self.server.agents.remove(&member);
        }
        self.queue.add(at, Event::Inside { place, what: Inside::Room { job, member, event } });
    }

    /// An agent is in a room from now on.
    pub(super) fn add_agent(&mut self, member: MemberId, place: Place, job: JobId) {
        self.server.agents.insert(member, AgentMember { place, job, event_at: self.now });
    }

    pub(super) fn member_leaves(&mut self, member: MemberId, reason: DisconnectReason) {
        self.server_input(Input::MemberLeft { member, reason });
    }
}
