//! Why the frames of a track cannot be read.

use agent_proto::text::name;
use agent_room::{RoomError, TrackKind};

/// Why the frames of a track cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrackError {
    /// No other participant in the room publishes a track with this sid.
    #[error(
        "no participant publishes the track {}: take its sid from an event (`TrackPublished`, `TrackSubscribed`, `DataTrackPublished`) or from `Participant::tracks` and `data_tracks`",
        name(sid)
    )]
    NotPublished {
        /// The sid.
        sid: String,
    },
    /// The track is not audio.
    #[error(
        "the track {} is {kind:?}, and not audio: video is read with `encoded_video`, data with `data_track`",
        name(sid)
    )]
    NotAudio {
        /// Its sid.
        sid: String,
        /// What it is.
        kind: TrackKind,
    },
    /// The track is not video.
    #[error(
        "the track {} is {kind:?}, and not video: audio is read with `audio` or `encoded_audio`",
        name(sid)
    )]
    NotVideo {
        /// Its sid.
        sid: String,
        /// What it is.
        kind: TrackKind,
    },
    /// There is a stream of this track.
    #[error("the track {} is being read: drop its stream first, or share the frames of the one", name(sid))]
    AlreadyRead {
        /// Its sid.
        sid: String,
    },
    /// The room or the attempt is over.
    #[error(transparent)]
    Room(#[from] RoomError),
}

impl TrackError {
    /// The track is of another kind than it is read as.
    pub(super) fn wrong_kind(sid: String, kind: TrackKind, read_as: TrackKind) -> Self {
        match read_as {
            TrackKind::Video => Self::NotVideo { sid, kind },
            _ => Self::NotAudio { sid, kind },
        }
    }
}
