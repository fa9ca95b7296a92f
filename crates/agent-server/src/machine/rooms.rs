//! Rooms and their participants.

use std::collections::BTreeMap;
use std::sync::Arc;

use agent_room::{Connected, DisconnectReason, Participant, ParticipantKind, RoomEvent, RoomInfo, Track};

use super::entries::{Member, RoomEntry};
use super::event::ServerEvent;
use super::io::Output;
use super::request::{CloseRoom, Join, MemberId, OpenRoom, Refusal, RemoveParticipant};
use super::{Server, Timer};

impl Server {
    /// Returns the room of this name, creating it if it does not exist.
    pub(super) fn open_room(&mut self, settings: OpenRoom) -> RoomInfo {
        if let Some(room) = self.rooms.get(&settings.name) {
            return room.info.clone();
        }
        self.create_room(settings)
    }

    /// Creates the room with the usual settings, if it does not exist.
    pub(super) fn ensure_room(&mut self, name: &str) {
        if !self.rooms.contains_key(name) {
            self.create_room(OpenRoom { name: name.to_owned(), ..OpenRoom::default() });
        }
    }

    fn create_room(&mut self, settings: OpenRoom) -> RoomInfo {
        let name = settings.name;
        let mut info = RoomInfo::new(self.new_id("RM_"), name.clone());
        info.metadata = settings.metadata;
        info.created_at_ms = self.wall_ns() / 1_000_000;
        let patience = settings.empty_timeout.unwrap_or(self.rules.empty_timeout);
        info.empty_timeout = Some(patience);
        let departure_timeout = settings.departure_timeout.unwrap_or(self.rules.departure_timeout);
        info.departure_timeout = Some(departure_timeout);
        let room = RoomEntry {
            info: info.clone(),
            members: BTreeMap::new(),
            dispatches: BTreeMap::new(),
            departure_timeout,
            spell: 0,
        };
        self.rooms.insert(name.clone(), room);
        self.wake(Timer::Empty(name.clone(), 0), patience);
        self.dispatch_initial(&name, settings.agents);
        info
    }

    pub(super) fn close_room(&mut self, CloseRoom { room: name, reason }: CloseRoom) -> Result<(), Refusal> {
        let room = self.rooms.get(&name).ok_or(Refusal::ROOM)?;
        let everybody: Vec<MemberId> = room.members.values().map(|member| member.id).collect();
        self.end_streams_in(&name);
        for member in everybody {
            self.leave(member, &reason);
        }
        self.rooms.remove(&name);
        self.log(ServerEvent::RoomClosed { room: name });
        Ok(())
    }

