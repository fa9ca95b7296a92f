//! What changes in a room and what is said in it, by its members and by the server's API, and who hears of it. Without media.

use std::collections::BTreeMap;
use std::sync::Arc;

use agent_proto::text::shorten;
use agent_room::{
    Command, CommandError, DataReceived, DisconnectReason, MAX_CHANGE_LEN, MAX_PACKET_LEN, MAX_PAYLOAD_LEN,
    ParticipantKind, Publish, RoomEvent, RoomInfo, Speaker, Track, TrackKind, TrackSource,
};

use super::Server;
use super::io::{MemberId, Output, ServerEvent};
use super::sent::Sent;

/// What is to change of a participant. `None` leaves a thing as it is.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The name that people see.
    pub name: Option<String>,
    /// Its metadata.
    pub metadata: Option<String>,
    /// An empty value removes its key.
    pub attributes: BTreeMap<String, String>,
    /// Whether it may publish tracks.
    pub can_publish: Option<bool>,
}

/// What a server takes of a participant unless it is configured otherwise, in bytes.
const MAX_METADATA: usize = 512 * 1024;
const MAX_ATTRIBUTES: usize = 64 * 1024;
const MAX_NAME: usize = 256;

impl Change {
    fn attributes_len(&self) -> usize {
        self.attributes.iter().map(|(key, value)| key.len() + value.len()).sum()
    }

    fn len(&self) -> usize {
        let len = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        len(&self.name) + len(&self.metadata) + self.attributes_len()
    }

    /// What of it is longer than a server takes, in the real one's words.
    fn over_limit(&self) -> Option<&'static str> {
        let over = |text: &Option<String>, limit| text.as_ref().is_some_and(|text| text.len() > limit);
        if over(&self.name, MAX_NAME) {
            Some("name length")
        } else if over(&self.metadata, MAX_METADATA) {
            Some("metadata size")
        } else if self.attributes_len() > MAX_ATTRIBUTES {
            Some("attributes size")
        } else {
            None
        }
    }
}

/// A track without media.
#[derive(Clone, Debug)]
pub struct TrackSpec {
    /// Its name.
    pub name: String,
    /// Audio, video or data.
    pub kind: TrackKind,
    /// Where it comes from.
    pub source: TrackSource,
}

impl Server {
    /// What a member asks for.
    pub fn command(&mut self, member: MemberId, command: Command) -> Result<(), CommandError> {
        let Some((name, me)) = self.member(member) else { return Err(CommandError::NotConnected) };
        let not_allowed = |detail: &str| Err(CommandError::NotAllowed { detail: detail.to_owned() });
        let change = match command {
            Command::Publish(message) => {
                if message.payload.len() > MAX_PAYLOAD_LEN {
                    return Err(CommandError::PayloadTooLarge { len: message.payload.len() });
                }
                let addresses = message.destinations.iter().map(String::len).sum::<usize>();
                let len = message.payload.len() + message.topic.len() + addresses;
                if len > MAX_PACKET_LEN {
                    return Err(CommandError::PacketTooLarge { len, limit: MAX_PACKET_LEN });
                }
                if !me.permissions.can_publish_data {
                    return not_allowed("no permission to publish data");
                }
                self.send_data(&name, Some(me.identity.clone()), message);
                return Ok(());
            }
            Command::Leave => {
                self.leave(member, &DisconnectReason::ClientInitiated);
                return Ok(());
            }
            Command::SetMetadata(metadata) => Change { metadata: filled(metadata), ..Change::default() },
            Command::SetName(new) => Change { name: filled(new), ..Change::default() },
            Command::SetAttributes(attributes) => Change { attributes, ..Change::default() },
        };
        if change.len() > MAX_CHANGE_LEN {
            return Err(CommandError::ChangeTooLarge { len: change.len() });
        }
        if !me.permissions.can_update_metadata {
            return not_allowed("does not have permission to update own metadata");
        }
        if let Some(what) = change.over_limit() {
            return Err(CommandError::OverLimit { detail: format!("exceeds {what} limit") });
        }
        self.change(&name, &me.identity, change);
        Ok(())
    }

    /// Changes a participant, and tells everybody, itself included. `false`: there is none.
    pub fn change(&mut self, room: &str, identity: &str, change: Change) -> bool {
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
    pub fn set_room_metadata(&mut self, name: &str, metadata: String) -> Option<RoomInfo> {
        let room = self.rooms.get_mut(name)?;
        room.info.metadata = metadata;
        let info = room.info.clone();
        self.tell(name, &RoomEvent::RoomMetadataChanged(info.clone()));
        Some(info)
    }

    /// Sends data to its destinations, or to everybody but the sender. `false`: there is no such room.
    pub fn send_data(&mut self, room: &str, from: Option<String>, message: Publish) -> bool {
        let Some(entry) = self.rooms.get(room) else { return false };
        self.sent.push(room, Sent { at: self.now, from: from.clone(), message: message.clone() });
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
            text: text_of(&data.payload),
        });
        for member in members {
            self.out.push_back(Output::Tell { member, event: RoomEvent::DataReceived(data.clone()) });
        }
        true
    }

    /// The data messages of a room that are kept, also of one that is closed.
    pub fn sent_in(&self, room: &str) -> Vec<Sent> {
        self.sent.in_room(room)
    }

    /// Who speaks now, and how loud.
    pub fn speak(&mut self, room: &str, speakers: Vec<Speaker>) {
        self.tell(room, &RoomEvent::SpeakersChanged(speakers));
    }

    /// Publishes a track; gives its sid, or `None` if there is no such participant.
    pub fn publish_track(&mut self, room: &str, identity: &str, spec: TrackSpec) -> Option<String> {
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
    pub fn unpublish_track(&mut self, room: &str, identity: &str, sid: &str) -> bool {
        let member = self.rooms.get_mut(room).and_then(|room| room.members.get_mut(identity));
        let Some(member) = member else { return false };
        let Some(track) = Arc::make_mut(&mut member.participant).tracks.remove(sid) else { return false };
        let (id, participant) = (member.id, member.participant.clone());
        self.tell_others(room, id, &RoomEvent::TrackUnsubscribed { track_sid: sid.to_owned() });
        self.tell_others(room, id, &RoomEvent::TrackUnpublished { participant, track });
        true
    }

    /// Mutes or unmutes a track. `false`: there is none.
    pub fn mute_track(&mut self, room: &str, identity: &str, sid: &str, muted: bool) -> bool {
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

/// The start of a payload, for people to read. No more of it is looked at than can be shown.
fn text_of(payload: &[u8]) -> String {
    const SHOWN: usize = 100;
    let start = payload.get(..SHOWN * 4).unwrap_or(payload);
    shorten(&String::from_utf8_lossy(start), SHOWN)
}
