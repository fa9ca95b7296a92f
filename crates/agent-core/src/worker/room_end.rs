//! What the end of a job's room means for the job.

use crate::outcome::CancelReason;

/// How the room of a job ended for its agent: a fact that the driver reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RoomEnd {
    /// The handler left the room.
    Left,
    /// Another participant joined with the agent's identity.
    DuplicateIdentity,
    /// The agent was removed through the server API.
    Removed,
    /// The room was deleted through the server API.
    Deleted,
    /// The server closed the room: it was empty.
    Closed,
    /// The connection was lost or ended by the server, and could not be restored.
    Lost,
}

impl RoomEnd {
    /// Why the job is cancelled, if it is.
    pub(super) const fn cancel_reason(self) -> Option<CancelReason> {
        match self {
            // The handler may have work left that needs no room.
            Self::Left => None,
            Self::DuplicateIdentity => Some(CancelReason::DuplicateIdentity),
            Self::Removed => Some(CancelReason::Kicked),
            Self::Deleted | Self::Closed => Some(CancelReason::RoomClosed),
            Self::Lost => Some(CancelReason::RoomGone),
        }
    }
}