    pub(super) fn join(&mut self, join: Join) -> Result<Connected, Refusal> {
        let Join { member: id, grant, auto_subscribe } = join;
        let refuse = |problem| Err(Refusal::NotAdmitted { problem });
        if grant.identity.is_empty() || grant.identity.len() > 256 {
            return refuse("the identity is empty or longer than 256 bytes");
        }
        if grant.room.is_empty() {
            return refuse("the token names no room");
        }
        if self.members.contains_key(&id) {
            return refuse("this member id is in use");
        }
        self.ensure_room(&grant.room);
        let before = self.rooms.get(&grant.room).and_then(|room| room.members.get(&grant.identity));
        if let Some(before) = before.map(|member| member.id) {
            self.leave(before, &DisconnectReason::DuplicateIdentity);
        }
        let mut me = Participant::new(self.new_id("PA_"), grant.identity.clone());
        me.name = grant.name;
        me.metadata = grant.metadata;
        me.attributes = grant.attributes;
        me.kind = if grant.agent { ParticipantKind::Agent } else { ParticipantKind::Standard };
        me.permissions = grant.permissions;
        me.active = true;
        me.joined_at_ms = self.wall_ns() / 1_000_000;
        let me = Arc::new(me);
        let Some(room) = self.rooms.get_mut(&grant.room) else { return refuse("the room is closed") };
        let mut connected = Connected::new(room.info.clone(), me.clone());
        connected.participants = room
            .members
            .values()
            .filter(|m| !m.participant.permissions.hidden)
            .map(|m| m.participant.clone())
            .collect();
        connected.server_version = super::workers::SERVER_VERSION.to_owned();
        let choices = BTreeMap::new();
        let member = Member { id, participant: me.clone(), auto_subscribe, choices };
        let mut received = Vec::new();
        for publisher in room.members.values().filter(|other| !other.participant.permissions.hidden) {
            for track in publisher.participant.tracks.values().filter(|track| member.is_subscribed(track)) {
                let (participant, track) = (publisher.participant.clone(), track.clone());
                received.push(track.sid.clone());
                let event = RoomEvent::TrackSubscribed { participant, track };
                self.out.push_back(Output::Notify { member: id, event });
            }
        }
        room.members.insert(grant.identity.clone(), member);
        room.info.num_participants += 1;
        if me.kind != ParticipantKind::Agent {
            room.spell += 1;
        }
        self.members.insert(id, grant.room.clone());
        received.iter().for_each(|sid| self.own_track_subscribed(sid));
        self.log(ServerEvent::Joined {
            room: grant.room.clone(),
            identity: grant.identity,
            agent: me.kind == ParticipantKind::Agent,
        });
        if !me.permissions.hidden {
            self.notify_others(&grant.room, Some(id), &RoomEvent::ParticipantJoined(me.clone()));
            self.notify_others(&grant.room, Some(id), &RoomEvent::ParticipantActive(me.clone()));
        }
        if me.kind != ParticipantKind::Agent {
            self.dispatch_participant(&grant.room, &me, false);
        }
        Ok(connected)
    }

    pub(super) fn remove_participant(&mut self, request: &RemoveParticipant) -> Result<(), Refusal> {
        let member = self.member_of(&request.room, &request.identity).ok_or(Refusal::PARTICIPANT)?;
        self.leave(member, &request.reason);
        Ok(())
    }

    /// Removes a member. Does nothing if the member has left already.
    pub(super) fn leave(&mut self, member: MemberId, reason: &DisconnectReason) {
        let Some(name) = self.members.remove(&member) else { return };
        let Some(room) = self.rooms.get_mut(&name) else { return };
        let Some(identity) = room.members.iter().find(|(_, m)| m.id == member).map(|(who, _)| who.clone())
        else {
            return;
        };
        let Some(gone) = room.members.remove(&identity) else { return };
        let tracks: Vec<String> = gone.participant.tracks.keys().cloned().collect();
        room.info.num_participants = room.info.num_participants.saturating_sub(1);
        let (people, spell, patience) = (room.people(), room.spell, room.departure_timeout);
        let is_agent = gone.participant.kind == ParticipantKind::Agent;
        self.log(ServerEvent::Left { room: name.clone(), identity: identity.clone(), reason: label(reason) });
        self.forget_choices(&name, tracks.iter());
        self.end_received_streams(member);
        self.end_calls_of(member);
        self.data_tracks.remove(member);
        self.own_tracks.remove(member);
        self.out
            .push_back(Output::Notify { member, event: RoomEvent::Disconnected { reason: reason.clone() } });
        if !gone.participant.permissions.hidden {
            let event = RoomEvent::ParticipantLeft { participant: gone.participant, reason: reason.clone() };
            self.notify_others(&name, Some(member), &event);
        }
        self.end_sent_streams(member);
        self.end_requests_to(member);
        if is_agent {
            self.agent_left(&name, &identity, *reason == DisconnectReason::ClientInitiated);
        } else if people == 0 {
            self.wake(Timer::Empty(name, spell), patience);
        }
    }

    pub(super) fn on_empty(&mut self, name: &str, spell: u64) {
        if self.rooms.get(name).is_some_and(|room| room.spell == spell && room.people() == 0) {
            let close = CloseRoom { room: name.to_owned(), reason: DisconnectReason::RoomClosed };
            // The room exists.
            let _ = self.close_room(close);
        }
    }

