//! Changes and messages in rooms, made by members or through the API, and which members are notified. Without
//! media.

use std::collections::BTreeMap;
use std::sync::Arc;

use agent_room::{
    DataReceived, DisconnectReason, MAX_CHANGE_LEN, MAX_PACKET_LEN, MAX_PAYLOAD_LEN, Participant,
    ParticipantKind, Publish, RoomCommand, RoomError, RoomEvent, RoomInfo, Track,
};

use super::Server;
use super::event::ServerEvent;
use super::io::Output;
use super::request::{
    Change, ChangeParticipant, MemberCommand, MemberId, MuteTrack, PublishTrack, Refusal, SetRoomMetadata,
    UnpublishTrack,
};
use super::sent::{Sent, SentFrame};
use super::streams::{Sender, check_data_permission};
use super::wire::filled;
use crate::api_call::text_of;

/// Default limits of a LiveKit server for a participant, in bytes.
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

    /// The part that exceeds the server's limits, in the real server's terms.
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

impl Server {
    pub(super) fn command(&mut self, request: MemberCommand) -> Result<(), RoomError> {
        let MemberCommand { member, id, command } = request;
        let Some((name, me)) = self.member(member) else { return Err(RoomError::NotConnected) };
        let sender = Sender { member, room: &name, participant: &me };
        let change = match command {
            RoomCommand::Publish(message) => {
                if message.payload.len() > MAX_PAYLOAD_LEN {
                    return Err(RoomError::PayloadTooLarge { len: message.payload.len() });
                }
                let addresses = message.destinations.iter().map(String::len).sum::<usize>();
                let len = message.payload.len() + message.topic.len() + addresses;
                if len > MAX_PACKET_LEN {
                    return Err(RoomError::PacketTooLarge { len, limit: MAX_PACKET_LEN });
                }
                check_data_permission(&me)?;
                // The room exists, as the member is in it.
                let _ = self.send_data(&name, Some(me.identity.clone()), message);
                return Ok(());
            }
            RoomCommand::SendDtmf { digit, destinations } => {
                let event = RoomEvent::dtmf(&me.identity, digit)?;
                check_data_permission(&me)?;
                let from = me.identity.clone();
                self.log(ServerEvent::Dtmf { room: name.clone(), from: from.clone(), digit });
                self.notify_addressed(&name, Some(&from), &destinations, &event);
                return Ok(());
            }
            RoomCommand::PublishDataTrack { name } => return self.publish_data_track(&sender, id, name),
            RoomCommand::PushDataFrame { track, frame } => {
                return self.push_data_frame(&sender, track, &frame);
            }
            RoomCommand::UnpublishDataTrack { track } => return self.unpublish_data_track(&sender, track),
            RoomCommand::SubscribeDataTrack { sid } => return self.subscribe_data_track(&sender, id, sid),
            RoomCommand::UnsubscribeDataTrack { subscription } => {
                self.unsubscribe_data_track(member, subscription);
                return Ok(());
            }
            RoomCommand::PublishTrack { options } => return self.publish_own_track(&sender, id, options),
            RoomCommand::UnpublishTrack { track } => return self.unpublish_own_track(&sender, track),
            RoomCommand::MuteTrack { track, muted } => return self.mute_own_track(&sender, track, muted),
            RoomCommand::ChangeSubscription { track_sid, change } => {
                return self.change_subscription(&sender, id, &track_sid, change);
            }
            // Frames of tests are what they are; nobody encodes them.
            RoomCommand::RequestKeyFrame { .. } => return Ok(()),
            // Keys are between participants, and those of tests send what they like.
            RoomCommand::SetE2eeKey { .. }
            | RoomCommand::UseE2eeKey { .. }
            | RoomCommand::RatchetE2eeKey { .. } => return Ok(()),
            RoomCommand::ResetSubscriptions { before } => {
                self.reset_subscriptions(&sender, before);
                return Ok(());
            }
            RoomCommand::SendStream { options, content } => {
                return self.send_stream(&sender, *options, content);
            }
            RoomCommand::OpenStream(options) => return self.open_stream(&sender, id, *options),
            RoomCommand::WriteStream { stream, content } => {
                return self.write_stream(&sender, stream, &content);
            }
            RoomCommand::CloseStream { stream, reason, attributes } => {
                return self.close_stream(&sender, stream, &reason, attributes);
            }
            RoomCommand::RegisterMethod(method) => {
                self.methods.entry(member).or_default().insert(method);
                return Ok(());
            }
            RoomCommand::UnregisterMethod(method) => {
                if let Some(methods) = self.methods.get_mut(&member) {
                    methods.remove(&method);
                }
                return Ok(());
            }
            RoomCommand::Respond { request, result } => return self.respond(member, &me, request, result),
            RoomCommand::Leave => {
                self.leave(member, &DisconnectReason::ClientInitiated);
                return Ok(());
            }
            RoomCommand::SetMetadata(metadata) => Change { metadata: filled(metadata), ..Change::default() },
            RoomCommand::SetName(new) => Change { name: filled(new), ..Change::default() },
            RoomCommand::SetAttributes(attributes) => Change { attributes, ..Change::default() },
        };
        if change.len() > MAX_CHANGE_LEN {
            return Err(RoomError::ChangeTooLarge { len: change.len() });
        }
        if !me.permissions.can_update_metadata {
            let detail = "does not have permission to update own metadata".to_owned();
            return Err(RoomError::NotAllowed { detail });
        }
        if let Some(what) = change.over_limit() {
            return Err(RoomError::OverLimit { detail: format!("exceeds {what} limit") });
        }
        let change = ChangeParticipant { room: name, identity: me.identity.clone(), change };
        // The participant exists.
        let _ = self.change(change);
        Ok(())
    }

