//! What is asked of the server, through its API and by those who join its rooms, and how it replies.
//!
//! Each request has a reply of its own type, its [`Call`]: a driver that asks with [`Input::Requested`](super::Input::Requested) knows
//! what [`Output::Reply`](super::Output::Reply) holds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agent_proto::livekit as wire;
use agent_room::{Connected, DisconnectReason, Participant, Publish, RoomCommand, RoomError, RoomInfo};
use agent_room::{Permissions, Track, TrackKind, TrackSource};

/// One stay of one participant in one room. Chosen by the caller that asks to [join](Join), another one each time.
pub type MemberId = u64;
/// One request and its reply. Chosen by the driver, another one each time.
pub type RequestId = u64;

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Request {
    /// To join a room.
    Join(Join),
    /// What a participant wants in its room.
    MemberCommand(MemberCommand),
    /// A room.
    OpenRoom(OpenRoom),
    /// The end of a room.
    CloseRoom(CloseRoom),
    /// Other metadata of a room.
    SetRoomMetadata(SetRoomMetadata),
    /// An agent in a room.
    CreateDispatch(CreateDispatch),
    /// The end of a dispatch.
    DeleteDispatch(DeleteDispatch),
    /// The end of a participant's stay.
    RemoveParticipant(RemoveParticipant),
    /// A change of a participant.
    ChangeParticipant(ChangeParticipant),
    /// A track.
    PublishTrack(PublishTrack),
    /// The end of a track.
    UnpublishTrack(UnpublishTrack),
    /// A track that is muted, or no longer.
    MuteTrack(MuteTrack),
    /// A data message from the server.
    SendData(SendData),
}

/// Lets a participant into a room, which is made if there is none. Replaces a participant with the same identity.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Join {
    /// The id of the stay.
    pub member: MemberId,
    /// What the token says.
    pub grant: Grant,
}

/// What a token to join a room says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Grant {
    /// The name of the room.
    pub room: String,
    /// Who joins.
    pub identity: String,
    /// The name that people see.
    pub name: String,
    /// Metadata of the participant.
    pub metadata: String,
    /// Attributes of the participant.
    pub attributes: BTreeMap<String, String>,
    /// Whether it joins as an agent.
    pub agent: bool,
    /// What it may do.
    pub permissions: Permissions,
}

/// What a participant asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MemberCommand {
    /// Who.
    pub member: MemberId,
    /// What.
    pub command: RoomCommand,
}

/// Makes a room, unless there is one of this name. What is not given is as the server's rules say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OpenRoom {
    /// Its name.
    pub name: String,
    /// Its metadata.
    pub metadata: String,
    /// How long it stays if nobody comes; `None`: as the rules say.
    pub empty_timeout: Option<Duration>,
    /// How long it stays after everybody has left; `None`: as the rules say.
    pub departure_timeout: Option<Duration>,
    /// Names and metadata of agents that it starts with.
    pub agents: Vec<(String, String)>,
}

/// Closes a room; everybody in it is out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CloseRoom {
    /// Its name.
    pub room: String,
    /// Why.
    pub reason: DisconnectReason,
}

/// Replaces the metadata of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SetRoomMetadata {
    /// Its name.
    pub room: String,
    /// The new metadata.
    pub metadata: String,
}

/// Sends an agent to a room, which is made if there is none.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CreateDispatch {
    /// Which agent, and to which room.
    #[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::message"))]
    pub request: wire::CreateAgentDispatchRequest,
    /// What its jobs are marked with.
    pub flags: JobFlags,
    /// The id of its first job; `None`: a random one.
    pub job_id: Option<String>,
}

/// What LiveKit Cloud sets for the jobs of a project. No dispatch of the API can ask for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct JobFlags {
    /// Whether the job is recorded.
    pub recording: bool,
    /// Whether what is recorded is redacted.
    pub redaction: bool,
}

/// Takes a dispatch back: its jobs are terminated, and their agents removed a moment later.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DeleteDispatch {
    /// The name of its room.
    pub room: String,
    /// `AD_…`
    pub id: String,
}

/// Ends a participant's stay in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RemoveParticipant {
    /// The name of the room.
    pub room: String,
    /// Whose.
    pub identity: String,
    /// Why.
    pub reason: DisconnectReason,
}