    pub(super) fn on_removal(&mut self, room: &str, member: MemberId) {
        if self.members.get(&member).is_some_and(|of| of == room) {
            self.leave(member, &DisconnectReason::Removed);
        }
    }

    /// The member with this identity.
    pub fn member_of(&self, room: &str, identity: &str) -> Option<MemberId> {
        self.rooms.get(room)?.members.get(identity).map(|member| member.id)
    }

    /// The participants of a room, including hidden ones; `None`: the room does not exist.
    pub fn participants(&self, room: &str) -> Option<Vec<Arc<Participant>>> {
        let room = self.rooms.get(room)?;
        Some(room.members.values().map(|member| member.participant.clone()).collect())
    }

    /// All open rooms.
    pub fn room_infos(&self) -> Vec<RoomInfo> {
        self.rooms.values().map(|room| room.info.clone()).collect()
    }

    pub(super) fn member(&self, member: MemberId) -> Option<(String, Arc<Participant>)> {
        let name = self.members.get(&member)?;
        let entry = self.rooms.get(name)?.members.values().find(|entry| entry.id == member)?;
        Some((name.clone(), entry.participant.clone()))
    }

    /// The member with this identity, to be changed.
    pub(super) fn member_mut(&mut self, room: &str, identity: &str) -> Option<&mut Member> {
        self.rooms.get_mut(room)?.members.get_mut(identity)
    }

    pub(super) fn notify_room(&mut self, room: &str, event: &RoomEvent) {
        self.notify_others(room, None, event);
    }

    /// Notifies everybody of a change of this participant: the others do not know of a hidden one.
    pub(super) fn notify_of(&mut self, room: &str, participant: &Participant, event: &RoomEvent) {
        if !participant.permissions.hidden {
            self.notify_room(room, event);
        } else if let Some(member) = self.member_of(room, &participant.identity) {
            self.out.push_back(Output::Notify { member, event: event.clone() });
        }
    }

    /// Notifies the others of a change of this participant, unless it is hidden.
    pub(super) fn notify_others_of(&mut self, room: &str, participant: &Participant, event: &RoomEvent) {
        if !participant.permissions.hidden {
            let member = self.member_of(room, &participant.identity);
            self.notify_others(room, member, event);
        }
    }

    /// Notifies the members that are subscribed to this track of a participant.
    pub(super) fn notify_receivers(
        &mut self,
        room: &str,
        publisher: &Participant,
        track: &Track,
        event: impl Fn() -> RoomEvent,
    ) {
        if publisher.permissions.hidden {
            return;
        }
        let Some(room) = self.rooms.get(room) else { return };
        let others = room.members.iter().filter(|(identity, _)| **identity != publisher.identity);
        let others = others.map(|(_, member)| member);
        for member in others.filter(|member| member.is_subscribed(track)) {
            self.out.push_back(Output::Notify { member: member.id, event: event() });
        }
    }

    pub(super) fn notify_others(&mut self, room: &str, but: Option<MemberId>, event: &RoomEvent) {
        let Some(room) = self.rooms.get(room) else { return };
        for member in room.members.values().filter(|member| Some(member.id) != but) {
            self.out.push_back(Output::Notify { member: member.id, event: event.clone() });
        }
    }
}

/// The protocol's name of a reason.
fn label(reason: &DisconnectReason) -> String {
    match reason {
        DisconnectReason::ClientInitiated => "CLIENT_INITIATED",
        DisconnectReason::DuplicateIdentity => "DUPLICATE_IDENTITY",
        DisconnectReason::Removed => "PARTICIPANT_REMOVED",
        DisconnectReason::RoomDeleted => "ROOM_DELETED",
        DisconnectReason::RoomClosed => "ROOM_CLOSED",
        DisconnectReason::SignalLost { .. } => "SIGNAL_CLOSE",
        _ => "UNKNOWN_REASON",
    }
    .to_owned()
}
