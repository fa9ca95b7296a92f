//! The calls of the API that the server received, as tests look at them.

use serde::Serialize;

use agent_net::{DispatchRequest, ParticipantChange, SipTransfer};
use agent_proto::livekit as wire;
use agent_proto::text::shorten;

/// A call of the server's API, whose token had the grant for it. What was sent is shown as it was given to
/// the client, so that a test compares the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "call", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ApiCall {
    /// A room was created, or looked up.
    CreateRoom {
        /// The room's name.
        room: String,
    },
    /// A room was deleted.
    DeleteRoom {
        /// The room's name.
        room: String,
    },
    /// Rooms were listed.
    ListRooms {
        /// The names; empty: all.
        names: Vec<String>,
    },
    /// The metadata of a room were changed.
    UpdateRoomMetadata {
        /// The room's name.
        room: String,
        /// The new metadata.
        metadata: String,
    },
    /// The participants of a room were listed.
    ListParticipants {
        /// The room's name.
        room: String,
    },
    /// A participant was looked up.
    GetParticipant {
        /// The room's name.
        room: String,
        /// The participant's identity.
        identity: String,
    },
    /// A participant was removed.
    RemoveParticipant {
        /// The room's name.
        room: String,
        /// The participant's identity.
        identity: String,
    },
    /// A participant was changed.
    UpdateParticipant {
        /// The room's name.
        room: String,
        /// The participant's identity.
        identity: String,
        /// The changes.
        change: ParticipantChange,
    },
    /// A track was muted or unmuted.
    MuteTrack {
        /// The room's name.
        room: String,
        /// The publisher's identity.
        identity: String,
        /// The track's id (`TR_…`).
        track_sid: String,
        /// Whether it was muted.
        muted: bool,
    },
    /// Data were sent; the whole payload is among the messages of the room.
    SendData {
        /// The room's name.
        room: String,
        /// The topic; may be empty.
        topic: String,
        /// The payload as text: at most its first 100 characters, with � for what is not UTF-8.
        text: String,
        /// Whether they may be lost.
        lossy: bool,
        /// Identities of the recipients; empty: all participants.
        to: Vec<String>,
    },
    /// An agent was dispatched.
    CreateDispatch(DispatchRequest),
    /// A dispatch was deleted.
    DeleteDispatch {
        /// The room's name.
        room: String,
        /// The dispatch's id (`AD_…`).
        dispatch_id: String,
    },
    /// The dispatches of a room were listed.
    ListDispatches {
        /// The room's name.
        room: String,
    },
    /// A caller was transferred.
    TransferSipParticipant {
        /// The room's name.
        room: String,
        /// The caller's identity.
        identity: String,
        /// The destination, and how.
        transfer: SipTransfer,
    },
}

/// The start of a payload as readable text. Only as many bytes as can be shown are decoded.
pub(crate) fn text_of(payload: &[u8]) -> String {
    const SHOWN: usize = 100;
    let start = payload.get(..SHOWN * 4).unwrap_or(payload);
    shorten(&String::from_utf8_lossy(start), SHOWN)
}

impl ApiCall {
    pub(crate) fn get_participant(request: &wire::RoomParticipantIdentity) -> Self {
        Self::GetParticipant { room: request.room.clone(), identity: request.identity.clone() }
    }

    pub(crate) fn remove_participant(request: &wire::RoomParticipantIdentity) -> Self {
        Self::RemoveParticipant { room: request.room.clone(), identity: request.identity.clone() }
    }

    pub(crate) fn send_data(request: &wire::SendDataRequest) -> Self {
        Self::SendData {
            room: request.room.clone(),
            topic: request.topic.clone().unwrap_or_default(),
            text: text_of(&request.data),
            lossy: request.kind == i32::from(wire::data_packet::Kind::Lossy),
            to: request.destination_identities.clone(),
        }
    }

    pub(crate) fn update_participant(request: &wire::UpdateParticipantRequest) -> Self {
        Self::UpdateParticipant {
            room: request.room.clone(),
            identity: request.identity.clone(),
            change: request.clone().into(),
        }
    }

    pub(crate) fn mute_track(request: &wire::MuteRoomTrackRequest) -> Self {
        Self::MuteTrack {
            room: request.room.clone(),
            identity: request.identity.clone(),
            track_sid: request.track_sid.clone(),
            muted: request.muted,
        }
    }

    pub(crate) fn transfer_sip_participant(request: &wire::TransferSipParticipantRequest) -> Self {
        Self::TransferSipParticipant {
            room: request.room_name.clone(),
            identity: request.participant_identity.clone(),
            transfer: request.clone().into(),
        }
    }
}
