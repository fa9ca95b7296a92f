//! The tracks that members publish themselves: the state of all rooms.

use std::collections::BTreeMap;

use agent_room::{CommandId, MediaFrame, VideoCodec};

use super::request::MemberId;

/// The tracks of all members.
#[derive(Default)]
pub(super) struct OwnTracks {
    /// By the command that published each.
    pub(super) tracks: BTreeMap<(MemberId, CommandId), OwnTrack>,
}

pub(super) struct OwnTrack {
    pub(super) sid: String,
    /// `None`: it is an audio track.
    pub(super) codec: Option<VideoCodec>,
    /// Number of frames that were sent.
    pub(super) sent: u64,
    /// Whether its publisher knows that somebody receives it.
    pub(super) subscribed: bool,
}

/// A frame on its way to those who receive it.
#[derive(Clone, Debug, PartialEq)]
pub struct RoutedFrame {
    /// The room.
    pub room: String,
    /// The publisher's identity.
    pub publisher: String,
    /// The track's sid.
    pub track_sid: String,
    /// The frame.
    pub frame: MediaFrame,
}

impl OwnTracks {
    /// A member is out of its room.
    pub(super) fn remove(&mut self, member: MemberId) {
        self.tracks.retain(|(publisher, _), _| *publisher != member);
    }

    pub(super) fn by_sid(&mut self, sid: &str) -> Option<(MemberId, CommandId, &mut OwnTrack)> {
        let found = self.tracks.iter_mut().find(|(_, track)| track.sid == sid);
        found.map(|((member, id), track)| (*member, *id, track))
    }
}
