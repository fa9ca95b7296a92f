//! The room that a handler talks to.
//!
//! [`Room`] is a handle over a [backend](RoomBackend): commands go in, events come out, and the handle keeps its own list of
//! who is present. What stands behind the backend is chosen by a [`RoomConnector`]: [`WebRtc`] for real, a mock room in
//! tests. A handler cannot tell which.
//!
//! No rule of the protocol is in here: that is `agent_room`'s machine, which [`WebRtc`] drives.

mod backend;
mod connector;
mod data;
mod events;
mod handle;
mod presence;
mod publish;
mod shared;
mod socket;
mod tcp;
#[cfg(test)]
mod tests;
mod webrtc;
mod worker_first;

pub(crate) use agent_room::Dropped;
pub use agent_room::{
    AutoSubscribe, Command as RoomCommand, CommandError as RoomError, Connected, ConnectionQuality,
    DataReceived, DisconnectReason, JoinFailure, MAX_CHANGE_LEN, MAX_PACKET_LEN, MAX_PAYLOAD_LEN, Missed,
    MissedCause, Participant, ParticipantKind, Permissions, Publish, Reconnected, RoomEvent, RoomInfo,
    Speaker, Token as RoomToken, Track, TrackKind, TrackSource,
};
pub use backend::{RoomBackend, RoomRequest};
pub use connector::{BoxFuture, JoinError, JoinOptions, JoinRequest, RoomConnector};
pub use data::RoomData;
pub use events::RoomEvents;
pub use handle::Room;
pub use presence::{WaitError, Wanted};
pub use publish::PublishData;
pub use webrtc::WebRtc;
