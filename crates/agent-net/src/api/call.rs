//! The calls of the API as a table: path, needed grant, and whether a call may be repeated. Without I/O.

use std::fmt;

use crate::token::AccessToken;

/// What precedes service and method in the URL of a call, behind the server's base path.
pub(super) const SERVICES: &str = "/twirp/livekit.";

/// A call that this client makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    CreateRoom,
    DeleteRoom,
    ListRooms,
    UpdateRoomMetadata,
    ListParticipants,
    GetParticipant,
    RemoveParticipant,
    UpdateParticipant,
    MuteTrack,
    SendData,
    CreateDispatch,
    DeleteDispatch,
    ListDispatch,
    TransferSipParticipant,
}

/// The grant that a call needs, for this room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grant<'a> {
    CreateRooms,
    ListRooms,
    AdministerRoom(&'a str),
    /// And administration of the room that the caller is in.
    SipCalls(&'a str),
}

impl Call {
    /// Service and method, for the URL and for errors.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::CreateRoom => "RoomService/CreateRoom",
            Self::DeleteRoom => "RoomService/DeleteRoom",
            Self::ListRooms => "RoomService/ListRooms",
            Self::UpdateRoomMetadata => "RoomService/UpdateRoomMetadata",
            Self::ListParticipants => "RoomService/ListParticipants",
            Self::GetParticipant => "RoomService/GetParticipant",
            Self::RemoveParticipant => "RoomService/RemoveParticipant",
            Self::UpdateParticipant => "RoomService/UpdateParticipant",
            Self::MuteTrack => "RoomService/MutePublishedTrack",
            Self::SendData => "RoomService/SendData",
            Self::CreateDispatch => "AgentDispatchService/CreateDispatch",
            Self::DeleteDispatch => "AgentDispatchService/DeleteDispatch",
            Self::ListDispatch => "AgentDispatchService/ListDispatch",
            Self::TransferSipParticipant => "SIP/TransferSIPParticipant",
        }
    }

    /// The only grant in the token of this call. `room` is the room that the call concerns.
    pub(super) const fn grant(self, room: &str) -> Grant<'_> {
        match self {
            Self::CreateRoom | Self::DeleteRoom => Grant::CreateRooms,
            Self::ListRooms => Grant::ListRooms,
            Self::UpdateRoomMetadata
            | Self::ListParticipants
            | Self::GetParticipant
            | Self::RemoveParticipant
            | Self::UpdateParticipant
            | Self::MuteTrack
            | Self::SendData
            | Self::CreateDispatch
            | Self::DeleteDispatch
            | Self::ListDispatch => Grant::AdministerRoom(room),
            Self::TransferSipParticipant => Grant::SipCalls(room),
        }
    }

    /// Whether a call that may have been carried out already can be sent again without another effect.
    ///
    /// Not so the dispatch of an agent, which starts a second one, and what removes something: in between
    /// there may be another one of that name. Data carry a number by which the server drops a repeat.
    pub(super) const fn is_repeatable(self) -> bool {
        match self {
            Self::CreateRoom
            | Self::ListRooms
            | Self::UpdateRoomMetadata
            | Self::ListParticipants
            | Self::GetParticipant
            | Self::UpdateParticipant
            | Self::MuteTrack
            | Self::SendData
            | Self::ListDispatch => true,
            Self::DeleteRoom
            | Self::RemoveParticipant
            | Self::CreateDispatch
            | Self::DeleteDispatch
            | Self::TransferSipParticipant => false,
        }
    }
}

impl Grant<'_> {
    /// Adds this grant, and nothing else, to a token.
    pub(super) fn add_to(self, token: AccessToken) -> AccessToken {
        match self {
            Self::CreateRooms => token.create_rooms(),
            Self::ListRooms => token.list_rooms(),
            Self::AdministerRoom(room) => token.administer_room(room),
            Self::SipCalls(room) => token.administer_room(room).sip_calls(),
        }
    }
}

/// The name of the grant in a token.
impl fmt::Display for Grant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateRooms => f.write_str("`roomCreate`"),
            Self::ListRooms => f.write_str("`roomList`"),
            Self::AdministerRoom(room) => write!(f, "`roomAdmin` for room {room:?}"),
            Self::SipCalls(room) => write!(f, "`sip.call` and `roomAdmin` for room {room:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_has_the_grant_that_the_server_checks_and_no_other() {
        const ADMIN: &str = r#"`roomAdmin` for room "lobby""#;
        let table = [
            (Call::CreateRoom, "RoomService/CreateRoom", "`roomCreate`", true),
            (Call::DeleteRoom, "RoomService/DeleteRoom", "`roomCreate`", false),
            (Call::ListRooms, "RoomService/ListRooms", "`roomList`", true),
            (Call::UpdateRoomMetadata, "RoomService/UpdateRoomMetadata", ADMIN, true),
            (Call::ListParticipants, "RoomService/ListParticipants", ADMIN, true),
            (Call::GetParticipant, "RoomService/GetParticipant", ADMIN, true),
            (Call::RemoveParticipant, "RoomService/RemoveParticipant", ADMIN, false),
            (Call::UpdateParticipant, "RoomService/UpdateParticipant", ADMIN, true),
            (Call::MuteTrack, "RoomService/MutePublishedTrack", ADMIN, true),
            (Call::SendData, "RoomService/SendData", ADMIN, true),
            (Call::CreateDispatch, "AgentDispatchService/CreateDispatch", ADMIN, false),
            (Call::DeleteDispatch, "AgentDispatchService/DeleteDispatch", ADMIN, false),
            (Call::ListDispatch, "AgentDispatchService/ListDispatch", ADMIN, true),
            (
                Call::TransferSipParticipant,
                "SIP/TransferSIPParticipant",
                r#"`sip.call` and `roomAdmin` for room "lobby""#,
                false,
            ),
        ];
        for (call, path, grant, repeatable) in table {
            let is = (call.path(), call.grant("lobby").to_string(), call.is_repeatable());
            assert_eq!(is, (path, grant.to_owned(), repeatable));
        }
    }
}
