//! Creation of jobs: each dispatch makes one for the room, or one for each participant or publisher,
//! depending on how the workers of that name have registered.

use std::sync::Arc;

use agent_proto::livekit as wire;
use agent_room::{Participant, ParticipantKind};

use super::Server;
use super::entries::{DispatchEntry, Key};
use super::event::ServerEvent;
use super::io::WorkerId;
use super::request::{CreateDispatch, DeleteDispatch, JobFlags, Refusal};
use super::wire::{to_wire_participant, to_wire_room};

impl Server {
    pub(super) fn create_dispatch(&mut self, create: CreateDispatch) -> Result<wire::AgentDispatch, Refusal> {
        let CreateDispatch { request, flags, job_id } = create;
        if let Some(id) = &job_id
            && self.jobs.contains_key(id)
        {
            return Err(Refusal::JobIdTaken { id: id.clone() });
        }
        let room = request.room.clone();
        self.next_job_id = job_id;
        self.ensure_room(&room);
        let id = self.add_dispatch(request, flags);
        self.next_job_id = None;
        Ok(self.dispatch(&room, &id).unwrap_or_default())
    }

    pub(super) fn delete_dispatch(
        &mut self,
        DeleteDispatch { room, id }: &DeleteDispatch,
    ) -> Result<wire::AgentDispatch, Refusal> {
        let mut deleted = self.dispatch(room, id).ok_or(Refusal::DISPATCH)?;
        if let Some(state) = &mut deleted.state {
            state.deleted_at = self.wall_ns();
        }
        let entry = self.rooms.get_mut(room).and_then(|room| room.dispatches.remove(id));
        for job in entry.into_iter().flat_map(|entry| entry.jobs) {
            self.terminate(&job);
        }
        Ok(deleted)
    }

    /// All dispatches of a room.
    pub fn list_dispatches(&self, room: &str) -> Vec<wire::AgentDispatch> {
        let ids = self.rooms.get(room).into_iter().flat_map(|room| room.dispatches.keys());
        ids.filter_map(|id| self.dispatch(room, id)).collect()
    }

    /// Dispatches the agents of a new room: those in its configuration, or else all workers without a name.
    pub(super) fn dispatch_initial(&mut self, room: &str, agents: Vec<(String, String)>) {
        let agents = if agents.is_empty() { vec![(String::new(), String::new())] } else { agents };
        for (agent_name, metadata) in agents {
            let request = wire::CreateAgentDispatchRequest {
                agent_name,
                metadata,
                room: room.to_owned(),
                ..Default::default()
            };
            self.add_dispatch(request, JobFlags::default());
        }
    }

    /// Creates the participant or publisher jobs of a participant who joined or published for the first time.
    pub(super) fn dispatch_participant(&mut self, room: &str, participant: &Participant, publishes: bool) {
        let kind = if publishes { wire::JobType::JtPublisher } else { wire::JobType::JtParticipant };
        let ids: Vec<String> =
            self.rooms.get(room).map(|room| room.dispatches.keys().cloned().collect()).unwrap_or_default();
        for id in ids {
            self.add_job(room, &id, kind, Some(participant));
        }
    }

