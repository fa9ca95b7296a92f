//! The faults that happen at random times.

use std::time::Duration;

use bytes::Bytes;

use agent_core::JobId;
use agent_proto::livekit as wire;
use agent_proto::livekit::server_message::Message;
use agent_room::DisconnectReason;
use agent_server::{CloseRoom, MemberId, RemoveParticipant, WorkerId};

use super::event::{Event, FrameContent, Inside, Place};
use super::fault::Fault;
use super::process::Process;
use super::world::World;

impl World {
    /// The next fault.
    pub(super) fn strike(&mut self) {
        if !self.is_faulty() {
            return;
        }
        if let Some(fault) = self.rng.choice(&self.swarm.striking).copied()
            && self.strike_with(fault)
        {
            self.timeline.note(self.now, || format!("fault: {fault}"));
            self.swarm.count(fault);
        }
        let wait = self.up_to(self.plan.fault_gap * 2);
        self.queue.add(self.now + wait, Event::Strike);
    }

    /// Whether it found something to strike.
    fn strike_with(&mut self, fault: Fault) -> bool {
        match fault {
            Fault::Cut | Fault::LateBytes => {
                let Some(conn) = self.some_conn() else { return false };
                self.break_conn(conn);
            }
            Fault::Flapping => {
                let Some(worker) = self.some_worker() else { return false };
                self.flap(worker);
            }
            Fault::HalfOpen => {
                let Some(conn) = self.some_conn() else { return false };
                self.half_open(conn);
            }
            Fault::Refused => {
                self.net.refuses_with = *self.rng.choice(&[0, 401, 403, 404, 429, 503]).unwrap_or(&0);
                self.net.refuses_until = self.now + self.up_to(Duration::from_secs(8));
            }
            Fault::Delay => self.net.slow_until = self.now + self.up_to(Duration::from_secs(5)),
            Fault::Doubled => self.net.doubled_until = self.now + self.up_to(Duration::from_secs(5)),
            Fault::UnaskedAssignment => return self.assign_unasked(),
            Fault::EarlyTermination => return self.terminate_early(),
            Fault::UnknownTermination => return self.terminate(&JobId::new("AJ_unknown")),
            Fault::Garbage => return self.send_garbage(),
            Fault::Burst => {
                for _ in 0..self.rng.u8(5..20) {
                    self.dispatch_somewhere();
                }
            }
            Fault::RoomDeleted => {
                let rooms = self.server.rooms();
                let Some(room) = self.rng.choice(&rooms) else { return false };
                let close = CloseRoom { room: room.clone(), reason: DisconnectReason::RoomDeleted };
                let _ = self.request(close);
            }
            Fault::Removed => return self.remove_agent(),
            Fault::RoomLost | Fault::RoomReplaced => return self.lose_room(fault == Fault::RoomReplaced),
            Fault::Kill => {
                let Some(worker) = self.some_worker() else { return false };
                self.kill_process(worker);
            }
            Fault::ClockJump => {
                let Some(worker) = self.some_worker() else { return false };
                let time = self.between(Duration::from_millis(500), Duration::from_secs(40));
                self.pause_process(worker, time);
            }
            Fault::ServerRestart => self.restart_server(),
            Fault::Quiet => {
                let Some(place) = self.some_place() else { return false };
                let time = self.up_to(Duration::from_secs(10));
                self.inside_after(place, Duration::ZERO, Inside::Quiet(true));
                self.inside_after(place, time, Inside::Quiet(false));
            }
            Fault::Drain | Fault::Stop => {
                let Some(place) = self.some_place() else { return false };
                let within = self.up_to(Duration::from_secs(10));
                let what = if fault == Fault::Stop { Inside::Stop } else { Inside::Drain { within } };
                self.inside_after(place, Duration::ZERO, what);
            }
            Fault::StoreStale => self.stores.fail_over(),
            Fault::StoreClockJump => {
                let time = self.up_to(Duration::from_secs(30));
                self.stores.jump(time);
            }
            // These strike where things happen.
            _ => return false,
        }
        true
    }

    fn some_worker(&mut self) -> Option<usize> {
        let running: Vec<usize> =
            self.processes.iter().filter(|process| process.subject.is_some()).map(|p| p.worker).collect();
        self.rng.choice(&running).copied()
    }

    fn some_place(&mut self) -> Option<Place> {
        self.some_worker().and_then(|at| self.processes.get(at)?.place())
    }

    fn some_conn(&mut self) -> Option<WorkerId> {
        let open: Vec<WorkerId> = self.processes.iter().filter_map(|process| process.conn).collect();
        self.rng.choice(&open).copied()
    }

    /// A worker's connection breaks now, and again whenever it is back, for a while.
    fn flap(&mut self, worker: usize) {
        let Some(conn) = self.processes.get(worker).and_then(|process| process.conn) else { return };
        self.break_conn(conn);
        for round in 1..=4_u64 {
            // Connections have consecutive numbers, so this is one that follows soon.
            let wait = self.up_to(Duration::from_secs(2 * round));
            self.queue.add(self.now + wait, Event::Break { conn: conn + round });
        }
    }

    /// A job that some worker knows, or another one had.
    fn some_job(&mut self) -> Option<(WorkerId, JobId)> {
        let conn = self.some_conn()?;
        let jobs: Vec<JobId> = self.server.records.jobs.keys().cloned().collect();
        Some((conn, self.rng.choice(&jobs)?.clone()))
    }

