//! Why there is no PCM of a track.

use agent_media::{CodecError, FormatError};
use agent_room::RoomError;

use crate::TrackError;

/// Why PCM of a track cannot be read or sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// The track cannot be read.
    #[error(transparent)]
    Track(#[from] TrackError),
    /// The track cannot be published, or was ended.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// The codec refuses the format or the options.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The samples or their format are invalid.
    #[error(transparent)]
    Format(#[from] FormatError),
}