    /// Creates a job that a worker requested for itself.
    pub(super) fn simulate(
        &mut self,
        worker: WorkerId,
        room: wire::Room,
        participant: Option<wire::ParticipantInfo>,
    ) {
        let kind = if participant.is_some() { wire::JobType::JtPublisher } else { wire::JobType::JtRoom };
        let job = wire::Job { r#type: kind.into(), room: Some(room), participant, ..Default::default() };
        self.create_job(job, Some(worker));
    }

    /// Removes a forgotten job from its dispatch.
    pub(super) fn leave_out(&mut self, job: &wire::Job) {
        let room = job.room.as_ref().and_then(|room| self.rooms.get_mut(&room.name));
        if let Some(dispatch) = room.and_then(|room| room.dispatches.get_mut(&job.dispatch_id)) {
            dispatch.jobs.retain(|id| *id != job.id);
        }
    }

    fn add_dispatch(&mut self, request: wire::CreateAgentDispatchRequest, flags: JobFlags) -> String {
        let id = self.new_id("AD_");
        let room = request.room.clone();
        let state = wire::AgentDispatchState { created_at: self.wall_ns(), ..Default::default() };
        let dispatch = wire::AgentDispatch {
            id: id.clone(),
            agent_name: request.agent_name.clone(),
            room: request.room,
            metadata: request.metadata,
            restart_policy: request.restart_policy,
            deployment: request.deployment.clone(),
            attributes: request.attributes,
            state: Some(state),
        };
        let Some(entry) = self.rooms.get_mut(&room) else { return id };
        entry.dispatches.insert(id.clone(), DispatchEntry { dispatch, flags, jobs: Vec::new() });
        let people: Vec<Arc<Participant>> = entry
            .members
            .values()
            .filter(|member| member.participant.kind != ParticipantKind::Agent)
            .map(|member| member.participant.clone())
            .collect();
        let mut served = self.add_job(&room, &id, wire::JobType::JtRoom, None);
        for kind in [wire::JobType::JtParticipant, wire::JobType::JtPublisher] {
            if !self.is_served(key(&request.agent_name, &request.deployment, kind)) {
                continue;
            }
            served = true;
            for who in
                people.iter().filter(|who| kind == wire::JobType::JtParticipant || !who.tracks.is_empty())
            {
                self.add_job(&room, &id, kind, Some(who));
            }
        }
        // A room without unnamed agents is the normal case, so it is not logged.
        if !served && !request.agent_name.is_empty() {
            let reason = self.unserved(&request.agent_name, &request.deployment);
            self.log(ServerEvent::Unserved { job_id: String::new(), dispatch_id: id.clone(), reason });
        }
        id
    }

    /// Why no worker serves a dispatch.
    fn unserved(&self, agent_name: &str, deployment: &str) -> String {
        let mut workers = self.workers.values().filter_map(|entry| entry.registration.as_ref());
        let whose = match deployment {
            "" => "without a deployment".to_owned(),
            deployment => format!("for the deployment {deployment:?}"),
        };
        // With another deployment, that is.
        if workers.any(|worker| worker.agent_name == agent_name) {
            format!("no worker is registered as {agent_name:?} {whose}")
        } else {
            format!("no worker is registered as {agent_name:?}")
        }
    }

    /// Creates a job of this kind for a dispatch. `false`: no worker is registered for such jobs.
    fn add_job(&mut self, room: &str, id: &str, kind: wire::JobType, who: Option<&Participant>) -> bool {
        let Some(entry) = self.rooms.get(room) else { return false };
        let Some(DispatchEntry { dispatch: of, flags, .. }) = entry.dispatches.get(id) else { return false };
        if !self.is_served(key(&of.agent_name, &of.deployment, kind)) {
            return false;
        }
        let job = wire::Job {
            r#type: kind.into(),
            room: Some(to_wire_room(&entry.info)),
            participant: who.map(to_wire_participant),
            metadata: of.metadata.clone(),
            agent_name: of.agent_name.clone(),
            dispatch_id: id.to_owned(),
            deployment: of.deployment.clone(),
            attributes: of.attributes.clone(),
            enable_recording: flags.recording,
            enable_redaction: flags.redaction,
            ..Default::default()
        };
        let job = self.create_job(job, None);
        if let Some(entry) = self.rooms.get_mut(room).and_then(|room| room.dispatches.get_mut(id)) {
            entry.jobs.push(job);
        }
        true
    }

    fn dispatch(&self, room: &str, id: &str) -> Option<wire::AgentDispatch> {
        let entry = self.rooms.get(room)?.dispatches.get(id)?;
        let mut dispatch = entry.dispatch.clone();
        if let Some(state) = &mut dispatch.state {
            let jobs = entry.jobs.iter().filter_map(|id| self.jobs.get(id));
            state.jobs = jobs.filter(|job| job.is_listed()).map(|entry| entry.job.clone()).collect();
        }
        Some(dispatch)
    }
}

fn key<'a>(agent_name: &'a str, deployment: &'a str, kind: wire::JobType) -> Key<'a> {
    Key { agent_name, namespace: "", job_type: kind.into(), deployment }
}
