//! The hub as the backend of the network front: workers' sockets and API calls.

use std::time::Duration;

use agent_net::Secret;
use agent_proto::livekit as wire;
use agent_room::{DisconnectReason, Permissions, Publish};

use crate::api_call::ApiCall;
use crate::front::{ApiFault, Backend, JoinRefusal, WorkerLink};
use crate::hub::Hub;
use crate::machine::{
    Change, ChangeParticipant, CloseRoom, CreateDispatch, DeleteDispatch, Input, JobFlags, MuteTrack,
    OpenRoom, Refusal, RemoveParticipant, SendData, ServerEvent, SetRoomMetadata, filled,
    to_wire_participant, to_wire_room, to_wire_track,
};

/// The attribute by which a server knows a caller.
const SIP_CALL: &str = "sip.callID";

impl Backend for Hub {
    fn api_key(&self) -> &str {
        &self.api_key
    }

    fn api_secret(&self) -> &Secret {
        &self.api_secret
    }

    fn worker_connected(&self) -> WorkerLink {
        self.connect_worker()
    }

    fn worker_message(&self, worker: u64, message: wire::WorkerMessage) {
        self.input(Input::WorkerMessage { worker, message: Box::new(message) });
    }

    fn worker_garbage(&self, worker: u64, problem: String) {
        self.input(Input::WorkerGarbage { worker, problem });
    }

    fn worker_gone(&self, worker: u64) {
        self.disconnect_worker(worker);
    }

    fn refuse_join(&self) -> Option<JoinRefusal> {
        Self::refuse_join(self)
    }

    fn called(&self, call: ApiCall) {
        self.note(ServerEvent::ApiCalled { call });
    }

    fn refused(&self, method: &str, fault: &ApiFault) {
        let (method, code, reason) = (method.to_owned(), fault.code.to_owned(), fault.message.clone());
        self.note(ServerEvent::ApiRefused { method, code, reason });
    }

    fn create_dispatch(
        &self,
        request: wire::CreateAgentDispatchRequest,
    ) -> Result<wire::AgentDispatch, ApiFault> {
        named(&request.room, "room")?;
        Ok(self.call(CreateDispatch { request, flags: JobFlags::default(), job_id: None })?)
    }

    fn delete_dispatch(
        &self,
        request: wire::DeleteAgentDispatchRequest,
    ) -> Result<wire::AgentDispatch, ApiFault> {
        Ok(self.call(DeleteDispatch { room: request.room, id: request.dispatch_id })?)
    }

    fn list_dispatch(
        &self,
        request: wire::ListAgentDispatchRequest,
    ) -> Result<wire::ListAgentDispatchResponse, ApiFault> {
        let mut agent_dispatches = self.inspect(|server| server.list_dispatches(&request.room));
        agent_dispatches
            .retain(|dispatch| request.dispatch_id.is_empty() || dispatch.id == request.dispatch_id);
        Ok(wire::ListAgentDispatchResponse { agent_dispatches })
    }

    fn create_room(&self, request: wire::CreateRoomRequest) -> Result<wire::Room, ApiFault> {
        named(&request.name, "name")?;
        let patience = |seconds: u32| (seconds > 0).then(|| Duration::from_secs(seconds.into()));
        let open = OpenRoom {
            name: request.name,
            metadata: request.metadata,
            empty_timeout: patience(request.empty_timeout),
            departure_timeout: patience(request.departure_timeout),
            agents: request.agents.into_iter().map(|agent| (agent.agent_name, agent.metadata)).collect(),
        };
        Ok(to_wire_room(&self.call(open)?))
    }

    fn list_rooms(&self, request: wire::ListRoomsRequest) -> Result<wire::ListRoomsResponse, ApiFault> {
        let wanted = |name: &String| request.names.is_empty() || request.names.contains(name);
        let infos = self.inspect(|server| server.room_infos());
        let rooms = infos.iter().filter(|info| wanted(&info.name)).map(to_wire_room).collect();
        Ok(wire::ListRoomsResponse { rooms })
    }

    fn delete_room(&self, request: wire::DeleteRoomRequest) -> Result<wire::DeleteRoomResponse, ApiFault> {
        self.call(CloseRoom { room: request.room, reason: DisconnectReason::RoomDeleted })?;
        Ok(wire::DeleteRoomResponse {})
    }

