//! A published data track, in a type of our own.

use agent_proto::livekit as proto;

/// A published data track: frames of bytes, of which each subscriber gets the newest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct DataTrack {
    /// The server's id of the track (`DTR_…`). A publisher whose connection was re-established with a new
    /// session publishes it again with another one.
    pub sid: String,
    /// The name, which no other data track of its publisher has.
    pub name: String,
    /// Whether its frames are end-to-end encrypted.
    pub encrypted: bool,
}

impl DataTrack {
    /// A track with this id and name.
    #[must_use]
    pub fn new(sid: impl Into<String>, name: impl Into<String>) -> Self {
        Self { sid: sid.into(), name: name.into(), encrypted: false }
    }
}

impl From<proto::DataTrackInfo> for DataTrack {
    fn from(info: proto::DataTrackInfo) -> Self {
        let encrypted = info.encryption != proto::encryption::Type::None as i32;
        Self { sid: info.sid, name: info.name, encrypted }
    }
}
