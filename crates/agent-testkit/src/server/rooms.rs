//! Rooms: who is where, and what the members hear of each other. Without media.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use agent_core::Time;
use agent_worker::{
    Connected, DataReceived, DisconnectReason, MAX_PAYLOAD_LEN, Participant, ParticipantKind, Publish,
    RoomCommand, RoomError, RoomEvent, RoomInfo, Speaker, Track, TrackKind, TrackSource,
};

use super::dispatches::DispatchEntry;
use super::io::{Grant, MemberId, Output, ServerEvent};
use super::{Server, Timer};

/// Data messages of a room that are kept for tests to look at; older ones go first.
const MAX_KEPT: usize = 10_000;

/// A room that is open.
pub(super) struct RoomEntry {
    pub(super) info: RoomInfo,
    /// By identity.
    pub(super) members: BTreeMap<String, Member>,
    pub(super) dispatches: BTreeMap<String, DispatchEntry>,
    pub(super) empty_timeout: Duration,
    pub(super) departure_timeout: Duration,
    /// Counts the times without people, so that a timer of an earlier one does nothing.
    spell: u64,
    pub(super) sent: VecDeque<Sent>,
}

/// One stay of one participant.
pub(super) struct Member {
    pub(super) id: MemberId,
    pub(super) participant: Arc<Participant>,
}

/// A data message that went through a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// Since the server was made.
    pub(crate) at: Time,
    /// `None`: through the server's API.
    pub(crate) from: Option<String>,
    pub(crate) message: Publish,
}

/// What a room is made with; what is not given is as the server's rules say.
#[derive(Clone, Debug, Default)]
pub(crate) struct RoomSettings {
    pub(crate) name: String,
    pub(crate) metadata: String,
    pub(crate) empty_timeout: Option<Duration>,
    pub(crate) departure_timeout: Option<Duration>,
    /// Names and metadata of agents that it starts with.
    pub(crate) agents: Vec<(String, String)>,
}

/// Somebody who is in, and what there was before.
pub(crate) struct NewMember {
    pub(crate) id: MemberId,
    pub(crate) connected: Connected,
}

/// What is to change of a participant. `None` leaves a thing as it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Change {
    pub(crate) name: Option<String>,
    pub(crate) metadata: Option<String>,
    /// An empty value removes its key.
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) can_publish: Option<bool>,
}

/// A track without media.
#[derive(Clone, Debug)]
pub(crate) struct TrackSpec {
    pub(crate) name: String,
    pub(crate) kind: TrackKind,
    pub(crate) source: TrackSource,
}

impl RoomEntry {
    fn people(&self) -> usize {
        self.members.values().filter(|member| member.participant.kind != ParticipantKind::Agent).count()
    }
}

impl Server {
    /// The room of this name; made if there is none.
    pub(crate) fn open_room(&mut self, settings: RoomSettings) -> RoomInfo {
        if let Some(room) = self.rooms.get(&settings.name) {
            return room.info.clone();
        }
        let name = settings.name;
        let mut info = RoomInfo::new(self.new_id("RM_"), name.clone());
        info.metadata = settings.metadata;
        info.created_at_ms = self.wall_ns() / 1_000_000;
        let room = RoomEntry {
            info: info.clone(),
            members: BTreeMap::new(),
            dispatches: BTreeMap::new(),
            empty_timeout: settings.empty_timeout.unwrap_or(self.rules.empty_timeout),
            departure_timeout: settings.departure_timeout.unwrap_or(self.rules.departure_timeout),
            spell: 0,
            sent: VecDeque::new(),
        };
        let patience = room.empty_timeout;
        self.rooms.insert(name.clone(), room);
        self.wake(Timer::Empty(name.clone(), 0), patience);
        self.dispatch_initial(&name, settings.agents);
        info
    }

    /// Closes a room; everybody in it is out. `false`: there was none.
    pub(crate) fn close_room(&mut self, name: &str, reason: &DisconnectReason) -> bool {
        let Some(room) = self.rooms.get(name) else { return false };
        let everybody: Vec<MemberId> = room.members.values().map(|member| member.id).collect();
        for member in everybody {
            self.leave(member, reason);
        }
        if let Some(room) = self.rooms.remove(name) {
            self.keep(name, room.sent);
        }
        self.log(ServerEvent::RoomClosed { room: name.to_owned() });
        true
    }