/// Changes a participant; everybody in the room is told, itself included.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ChangeParticipant {
    /// The name of the room.
    pub room: String,
    /// Who.
    pub identity: String,
    /// What is to change.
    pub change: Change,
}

/// What is to change of a participant. `None` leaves a thing as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Change {
    /// The name that people see.
    pub name: Option<String>,
    /// Its metadata.
    pub metadata: Option<String>,
    /// An empty value removes its key.
    pub attributes: BTreeMap<String, String>,
    /// Whether it may publish tracks.
    pub can_publish: Option<bool>,
}

/// Publishes a track without media.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PublishTrack {
    /// The name of the room.
    pub room: String,
    /// Who publishes it.
    pub identity: String,
    /// The name of the track.
    pub name: String,
    /// Audio, video or data.
    pub kind: TrackKind,
    /// Where it comes from.
    pub source: TrackSource,
}

/// Takes a track back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct UnpublishTrack {
    /// The name of the room.
    pub room: String,
    /// Who publishes it.
    pub identity: String,
    /// `TR_…`
    pub sid: String,
}

/// Mutes or unmutes a track.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MuteTrack {
    /// The name of the room.
    pub room: String,
    /// Who publishes it.
    pub identity: String,
    /// `TR_…`
    pub sid: String,
    /// Whether it is to be mute.
    pub muted: bool,
}

/// Sends data in the server's name: to its destinations, or to everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SendData {
    /// The name of the room.
    pub room: String,
    /// What.
    pub message: Publish,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Reply {
    /// It is done.
    Done(()),
    /// The participant is in the room.
    Joined(Connected),
    /// The room as it is now.
    Room(RoomInfo),
    /// The dispatch as it is now, or was.
    Dispatch(
        #[cfg_attr(feature = "serde", serde(serialize_with = "agent_proto::recording::message::serialize"))]
        wire::AgentDispatch,
    ),
    /// The participant as it is now.
    Participant(Arc<Participant>),
    /// The track as it is now.
    Track(Track),
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Refusal {
    /// What it is about does not exist.
    #[error("requested {what} does not exist")]
    NotFound {
        /// `room`, `participant`, `track` or `dispatch`.
        what: &'static str,
    },
    /// The token lets nobody in.
    #[error("{problem}")]
    NotAdmitted {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// There is a job of this id.
    #[error("there is a job {id:?} already")]
    JobIdTaken {
        /// The id.
        id: String,
    },
    /// A participant may not do this, or it is too large.
    #[error(transparent)]
    Command(RoomError),
    /// The machine has not replied, or with something else: a bug in it.
    #[error("the server machine did not reply")]
    NoReply,
}

impl Refusal {
    pub(crate) const ROOM: Self = Self::NotFound { what: "room" };
    pub(crate) const PARTICIPANT: Self = Self::NotFound { what: "participant" };
    pub(crate) const TRACK: Self = Self::NotFound { what: "track" };
    pub(crate) const DISPATCH: Self = Self::NotFound { what: "dispatch" };
}

/// A request with the type of its reply.
pub trait Call: Into<Request> {
    /// What it is replied with.
    type Reply;

    /// The reply to such a request; `None` for that to another.
    fn reply(reply: Reply) -> Option<Self::Reply>;
}

macro_rules! calls {
    ($($call:ident => $reply:ident($type:ty),)*) => {$(
        impl From<$call> for Request {
            fn from(call: $call) -> Self {
                Self::$call(call)
            }
        }

        impl Call for $call {
            type Reply = $type;

            fn reply(reply: Reply) -> Option<$type> {
                match reply {
                    Reply::$reply(reply) => Some(reply),
                    _ => None,
                }
            }
        }
    )*};
}

calls! {
    Join => Joined(Connected),
    MemberCommand => Done(()),
    OpenRoom => Room(RoomInfo),
    CloseRoom => Done(()),
    SetRoomMetadata => Room(RoomInfo),
    CreateDispatch => Dispatch(wire::AgentDispatch),
    DeleteDispatch => Dispatch(wire::AgentDispatch),
    RemoveParticipant => Done(()),
    ChangeParticipant => Participant(Arc<Participant>),
    PublishTrack => Track(Track),
    UnpublishTrack => Done(()),
    MuteTrack => Track(Track),
    SendData => Done(()),
}