    pub(super) fn change(&mut self, request: ChangeParticipant) -> Result<Arc<Participant>, Refusal> {
        let ChangeParticipant { room, identity, change } = request;
        let member = self.member_mut(&room, &identity);
        let member = member.ok_or(Refusal::PARTICIPANT)?;
        let me = Arc::make_mut(&mut member.participant);
        let could_subscribe = me.permissions.can_subscribe;
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
        if let Some(permissions) = change.permissions.filter(|new| *new != me.permissions) {
            me.permissions = permissions;
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
            self.notify_of(&room, &me, &event);
        }
        if me.permissions.can_subscribe != could_subscribe {
            self.may_subscribe(&room, &identity);
        }
        Ok(me)
    }

    pub(super) fn set_room_metadata(&mut self, request: SetRoomMetadata) -> Result<RoomInfo, Refusal> {
        let room = self.rooms.get_mut(&request.room).ok_or(Refusal::ROOM)?;
        room.info.metadata = request.metadata;
        let info = room.info.clone();
        self.notify_room(&request.room, &RoomEvent::RoomMetadataChanged(info.clone()));
        Ok(info)
    }

    /// Sends data to its destinations, or to everybody but the sender.
    pub(super) fn send_data(
        &mut self,
        room: &str,
        from: Option<String>,
        message: Publish,
    ) -> Result<(), Refusal> {
        if !self.rooms.contains_key(room) {
            return Err(Refusal::ROOM);
        }
        self.sent.push(room, Sent { at: self.now, sender: from.clone(), message: message.clone() });
        let mut data = DataReceived::new(message.topic, message.payload, from.clone());
        data.reliable = message.reliable;
        self.log(ServerEvent::Data {
            room: room.to_owned(),
            from: from.clone().unwrap_or_default(),
            topic: data.topic.clone(),
            len: data.payload.len(),
            text: text_of(&data.payload),
        });
        self.notify_addressed(room, from.as_deref(), &message.destinations, &RoomEvent::DataReceived(data));
        Ok(())
    }

