//! Data tracks of members: their publishers, and the members that get their frames.
//!
//! There is no network on which a frame could be lost: each one arrives at all who are subscribed.

use std::sync::Arc;

use agent_room::{
    CommandId, DataTrack, DataTrackFrame, DataTrackLimits, MAX_DATA_FRAME_LEN, RoomError, RoomEvent,
};

use super::Server;
use super::io::Output;
use super::request::MemberId;
use super::streams::{Sender, check_data_permission};

/// Maximum length of a name, in bytes.
const MAX_NAME_LEN: usize = 256;

impl Server {
    pub(super) fn publish_data_track(
        &mut self,
        sender: &Sender<'_>,
        id: CommandId,
        name: String,
    ) -> Result<(), RoomError> {
        if name.is_empty() || name.len() > MAX_NAME_LEN {
            return Err(RoomError::InvalidTrackName { len: name.len() });
        }
        check_data_permission(sender.participant)?;
        let tracks = &sender.participant.data_tracks;
        if tracks.values().any(|track| track.name == name) {
            return Err(RoomError::Refused { detail: format!("there is a data track of the name {name:?}") });
        }
        let limit = DataTrackLimits::default().published;
        if tracks.len() >= limit {
            return Err(RoomError::OverLimit { detail: format!("{limit} data tracks are published") });
        }
        let track = DataTrack::new(self.new_id("DTR_"), name);
        let member = self.member_mut(sender.room, &sender.participant.identity);
        let member = member.ok_or(RoomError::NotConnected)?;
        Arc::make_mut(&mut member.participant).data_tracks.insert(track.sid.clone(), track.clone());
        let participant = member.participant.clone();
        self.data_tracks.published.insert((sender.member, id), track.sid.clone());
        let event = RoomEvent::DataTrackPublished { participant: participant.clone(), track };
        self.notify_of(sender.room, &participant, &event);
        Ok(())
    }

    pub(super) fn push_data_frame(
        &mut self,
        sender: &Sender<'_>,
        track: CommandId,
        frame: &DataTrackFrame,
    ) -> Result<(), RoomError> {
        if frame.payload.len() > MAX_DATA_FRAME_LEN {
            return Err(RoomError::FrameTooLarge { len: frame.payload.len() });
        }
        check_data_permission(sender.participant)?;
        let sid = self.data_tracks.published.get(&(sender.member, track));
        let sid = sid.ok_or(RoomError::TrackUnpublished)?.clone();
        for member in self.data_tracks.receivers(&sid) {
            self.out.push_back(Output::DataFrame { member, sid: sid.clone(), frame: frame.clone() });
        }
        Ok(())
    }

    pub(super) fn unpublish_data_track(
        &mut self,
        sender: &Sender<'_>,
        track: CommandId,
    ) -> Result<(), RoomError> {
        let sid = self.data_tracks.published.remove(&(sender.member, track));
        let sid = sid.ok_or(RoomError::TrackUnpublished)?;
        self.data_tracks.subscribed.retain(|_, of| *of != sid);
        let member = self.member_mut(sender.room, &sender.participant.identity);
        let Some(member) = member else { return Ok(()) };
        let Some(track) = Arc::make_mut(&mut member.participant).data_tracks.remove(&sid) else {
            return Ok(());
        };
        let participant = member.participant.clone();
        let event = RoomEvent::DataTrackUnpublished { participant: participant.clone(), track };
        self.notify_of(sender.room, &participant, &event);
        Ok(())
    }

    pub(super) fn subscribe_data_track(
        &mut self,
        sender: &Sender<'_>,
        id: CommandId,
        sid: String,
    ) -> Result<(), RoomError> {
        if !sender.participant.permissions.can_subscribe {
            return Err(RoomError::NotAllowed { detail: "no permission to subscribe".to_owned() });
        }
        let others = self.rooms.get(sender.room).into_iter().flat_map(|room| room.members.values());
        let mut others =
            others.filter(|other| other.id != sender.member && !other.participant.permissions.hidden);
        if !others.any(|other| other.participant.data_tracks.contains_key(&sid)) {
            return Err(RoomError::TrackUnpublished);
        }
        self.data_tracks.subscribed.insert((sender.member, id), sid);
        Ok(())
    }

    pub(super) fn unsubscribe_data_track(&mut self, member: MemberId, subscription: CommandId) {
        self.data_tracks.subscribed.remove(&(member, subscription));
    }
}