    fn assign_unasked(&mut self) -> bool {
        let Some((conn, id)) = self.some_job() else { return false };
        let room = wire::Room { name: "unasked".to_owned(), ..Default::default() };
        let job = wire::Job {
            id: if self.rng.bool() { id.to_string() } else { format!("AJ_unasked{}", self.rng.u16(..)) },
            room: Some(room),
            agent_name: super::plan::AGENT.to_owned(),
            ..Default::default()
        };
        let content = FrameContent::Assignment(JobId::new(&job.id));
        let message = Message::Assignment(wire::JobAssignment { job: Some(job), ..Default::default() });
        self.send_to_worker(conn, wire::ServerMessage { message: Some(message) }, content, Duration::ZERO);
        true
    }

    /// Terminates a job that was accepted, before its assignment is there.
    fn terminate_early(&mut self) -> bool {
        let accepted: Vec<JobId> = self
            .processes
            .iter()
            .filter_map(|process| process.subject.as_ref())
            .flat_map(|subject| {
                self.server.records.jobs.keys().filter(|job| {
                    subject
                        .worker()
                        .lifecycle(job)
                        .is_some_and(|state| state == agent_core::Lifecycle::Created)
                })
            })
            .cloned()
            .collect();
        let Some(job) = self.rng.choice(&accepted).cloned() else { return false };
        self.terminate(&job)
    }

    fn terminate(&mut self, job: &JobId) -> bool {
        let Some(conn) = self.some_conn() else { return false };
        let message = Message::Termination(wire::JobTermination { job_id: job.to_string() });
        let content = FrameContent::Termination(job.clone());
        self.send_to_worker(conn, wire::ServerMessage { message: Some(message) }, content, Duration::ZERO);
        true
    }

    fn send_garbage(&mut self) -> bool {
        let Some(conn) = self.some_conn() else { return false };
        if self.rng.u8(..4) == 0 {
            let wait = self.latency();
            self.queue.add(self.now + wait, Event::GarbageToServer { conn });
            return true;
        }
        let len = self.rng.usize(..40);
        let bytes: Vec<u8> = std::iter::repeat_with(|| self.rng.u8(..)).take(len).collect();
        self.send_bytes(conn, Bytes::from(bytes), FrameContent::Garbage, Duration::ZERO);
        true
    }

    /// The agents that are in their rooms.
    fn agents(&self) -> Vec<(Place, JobId, MemberId)> {
        let agents = self.server.agents.iter();
        agents.map(|(member, agent)| (agent.place, agent.job.clone(), *member)).collect()
    }

    /// One of them.
    fn some_agent(&mut self) -> Option<(Place, JobId, MemberId)> {
        let agents = self.agents();
        self.rng.choice(&agents).cloned()
    }

    fn remove_agent(&mut self) -> bool {
        let Some((_, job, _)) = self.some_agent() else { return false };
        let Some(grant) = self.server.grants.get(&job).cloned() else { return false };
        let reason =
            if self.rng.bool() { DisconnectReason::Removed } else { DisconnectReason::DuplicateIdentity };
        let remove = RemoveParticipant { room: grant.room, identity: grant.identity, reason };
        self.request(remove).is_ok()
    }

    fn lose_room(&mut self, comes_back: bool) -> bool {
        let Some((place, job, member)) = self.some_agent() else { return false };
        let (at_server, at_worker) =
            (self.up_to(Duration::from_secs(20)), self.up_to(Duration::from_secs(15)));
        if comes_back {
            // Its room may be closed and opened again meanwhile.
            let room = self.server.grants.get(&job).map(|grant| grant.room.clone()).unwrap_or_default();
            self.server.agents.remove(&member);
            if self.rng.bool() && self.server.has_room(&room) {
                let close = CloseRoom { room, reason: DisconnectReason::RoomDeleted };
                let _ = self.request(close);
            } else {
                let reason = DisconnectReason::SignalClosed;
                self.queue.add(self.now + at_server, Event::MemberLeaves { member, reason });
            }
            self.inside_after(place, at_worker, Inside::RoomBack { job, member });
        } else {
            self.server.agents.remove(&member);
            let reason = DisconnectReason::ConnectionTimeout;
            self.queue.add(self.now + at_server, Event::MemberLeaves { member, reason });
            self.inside_after(place, at_worker, Inside::RoomLost { job, member });
        }
        true
    }

    /// The server is restarted: connections break, rooms are gone.
    fn restart_server(&mut self) {
        let agents = self.agents();
        for conn in self.net.at_server() {
            if let Some(gone) = self.net.get_mut(conn) {
                gone.at_server = false;
                gone.broken = true;
            }
            let wait = self.up_to(Duration::from_millis(300));
            if let Some(place) = self.net.get(conn).map(|gone| gone.place) {
                self.inside_after(place, wait, Inside::Disconnected { conn });
            }
        }
        self.server.restart(self.now);
        self.net.refuses_with = 0;
        self.net.refuses_until = self.now + self.up_to(Duration::from_secs(4));
        for (place, job, member) in agents {
            let wait = self.between(Duration::from_secs(1), Duration::from_secs(10));
            let comes_back = self.rng.bool();
            let what =
                if comes_back { Inside::RoomBack { job, member } } else { Inside::RoomLost { job, member } };
            self.inside_after(place, wait, what);
        }
    }

    /// The faults end: nothing is refused, slow or half open any more.
    pub(super) fn heal(&mut self) {
        self.swarm.end();
        self.net.heal();
        for conn in self.net.at_server() {
            if self.net.get(conn).is_some_and(|conn| conn.half_open) {
                self.break_conn(conn);
            }
        }
        for worker in 0..self.processes.len() {
            if let Some(place) = self.processes.get(worker).and_then(Process::place) {
                if let Some(conn) = self.processes.get(worker).and_then(|process| process.conn)
                    && self.net.get(conn).is_some_and(|conn| conn.half_open)
                {
                    self.break_conn(conn);
                }
                self.continue_process(place);
            }
        }
        self.close_all_rooms();
    }
}