    /// Notifies these members, or everybody if there are none, but not the sender.
    fn notify_addressed(&mut self, room: &str, from: Option<&str>, to: &[String], event: &RoomEvent) {
        for member in self.addressed(room, from, to) {
            self.out.push_back(Output::Notify { member, event: event.clone() });
        }
    }

    /// The members with these identities, or all if there are none, except the sender.
    pub(super) fn addressed(&self, room: &str, sender: Option<&str>, to: &[String]) -> Vec<MemberId> {
        let members = self.rooms.get(room).into_iter().flat_map(|room| &room.members);
        members
            .filter(|(who, _)| Some(who.as_str()) != sender && (to.is_empty() || to.contains(who)))
            .map(|(_, member)| member.id)
            .collect()
    }

    /// The kept frames of tracks of a room, also of a closed one.
    pub fn frames_in(&self, room: &str) -> Vec<SentFrame> {
        self.sent_frames.in_room(room)
    }

    /// The kept data messages of a room, also of a closed one.
    pub fn sent_in(&self, room: &str) -> Vec<Sent> {
        self.sent.in_room(room)
    }

    pub(super) fn publish_track(&mut self, request: PublishTrack) -> Result<Track, Refusal> {
        let PublishTrack { room, identity, name, kind, source } = request;
        let sid = self.new_id("TR_");
        let member = self.member_mut(&room, &identity);
        let member = member.ok_or(Refusal::PARTICIPANT)?;
        let mut track = Track::new(sid.clone(), kind);
        track.name = name;
        track.source = source;
        let me = Arc::make_mut(&mut member.participant);
        let first = me.tracks.is_empty();
        me.tracks.insert(sid, track.clone());
        let participant = member.participant.clone();
        let published = RoomEvent::TrackPublished { participant: participant.clone(), track: track.clone() };
        self.notify_others_of(&room, &participant, &published);
        self.notify_receivers(&room, &participant, &track, || RoomEvent::TrackSubscribed {
            participant: participant.clone(),
            track: track.clone(),
        });
        if first && participant.kind != ParticipantKind::Agent {
            self.dispatch_participant(&room, &participant, true);
        }
        Ok(track)
    }

    pub(super) fn unpublish_track(&mut self, request: UnpublishTrack) -> Result<(), Refusal> {
        let UnpublishTrack { room, identity, sid } = request;
        let member = self.member_mut(&room, &identity);
        let member = member.ok_or(Refusal::TRACK)?;
        let track = Arc::make_mut(&mut member.participant).tracks.remove(&sid).ok_or(Refusal::TRACK)?;
        let participant = member.participant.clone();
        self.notify_receivers(&room, &participant, &track, || RoomEvent::TrackUnsubscribed {
            track_sid: sid.clone(),
        });
        self.forget_choices(&room, [&sid].into_iter());
        self.own_track_gone(&participant, &track);
        let event = RoomEvent::TrackUnpublished { participant: participant.clone(), track };
        self.notify_others_of(&room, &participant, &event);
        Ok(())
    }

    pub(super) fn mute_track(&mut self, request: &MuteTrack) -> Result<Track, Refusal> {
        let MuteTrack { room, identity, sid, muted } = request;
        let member = self.member_mut(room, identity);
        let member = member.ok_or(Refusal::TRACK)?;
        let me = Arc::make_mut(&mut member.participant);
        let track = me.tracks.get_mut(sid).ok_or(Refusal::TRACK)?;
        let changed = std::mem::replace(&mut track.muted, *muted) != *muted;
        let (track, participant) = (track.clone(), member.participant.clone());
        if changed {
            self.report_own_track(sid);
            let heard = track.clone();
            let who = participant.clone();
            let event = match muted {
                true => RoomEvent::TrackMuted { participant, track: heard },
                false => RoomEvent::TrackUnmuted { participant, track: heard },
            };
            self.notify_of(room, &who, &event);
        }
        Ok(track)
    }
}

enum Kind {
    Metadata,
    Name,
    Attributes(BTreeMap<String, String>),
    Permissions,
}
