//! The hub as what stands behind the network front: workers' sockets and API calls.

use std::time::Duration;

use agent_net::Secret;
use agent_proto::livekit as wire;
use agent_room::{DisconnectReason, Publish};

use crate::front::{ApiFault, Backend, JoinRefusal, WorkerLink};
use crate::hub::Hub;
use crate::machine::{Change, RoomSettings, filled, to_wire_participant, to_wire_room};

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
        self.with(|server| server.worker_message(worker, message));
    }

    fn worker_garbage(&self, worker: u64, what: String) {
        self.with(|server| server.worker_garbage(worker, &what));
    }

    fn worker_gone(&self, worker: u64) {
        self.disconnect_worker(worker);
    }

    fn refuse_join(&self) -> Option<JoinRefusal> {
        Self::refuse_join(self)
    }

    fn create_dispatch(
        &self,
        request: wire::CreateAgentDispatchRequest,
    ) -> Result<wire::AgentDispatch, ApiFault> {
        named(&request.room, "room")?;
        Ok(self.with(|server| server.create_dispatch(request)))
    }

    fn delete_dispatch(
        &self,
        request: wire::DeleteAgentDispatchRequest,
    ) -> Result<wire::AgentDispatch, ApiFault> {
        self.with(|server| server.delete_dispatch(&request.room, &request.dispatch_id))
            .ok_or_else(|| missing("dispatch"))
    }

    fn list_dispatch(
        &self,
        request: wire::ListAgentDispatchRequest,
    ) -> Result<wire::ListAgentDispatchResponse, ApiFault> {
        let mut agent_dispatches = self.with(|server| server.list_dispatches(&request.room));
        agent_dispatches
            .retain(|dispatch| request.dispatch_id.is_empty() || dispatch.id == request.dispatch_id);
        Ok(wire::ListAgentDispatchResponse { agent_dispatches })
    }

    fn create_room(&self, request: wire::CreateRoomRequest) -> Result<wire::Room, ApiFault> {
        named(&request.name, "name")?;
        let patience = |seconds: u32| (seconds > 0).then(|| Duration::from_secs(seconds.into()));
        let settings = RoomSettings {
            name: request.name,
            metadata: request.metadata,
            empty_timeout: patience(request.empty_timeout),
            departure_timeout: patience(request.departure_timeout),
            agents: request.agents.into_iter().map(|agent| (agent.agent_name, agent.metadata)).collect(),
        };
        Ok(to_wire_room(&self.with(|server| server.open_room(settings))))
    }

    fn list_rooms(&self, request: wire::ListRoomsRequest) -> Result<wire::ListRoomsResponse, ApiFault> {
        let wanted = |name: &String| request.names.is_empty() || request.names.contains(name);
        let infos = self.with(|server| server.room_infos());
        let rooms = infos.iter().filter(|info| wanted(&info.name)).map(to_wire_room).collect();
        Ok(wire::ListRoomsResponse { rooms })
    }

    fn delete_room(&self, request: wire::DeleteRoomRequest) -> Result<wire::DeleteRoomResponse, ApiFault> {
        match self.with(|server| server.close_room(&request.room, &DisconnectReason::RoomDeleted)) {
            true => Ok(wire::DeleteRoomResponse {}),
            false => Err(missing("room")),
        }
    }

    fn list_participants(
        &self,
        request: wire::ListParticipantsRequest,
    ) -> Result<wire::ListParticipantsResponse, ApiFault> {
        let there = self.with(|server| server.participants(&request.room)).unwrap_or_default();
        Ok(wire::ListParticipantsResponse {
            participants: there.iter().map(|participant| to_wire_participant(participant)).collect(),
        })
    }

    fn get_participant(
        &self,
        request: wire::RoomParticipantIdentity,
    ) -> Result<wire::ParticipantInfo, ApiFault> {
        self.participant(&request.room, &request.identity)
    }

    fn remove_participant(
        &self,
        request: wire::RoomParticipantIdentity,
    ) -> Result<wire::RemoveParticipantResponse, ApiFault> {
        self.with(|server| {
            let member =
                server.member_of(&request.room, &request.identity).ok_or_else(|| missing("participant"))?;
            server.leave(member, &DisconnectReason::Removed);
            Ok(wire::RemoveParticipantResponse {})
        })
    }

    fn mute_published_track(
        &self,
        request: wire::MuteRoomTrackRequest,
    ) -> Result<wire::MuteRoomTrackResponse, ApiFault> {
        let muted = self.with(|server| {
            server.mute_track(&request.room, &request.identity, &request.track_sid, request.muted)
        });
        if !muted {
            return Err(missing("track"));
        }
        let of = self.participant(&request.room, &request.identity)?;
        Ok(wire::MuteRoomTrackResponse {
            track: of.tracks.into_iter().find(|track| track.sid == request.track_sid),
        })
    }

    fn update_participant(
        &self,
        request: wire::UpdateParticipantRequest,
    ) -> Result<wire::ParticipantInfo, ApiFault> {
        let change = Change {
            name: filled(request.name),
            metadata: filled(request.metadata),
            attributes: request.attributes,
            can_publish: request.permission.map(|permission| permission.can_publish),
        };
        match self.with(|server| server.change(&request.room, &request.identity, change)) {
            true => self.participant(&request.room, &request.identity),
            false => Err(missing("participant")),
        }
    }

    fn update_room_metadata(&self, request: wire::UpdateRoomMetadataRequest) -> Result<wire::Room, ApiFault> {
        let changed = self.with(|server| server.set_room_metadata(&request.room, request.metadata));
        changed.as_ref().map(to_wire_room).ok_or_else(|| missing("room"))
    }

    fn send_data(&self, request: wire::SendDataRequest) -> Result<wire::SendDataResponse, ApiFault> {
        let mut message = Publish::new(request.topic.unwrap_or_default(), request.data);
        message.reliable = request.kind == i32::from(wire::data_packet::Kind::Reliable);
        message.destinations = request.destination_identities;
        match self.with(|server| server.send_data(&request.room, None, message)) {
            true => Ok(wire::SendDataResponse {}),
            false => Err(missing("room")),
        }
    }
}

impl Hub {
    fn participant(&self, room: &str, identity: &str) -> Result<wire::ParticipantInfo, ApiFault> {
        let there = self.with(|server| server.participants(room)).unwrap_or_default();
        let found = there.iter().find(|participant| participant.identity == identity);
        found.map(|participant| to_wire_participant(participant)).ok_or_else(|| missing("participant"))
    }
}

fn missing(what: &str) -> ApiFault {
    ApiFault { code: "not_found", message: format!("requested {what} does not exist") }
}

fn named(value: &str, field: &str) -> Result<(), ApiFault> {
    match value {
        "" => {
            Err(ApiFault { code: "invalid_argument", message: format!("`{field}` is empty: give it a name") })
        }
        _ => Ok(()),
    }
}
