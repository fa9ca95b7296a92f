//! The tracks that members publish themselves, and the frames that they send. What a test publishes for
//! a participant is in `changes`.

use std::sync::Arc;

use agent_room::{
    CommandId, EncodedFrame, EncodedVideoFrame, MediaFrame, OutgoingMedia, RoomError, RoomEvent, TrackKind,
    TrackOptions,
};

use super::Server;
use super::io::Output;
use super::request::{MemberId, MuteTrack, PublishTrack, UnpublishTrack};
use super::sent::SentFrame;
use super::streams::Sender;
use super::tracks::{OwnTrack, RoutedFrame};

impl Server {
    pub(super) fn publish_own_track(
        &mut self,
        sender: &Sender<'_>,
        id: CommandId,
        options: TrackOptions,
    ) -> Result<(), RoomError> {
        options.check()?;
        sender.participant.permissions.check_publish(options.source())?;
        let codec = match &options {
            TrackOptions::Audio(_) => None,
            TrackOptions::Video(options) => Some(options.codec),
        };
        let publish = PublishTrack {
            room: sender.room.to_owned(),
            identity: sender.participant.identity.clone(),
            name: options.name().to_owned(),
            kind: if codec.is_some() { TrackKind::Video } else { TrackKind::Audio },
            source: options.source(),
        };
        let track = self.publish_track(publish)?;
        let own = OwnTrack { sid: track.sid.clone(), codec, sent: 0, subscribed: false };
        self.own_tracks.tracks.insert((sender.member, id), own);
        self.report_own_track(&track.sid);
        let Some((_, participant)) = self.member(sender.member) else { return Ok(()) };
        let event = RoomEvent::LocalTrackPublished { participant, track: track.clone() };
        self.out.push_back(Output::Notify { member: sender.member, event });
        if !self.receivers(sender.room, &sender.participant.identity, &track.sid).is_empty() {
            self.own_track_subscribed(&track.sid);
        }
        Ok(())
    }

    pub(super) fn unpublish_own_track(
        &mut self,
        sender: &Sender<'_>,
        track: CommandId,
    ) -> Result<(), RoomError> {
        let track = self.own_tracks.tracks.get(&(sender.member, track)).ok_or(RoomError::TrackUnpublished)?;
        let (room, identity) = (sender.room.to_owned(), sender.participant.identity.clone());
        Ok(self.unpublish_track(UnpublishTrack { room, identity, sid: track.sid.clone() })?)
    }

    pub(super) fn mute_own_track(
        &mut self,
        sender: &Sender<'_>,
        track: CommandId,
        muted: bool,
    ) -> Result<(), RoomError> {
        let track = self.own_tracks.tracks.get(&(sender.member, track)).ok_or(RoomError::TrackUnpublished)?;
        let (room, identity) = (sender.room.to_owned(), sender.participant.identity.clone());
        let mute = MuteTrack { room, identity, sid: track.sid.clone(), muted };
        self.mute_track(&mute)?;
        Ok(())
    }

    /// Reports the state of a track to the member that publishes it, if it does so itself.
    pub(super) fn report_own_track(&mut self, sid: &str) {
        let Some((member, id, _)) = self.own_tracks.by_sid(sid) else { return };
        let track = self.member(member).and_then(|(_, me)| me.tracks.get(sid).cloned());
        if let Some(track) = track {
            self.out.push_back(Output::LocalTrack { member, id, track: Some(track) });
        }
    }

    /// A track is not published any more. `participant`, its publisher, is notified if it published it
    /// itself.
    pub(super) fn own_track_gone(
        &mut self,
        participant: &Arc<agent_room::Participant>,
        track: &agent_room::Track,
    ) {
        let Some((member, id, _)) = self.own_tracks.by_sid(&track.sid) else { return };
        self.own_tracks.tracks.remove(&(member, id));
        self.out.push_back(Output::LocalTrack { member, id, track: None });
        let event =
            RoomEvent::LocalTrackUnpublished { participant: participant.clone(), track: track.clone() };
        self.out.push_back(Output::Notify { member, event });
    }

    /// Somebody receives a track.
    pub(super) fn own_track_subscribed(&mut self, sid: &str) {
        let Some((member, _, own)) = self.own_tracks.by_sid(sid) else { return };
        if std::mem::replace(&mut own.subscribed, true) {
            return;
        }
        let track = self.member(member).and_then(|(_, me)| me.tracks.get(sid).cloned());
        if let Some(track) = track {
            self.out.push_back(Output::Notify { member, event: RoomEvent::LocalTrackSubscribed { track } });
        }
    }

    /// Records a frame that a member sends on a track of its own, for those who receive it. `None`: the track
    /// is muted or not published.
    pub fn route_frame(
        &mut self,
        member: MemberId,
        track: CommandId,
        frame: OutgoingMedia,
    ) -> Option<RoutedFrame> {
        let (room, me) = self.member(member)?;
        let own = self.own_tracks.tracks.get_mut(&(member, track))?;
        let shown = me.tracks.get(&own.sid).filter(|shown| !shown.muted)?;
        let routed = own.frame(&frame);
        own.sent += 1;
        let sent = SentFrame { at: self.now, sender: me.identity.clone(), track: shown.clone(), frame };
        let track_sid = own.sid.clone();
        self.sent_frames.push(&room, sent);
        Some(RoutedFrame { room, publisher: me.identity.clone(), track_sid, frame: routed? })
    }
}

impl OwnTrack {
    /// A frame as others receive it. `None`: it is not a frame of this track.
    fn frame(&self, frame: &OutgoingMedia) -> Option<MediaFrame> {
        match (frame, self.codec) {
            (OutgoingMedia::Audio(frame), None) => {
                let mut routed = EncodedFrame::new(frame.payload.clone(), self.sent, frame.timestamp);
                routed.marker = frame.marker || self.sent == 0;
                Some(routed.into())
            }
            // Of several layers others receive the first.
            (OutgoingMedia::Video(frame), Some(codec)) if frame.layer == 0 => {
                Some(EncodedVideoFrame::new(codec, frame.payload.clone(), frame.timestamp).into())
            }
            _ => None,
        }
    }
}