    fn list_participants(
        &self,
        request: wire::ListParticipantsRequest,
    ) -> Result<wire::ListParticipantsResponse, ApiFault> {
        let there = self.inspect(|server| server.participants(&request.room)).unwrap_or_default();
        Ok(wire::ListParticipantsResponse {
            participants: there.iter().map(|participant| to_wire_participant(participant)).collect(),
        })
    }

    fn get_participant(
        &self,
        request: wire::RoomParticipantIdentity,
    ) -> Result<wire::ParticipantInfo, ApiFault> {
        let there = self.inspect(|server| server.participants(&request.room)).unwrap_or_default();
        let found = there.iter().find(|participant| participant.identity == request.identity);
        Ok(to_wire_participant(found.ok_or(Refusal::PARTICIPANT)?))
    }

    fn remove_participant(
        &self,
        request: wire::RoomParticipantIdentity,
    ) -> Result<wire::RemoveParticipantResponse, ApiFault> {
        let (room, identity) = (request.room, request.identity);
        self.call(RemoveParticipant { room, identity, reason: DisconnectReason::Removed })?;
        Ok(wire::RemoveParticipantResponse {})
    }

    fn mute_published_track(
        &self,
        request: wire::MuteRoomTrackRequest,
    ) -> Result<wire::MuteRoomTrackResponse, ApiFault> {
        let wire::MuteRoomTrackRequest { room, identity, track_sid: sid, muted } = request;
        let track = self.call(MuteTrack { room, identity, sid, muted })?;
        Ok(wire::MuteRoomTrackResponse { track: Some(to_wire_track(&track)) })
    }

    fn update_participant(
        &self,
        request: wire::UpdateParticipantRequest,
    ) -> Result<wire::ParticipantInfo, ApiFault> {
        let change = Change {
            name: filled(request.name),
            metadata: filled(request.metadata),
            attributes: request.attributes,
            permissions: request.permission.as_ref().map(Permissions::from),
        };
        let (room, identity) = (request.room, request.identity);
        Ok(to_wire_participant(&*self.call(ChangeParticipant { room, identity, change })?))
    }

    fn update_room_metadata(&self, request: wire::UpdateRoomMetadataRequest) -> Result<wire::Room, ApiFault> {
        let changed = self.call(SetRoomMetadata { room: request.room, metadata: request.metadata })?;
        Ok(to_wire_room(&changed))
    }

    fn send_data(&self, request: wire::SendDataRequest) -> Result<wire::SendDataResponse, ApiFault> {
        let mut message = Publish::new(request.topic.unwrap_or_default(), request.data);
        message.reliable = request.kind == i32::from(wire::data_packet::Kind::Reliable);
        message.destinations = request.destination_identities;
        self.call(SendData { room: request.room, message })?;
        Ok(wire::SendDataResponse {})
    }

    /// There is no telephone: the caller stays in the room.
    fn transfer_sip_participant(
        &self,
        request: wire::TransferSipParticipantRequest,
    ) -> Result<wire::TransferSipParticipantResponse, ApiFault> {
        let (room, identity) = (&request.room_name, &request.participant_identity);
        let there = self.inspect(|server| server.participants(room)).unwrap_or_default();
        let caller = there.iter().find(|participant| participant.identity == *identity);
        if !caller.ok_or(Refusal::PARTICIPANT)?.attributes.contains_key(SIP_CALL) {
            let message =
                format!("no SIP session associated with participant: give it the attribute `{SIP_CALL}`");
            return Err(ApiFault { code: "invalid_argument", message });
        }
        Ok(wire::TransferSipParticipantResponse {})
    }
}

impl From<Refusal> for ApiFault {
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::NotFound { .. } => "not_found",
            Refusal::NotAdmitted { .. } => "unauthenticated",
            Refusal::JobIdTaken { .. } => "already_exists",
            Refusal::Command(_) => "permission_denied",
            Refusal::NoReply => "internal",
        };
        Self { code, message: refusal.to_string() }
    }
}

fn named(value: &str, field: &str) -> Result<(), ApiFault> {
    match value {
        "" => {
            Err(ApiFault { code: "invalid_argument", message: format!("`{field}` is empty: give it a name") })
        }
        _ => Ok(()),
    }
}
