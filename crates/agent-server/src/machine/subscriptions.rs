//! Which members are sent which tracks.

use std::sync::Arc;

use agent_room::{
    CommandId, Participant, RoomError, RoomEvent, SubscriptionChange, SubscriptionChoice, Track,
};

use super::Server;
use super::entries::Member;
use super::event::ServerEvent;
use super::io::Output;
use super::request::MemberId;
use super::streams::Sender;

/// What a member is sent of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sent {
    subscribed: bool,
    enabled: bool,
}

impl Sent {
    fn of(member: &Member, track: &Track) -> Self {
        Self { subscribed: member.is_subscribed(track), enabled: member.is_enabled(&track.sid) }
    }
}

impl Server {
    pub(super) fn change_subscription(
        &mut self,
        sender: &Sender<'_>,
        id: CommandId,
        track_sid: &str,
        change: SubscriptionChange,
    ) -> Result<(), RoomError> {
        let Sender { room, participant: me, .. } = *sender;
        let Some(track) = self.track_of_others(room, &me.identity, track_sid) else {
            return match change {
                SubscriptionChange::StopReading(_) => Ok(()),
                _ => Err(RoomError::TrackNotFound { sid: track_sid.to_owned() }),
            };
        };
        if change == SubscriptionChange::Subscribe(true) && !me.permissions.can_subscribe {
            let detail = "no permission to subscribe to tracks".to_owned();
            return Err(RoomError::NotAllowed { detail });
        }
        self.choose(sender, track, |choice| choice.apply(id, change));
        Ok(())
    }

    pub(super) fn reset_subscriptions(&mut self, sender: &Sender<'_>, before: CommandId) {
        let Sender { room, participant: me, .. } = *sender;
        let member = self.rooms.get(room).and_then(|room| room.members.get(&me.identity));
        let sids: Vec<String> = member.map(|m| m.choices.keys().cloned().collect()).unwrap_or_default();
        for sid in sids {
            if let Some(track) = self.track_of_others(room, &me.identity, &sid) {
                self.choose(sender, track, |choice| choice.reset(before));
            }
        }
    }

    /// Changes what a member has chosen of a track, and notifies it of the result.
    fn choose(
        &mut self,
        sender: &Sender<'_>,
        (participant, track): (Arc<Participant>, Track),
        change: impl FnOnce(&mut SubscriptionChoice),
    ) {
        let Sender { room, participant: me, member: id } = *sender;
        let member = self.member_mut(room, &me.identity);
        let Some(member) = member else { return };
        let before = Sent::of(member, &track);
        let choice = member.choices.entry(track.sid.clone()).or_default();
        change(choice);
        if choice.is_default() {
            member.choices.remove(&track.sid);
        }
        let now = Sent::of(member, &track);
        if before == now {
            return;
        }
        self.log(ServerEvent::SubscriptionChanged {
            room: room.to_owned(),
            identity: me.identity.clone(),
            track_sid: track.sid.clone(),
            subscribed: now.subscribed,
            enabled: now.enabled,
        });
        let event = match (before.subscribed, now.subscribed) {
            (false, true) => RoomEvent::TrackSubscribed { participant, track },
            (true, false) => RoomEvent::TrackUnsubscribed { track_sid: track.sid },
            (true, true) | (false, false) => return,
        };
        self.out.push_back(Output::Notify { member: id, event });
    }

    /// A member may subscribe from now on, or no longer: it is sent the tracks that it has chosen, or none.
    pub(super) fn may_subscribe(&mut self, room: &str, identity: &str) {
        let Some(entry) = self.rooms.get(room) else { return };
        let Some(member) = entry.members.get(identity) else { return };
        let (id, may) = (member.id, member.participant.permissions.can_subscribe);
        let others = entry
            .members
            .iter()
            .filter(|(who, other)| **who != identity && !other.participant.permissions.hidden);
        let tracks = others.flat_map(|(_, other)| {
            other.participant.tracks.values().map(|track| (other.participant.clone(), track.clone()))
        });
        let wanted: Vec<_> = tracks.filter(|(_, track)| member.is_wanted(track)).collect();
        for (participant, track) in wanted {
            let sid = track.sid.clone();
            let event = match may {
                true => RoomEvent::TrackSubscribed { participant, track },
                false => RoomEvent::TrackUnsubscribed { track_sid: track.sid },
            };
            self.out.push_back(Output::Notify { member: id, event });
            if may {
                self.own_track_subscribed(&sid);
            }
        }
    }

    /// A track of a participant other than this one, and its publisher.
    fn track_of_others(
        &self,
        room: &str,
        identity: &str,
        track_sid: &str,
    ) -> Option<(Arc<Participant>, Track)> {
        let mut others = self
            .rooms
            .get(room)?
            .members
            .iter()
            .filter(|(who, other)| *who != identity && !other.participant.permissions.hidden);
        others.find_map(|(_, member)| {
            Some((member.participant.clone(), member.participant.tracks.get(track_sid)?.clone()))
        })
    }

    /// What members have chosen for these tracks ends with the tracks.
    pub(super) fn forget_choices<'a>(&mut self, room: &str, track_sids: impl Iterator<Item = &'a String>) {
        let Some(room) = self.rooms.get_mut(room) else { return };
        for sid in track_sids {
            room.members.values_mut().for_each(|member| {
                member.choices.remove(sid);
            });
        }
    }

    /// The stays to which the frames of a track go; none while it is muted, or if this participant does not
    /// publish it.
    pub fn receivers(&self, room: &str, publisher: &str, track_sid: &str) -> Vec<MemberId> {
        let subscribed = self.subscribed(room, publisher, track_sid);
        let receiving = subscribed.filter(|(_, member, track)| !track.muted && member.is_enabled(&track.sid));
        receiving.map(|(_, member, _)| member.id).collect()
    }

    /// The identities of those who are subscribed to a track of this participant, and whether each has it
    /// enabled.
    pub fn subscribers(&self, room: &str, publisher: &str, track_sid: &str) -> Vec<(String, bool)> {
        let subscribed = self.subscribed(room, publisher, track_sid);
        subscribed.map(|(who, member, track)| (who.clone(), member.is_enabled(&track.sid))).collect()
    }

    fn subscribed<'a>(
        &'a self,
        room: &str,
        publisher: &'a str,
        track_sid: &str,
    ) -> impl Iterator<Item = (&'a String, &'a Member, &'a Track)> {
        let members = self.rooms.get(room).map(|room| &room.members);
        let publishing = members.and_then(|all| all.get(publisher));
        // The others do not know of a hidden participant.
        let publishing = publishing.filter(|member| !member.participant.permissions.hidden);
        let track = publishing.and_then(|member| member.participant.tracks.get(track_sid));
        let others = members.into_iter().flatten().filter(move |(identity, _)| *identity != publisher);
        let sent = others.filter_map(move |(identity, member)| Some((identity, member, track?)));
        sent.filter(|(_, member, track)| member.is_subscribed(track))
    }
}