    /// Lets somebody in. Whoever was there with this identity is out.
    pub(crate) fn join(&mut self, grant: Grant) -> Result<NewMember, &'static str> {
        if grant.identity.is_empty() || grant.identity.len() > 256 {
            return Err("the identity is empty or longer than 256 bytes");
        }
        if grant.room.is_empty() {
            return Err("the token names no room");
        }
        self.open_room(RoomSettings { name: grant.room.clone(), ..RoomSettings::default() });
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
        self.ids += 1;
        let id = self.ids;
        let Some(room) = self.rooms.get_mut(&grant.room) else { return Err("the room is closed") };
        let mut connected = Connected::new(room.info.clone(), Participant::clone(&me));
        connected.participants = room
            .members
            .values()
            .filter(|m| !m.participant.permissions.hidden)
            .map(|m| m.participant.clone())
            .collect();
        connected.server_version = super::workers::SERVER_VERSION.to_owned();
        room.members.insert(grant.identity.clone(), Member { id, participant: me.clone() });
        room.info.num_participants += 1;
        if me.kind != ParticipantKind::Agent {
            room.spell += 1;
        }
        self.members.insert(id, grant.room.clone());
        self.log(ServerEvent::Joined {
            room: grant.room.clone(),
            identity: grant.identity,
            agent: me.kind == ParticipantKind::Agent,
        });
        if !me.permissions.hidden {
            self.tell_others(&grant.room, id, &RoomEvent::ParticipantJoined(me.clone()));
            self.tell_others(&grant.room, id, &RoomEvent::ParticipantActive(me.clone()));
        }
        if me.kind != ParticipantKind::Agent {
            self.dispatch_participant(&grant.room, &me, false);
        }
        Ok(NewMember { id, connected })
    }

    /// Somebody is out. Nothing happens if it was out already.
    pub(crate) fn leave(&mut self, member: MemberId, reason: &DisconnectReason) {
        let Some(name) = self.members.remove(&member) else { return };
        let Some(room) = self.rooms.get_mut(&name) else { return };
        let Some(identity) = room.members.iter().find(|(_, m)| m.id == member).map(|(who, _)| who.clone())
        else {
            return;
        };
        let Some(gone) = room.members.remove(&identity) else { return };
        room.info.num_participants = room.info.num_participants.saturating_sub(1);
        let (people, spell, patience) = (room.people(), room.spell, room.departure_timeout);
        let is_agent = gone.participant.kind == ParticipantKind::Agent;
        self.log(ServerEvent::Left { room: name.clone(), identity: identity.clone(), reason: word(reason) });
        self.out
            .push_back(Output::Tell { member, event: RoomEvent::Disconnected { reason: reason.clone() } });
        if !gone.participant.permissions.hidden {
            let event = RoomEvent::ParticipantLeft { participant: gone.participant, reason: reason.clone() };
            self.tell_others(&name, member, &event);
        }
        if is_agent {
            self.agent_left(&name, &identity, *reason == DisconnectReason::ClientInitiated);
        } else if people == 0 {
            self.wake(Timer::Empty(name, spell), patience);
        }
    }

    pub(super) fn on_empty(&mut self, name: &str, spell: u64) {
        if self.rooms.get(name).is_some_and(|room| room.spell == spell && room.people() == 0) {
            self.close_room(name, &DisconnectReason::RoomClosed);
        }
    }

    pub(super) fn on_removal(&mut self, room: &str, member: MemberId) {
        if self.members.get(&member).is_some_and(|of| of == room) {
            self.leave(member, &DisconnectReason::Removed);
        }
    }

    /// What a member asks for.
    pub(crate) fn command(&mut self, member: MemberId, command: RoomCommand) -> Result<(), RoomError> {
        let Some((name, me)) = self.member(member) else { return Err(RoomError::NotConnected) };
        let not_allowed =
            |what: &str| Err(RoomError::NotAllowed { detail: format!("no permission to {what}") });
        let change = match command {
            RoomCommand::Publish(message) => {
                if message.payload.len() > MAX_PAYLOAD_LEN {
                    return Err(RoomError::PayloadTooLarge { len: message.payload.len() });
                }
                if !me.permissions.can_publish_data {
                    return not_allowed("publish data");
                }
                self.send_data(&name, Some(me.identity.clone()), message);
                return Ok(());
            }
            RoomCommand::Leave => {
                self.leave(member, &DisconnectReason::ClientInitiated);
                return Ok(());
            }
            RoomCommand::SetMetadata(metadata) => Change { metadata: filled(metadata), ..Change::default() },
            RoomCommand::SetName(new) => Change { name: filled(new), ..Change::default() },
            RoomCommand::SetAttributes(attributes) => Change { attributes, ..Change::default() },
            _ => {
                return Err(RoomError::Refused { detail: "the mock room does not know this command".into() });
            }
        };
        if !me.permissions.can_update_metadata {
            return not_allowed("update own metadata");
        }
        self.change(&name, &me.identity, change);
        Ok(())
    }

    /// Changes a participant, and tells everybody, itself included. `false`: there is none.
    pub(crate) fn change(&mut self, room: &str, identity: &str, change: Change) -> bool {
        let Some(member) = self.rooms.get_mut(room).and_then(|room| room.members.get_mut(identity)) else {
            return false;
        };
        let me = Arc::make_mut(&mut member.participant);
        let mut kinds = Vec::new();
        if let Some(metadata) = change.metadata.filter(|new| *new != me.metadata) {
            me.metadata = metadata;
            kinds.push(Kind::Metadata);
        }
        if let Some(name) = change.name.filter(|new| *new != me.name) {
            me.name = name;
            kinds.push(Kind::Name);
        }
        let mut changed = BTreeMap::new();
        for (key, value) in change.attributes {
            let before = if value.is_empty() {
                me.attributes.remove(&key)
            } else {
                me.attributes.insert(key.clone(), value.clone())
            };
            if before.unwrap_or_default() != value {
                changed.insert(key, value);
            }
        }
        if !changed.is_empty() {
            kinds.push(Kind::Attributes(changed));
        }
        if let Some(can_publish) = change.can_publish.filter(|can| *can != me.permissions.can_publish) {
            me.permissions.can_publish = can_publish;
            kinds.push(Kind::Permissions);
        }
        let me = member.participant.clone();
        for kind in kinds {
            let event = match kind {
                Kind::Metadata => RoomEvent::MetadataChanged(me.clone()),
                Kind::Name => RoomEvent::NameChanged(me.clone()),
                Kind::Attributes(changed) => {
                    RoomEvent::AttributesChanged { participant: me.clone(), changed }
                }
                Kind::Permissions => RoomEvent::PermissionsChanged(me.clone()),
            };
            self.tell(room, &event);
        }
        true
    }

    /// Changes the room's own metadata. `None`: there is no such room.
    pub(crate) fn set_room_metadata(&mut self, name: &str, metadata: String) -> Option<RoomInfo> {
        let room = self.rooms.get_mut(name)?;
        room.info.metadata = metadata;
        let info = room.info.clone();
        self.tell(name, &RoomEvent::RoomMetadataChanged(info.clone()));
        Some(info)
    }

    /// Sends data to its destinations, or to everybody but the sender. `false`: there is no such room.
    pub(crate) fn send_data(&mut self, room: &str, from: Option<String>, message: Publish) -> bool {
        let Some(entry) = self.rooms.get_mut(room) else { return false };
        if entry.sent.len() == MAX_KEPT {
            entry.sent.pop_front();
        }
        entry.sent.push_back(Sent { at: self.now, from: from.clone(), message: message.clone() });
        let mut data = DataReceived::new(message.topic, message.payload, from.clone());
        data.reliable = message.reliable;
        let to = message.destinations;
        let addressed =
            |identity: &String| Some(identity) != from.as_ref() && (to.is_empty() || to.contains(identity));
        let members: Vec<MemberId> =
            entry.members.iter().filter(|(who, _)| addressed(who)).map(|(_, member)| member.id).collect();
        self.log(ServerEvent::Data {
            room: room.to_owned(),
            from: from.unwrap_or_default(),
            topic: data.topic.clone(),
            len: data.payload.len(),
        });
        for member in members {
            self.out.push_back(Output::Tell { member, event: RoomEvent::DataReceived(data.clone()) });
        }
        true
    }

    /// Who speaks now, and how loud.
    pub(crate) fn speak(&mut self, room: &str, speakers: Vec<Speaker>) {
        self.tell(room, &RoomEvent::SpeakersChanged(speakers));
    }

    /// Publishes a track; gives its sid, or `None` if there is no such participant.
    pub(crate) fn publish_track(&mut self, room: &str, identity: &str, spec: TrackSpec) -> Option<String> {
        let sid = self.new_id("TR_");
        let member = self.rooms.get_mut(room)?.members.get_mut(identity)?;
        let mut track = Track::new(sid.clone(), spec.kind);
        track.name = spec.name;
        track.source = spec.source;
        let me = Arc::make_mut(&mut member.participant);
        let first = me.tracks.is_empty();
        me.tracks.insert(sid.clone(), track.clone());
        let (id, participant) = (member.id, member.participant.clone());
        self.tell_others(
            room,
            id,
            &RoomEvent::TrackPublished { participant: participant.clone(), track: track.clone() },
        );
        self.tell_others(room, id, &RoomEvent::TrackSubscribed { participant: participant.clone(), track });
        if first && participant.kind != ParticipantKind::Agent {
            self.dispatch_participant(room, &participant, true);
        }
        Some(sid)
    }

    /// Takes a track back. `false`: there is none.
    pub(crate) fn unpublish_track(&mut self, room: &str, identity: &str, sid: &str) -> bool {
        let member = self.rooms.get_mut(room).and_then(|room| room.members.get_mut(identity));
        let Some(member) = member else { return false };
        let Some(track) = Arc::make_mut(&mut member.participant).tracks.remove(sid) else { return false };
        let (id, participant) = (member.id, member.participant.clone());
        self.tell_others(room, id, &RoomEvent::TrackUnsubscribed { track_sid: sid.to_owned() });
        self.tell_others(room, id, &RoomEvent::TrackUnpublished { participant, track });
        true
    }

    /// Mutes or unmutes a track. `false`: there is none.
    pub(crate) fn mute_track(&mut self, room: &str, identity: &str, sid: &str, muted: bool) -> bool {
        let member = self.rooms.get_mut(room).and_then(|room| room.members.get_mut(identity));
        let Some(member) = member else { return false };
        let Some(track) = Arc::make_mut(&mut member.participant).tracks.get_mut(sid) else { return false };
        if std::mem::replace(&mut track.muted, muted) != muted {
            let (track, participant) = (track.clone(), member.participant.clone());
            self.tell(
                room,
                &match muted {
                    true => RoomEvent::TrackMuted { participant, track },
                    false => RoomEvent::TrackUnmuted { participant, track },
                },
            );
        }
        true
    }

    /// The member with this identity.
    pub(crate) fn member_of(&self, room: &str, identity: &str) -> Option<MemberId> {
        self.rooms.get(room)?.members.get(identity).map(|member| member.id)
    }

    /// Who is in a room, hidden ones too; `None`: there is no such room.
    pub(crate) fn participants(&self, room: &str) -> Option<Vec<Arc<Participant>>> {
        let room = self.rooms.get(room)?;
        Some(room.members.values().map(|member| member.participant.clone()).collect())
    }

    /// All open rooms.
    pub(crate) fn room_infos(&self) -> Vec<RoomInfo> {
        self.rooms.values().map(|room| room.info.clone()).collect()
    }

    /// The data messages of a room, also of one that is closed.
    pub(crate) fn sent_in(&self, room: &str) -> Vec<Sent> {
        let kept = self.kept.get(room).into_iter().flatten();
        let open = self.rooms.get(room).into_iter().flat_map(|room| &room.sent);
        kept.chain(open).cloned().collect()
    }

    fn keep(&mut self, room: &str, sent: VecDeque<Sent>) {
        let kept = self.kept.entry(room.to_owned()).or_default();
        kept.extend(sent);
        kept.drain(..kept.len().saturating_sub(MAX_KEPT));
    }

    fn member(&self, member: MemberId) -> Option<(String, Arc<Participant>)> {
        let name = self.members.get(&member)?;
        let entry = self.rooms.get(name)?.members.values().find(|entry| entry.id == member)?;
        Some((name.clone(), entry.participant.clone()))
    }

    fn tell(&mut self, room: &str, event: &RoomEvent) {
        self.tell_others(room, 0, event);
    }

    fn tell_others(&mut self, room: &str, but: MemberId, event: &RoomEvent) {
        let Some(room) = self.rooms.get(room) else { return };
        for member in room.members.values().filter(|member| member.id != but) {
            self.out.push_back(Output::Tell { member: member.id, event: event.clone() });
        }
    }
}

enum Kind {
    Metadata,
    Name,
    Attributes(BTreeMap<String, String>),
    Permissions,
}

/// The protocol cannot clear these: an empty one changes nothing.
pub(crate) fn filled(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// The protocol's word for a reason.
fn word(reason: &DisconnectReason) -> String {
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
