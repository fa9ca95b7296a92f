//! Requests to the server, through its API and from participants, and its replies.
//!
//! Each request is a [`Call`] with a reply type of its own: a driver that sends
//! [`Input::Requested`](super::Input::Requested) knows the type in [`Output::Reply`](super::Output::Reply).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use agent_proto::livekit as wire;
use agent_room::{
    AutoSubscribe, CommandId, Connected, DisconnectReason, Participant, Publish, RoomCommand, RoomError,
    RoomInfo,
};
use agent_room::{Permissions, Track, TrackKind, TrackSource};

/// The id of one participant's time in one room. The caller of [`Join`] chooses a new one for each.
pub type MemberId = u64;
/// The id of a request and its reply. The driver chooses a new one for each.
pub type RequestId = u64;

/// A request.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Request {
    /// Join a room.
    Join(Join),
    /// Execute a participant's command.
    MemberCommand(MemberCommand),
    /// Open a room.
    OpenRoom(OpenRoom),
    /// Close a room.
    CloseRoom(CloseRoom),
    /// Replace the metadata of a room.
    SetRoomMetadata(SetRoomMetadata),
    /// Dispatch an agent to a room.
    CreateDispatch(CreateDispatch),
    /// Delete a dispatch.
    DeleteDispatch(DeleteDispatch),
    /// Remove a participant.
    RemoveParticipant(RemoveParticipant),
    /// Change a participant.
    ChangeParticipant(ChangeParticipant),
    /// Publish a track.
    PublishTrack(PublishTrack),
    /// Unpublish a track.
    UnpublishTrack(UnpublishTrack),
    /// Mute or unmute a track.
    MuteTrack(MuteTrack),
    /// Send a data message from the server.
    SendData(SendData),
}

/// Joins a participant to a room, which is created if it does not exist. Replaces a participant with the same
/// identity.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Join {
    /// The id of the new member.
    pub member: MemberId,
    /// The grant of the token.
    pub grant: Grant,
    /// Which tracks of others it is sent without asking for them.
    pub auto_subscribe: AutoSubscribe,
}

impl Join {
    /// A stay that is sent whatever others publish.
    pub const fn new(member: MemberId, grant: Grant) -> Self {
        Self { member, grant, auto_subscribe: AutoSubscribe::All }
    }
}

/// The grant of a token to join a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Grant {
    /// The name of the room.
    pub room: String,
    /// The participant's identity.
    pub identity: String,
    /// The display name.
    pub name: String,
    /// Metadata of the participant.
    pub metadata: String,
    /// Attributes of the participant.
    pub attributes: BTreeMap<String, String>,
    /// Whether it joins as an agent.
    pub agent: bool,
    /// The participant's permissions.
    pub permissions: Permissions,
}

/// A command from a participant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MemberCommand {
    /// The participant.
    pub member: MemberId,
    /// The id of the command, chosen by the participant. A stream that it opens is known by it from then on.
    pub id: CommandId,
    /// The command.
    pub command: RoomCommand,
}

/// Opens a room, unless one of this name exists. Settings that are not given are the rules'.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OpenRoom {
    /// The name.
    pub name: String,
    /// The metadata.
    pub metadata: String,
    /// How long the room stays open if nobody joins; `None`: as in the rules.
    pub empty_timeout: Option<Duration>,
    /// How long the room stays open after everybody has left; `None`: as in the rules.
    pub departure_timeout: Option<Duration>,
    /// Names and metadata of the agents that are dispatched when the room is created.
    pub agents: Vec<(String, String)>,
}

/// Closes a room and disconnects its participants.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CloseRoom {
    /// The name of the room.
    pub room: String,
    /// The reason.
    pub reason: DisconnectReason,
}

/// Replaces the metadata of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SetRoomMetadata {
    /// The name of the room.
    pub room: String,
    /// The new metadata.
    pub metadata: String,
}

/// Dispatches an agent to a room, which is created if it does not exist.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct CreateDispatch {
    /// The agent and the room.
    #[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::message"))]
    pub request: wire::CreateAgentDispatchRequest,
    /// Flags of the dispatch's jobs.
    pub flags: JobFlags,
    /// The id of the first job; `None`: a random one.
    pub job_id: Option<String>,
}

/// Flags that LiveKit Cloud sets for the jobs of a project. The dispatch API cannot set them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct JobFlags {
    /// Whether the job is recorded.
    pub recording: bool,
    /// Whether recorded data are redacted.
    pub redaction: bool,
}

/// Deletes a dispatch: its jobs are terminated, and their agents removed a moment later.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DeleteDispatch {
    /// The name of its room.
    pub room: String,
    /// The dispatch's id (`AD_…`).
    pub id: String,
}

/// Removes a participant from a room.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RemoveParticipant {
    /// The name of the room.
    pub room: String,
    /// The participant's identity.
    pub identity: String,
    /// The reason.
    pub reason: DisconnectReason,
}

/// Changes a participant; everybody in the room is notified, including the participant.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ChangeParticipant {
    /// The name of the room.
    pub room: String,
    /// The participant's identity.
    pub identity: String,
    /// The changes.
    pub change: Change,
}

/// Changes to a participant. `None` leaves a value as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Change {
    /// The display name.
    pub name: Option<String>,
    /// The metadata.
    pub metadata: Option<String>,
    /// The attributes to set. An empty value removes its key.
    pub attributes: BTreeMap<String, String>,
    /// All its permissions.
    pub permissions: Option<Permissions>,
}

/// Publishes a track without media.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PublishTrack {
    /// The name of the room.
    pub room: String,
    /// The publisher's identity.
    pub identity: String,
    /// The name of the track.
    pub name: String,
    /// Audio, video or data.
    pub kind: TrackKind,
    /// The source of the track.
    pub source: TrackSource,
}

/// Unpublishes a track.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct UnpublishTrack {
    /// The name of the room.
    pub room: String,
    /// The publisher's identity.
    pub identity: String,
    /// The track's id (`TR_…`).
    pub sid: String,
}

/// Mutes or unmutes a track.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MuteTrack {
    /// The name of the room.
    pub room: String,
    /// The publisher's identity.
    pub identity: String,
    /// The track's id (`TR_…`).
    pub sid: String,
    /// Whether the track is muted.
    pub muted: bool,
}

/// Sends a data message in the server's name to its destinations, or to everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SendData {
    /// The name of the room.
    pub room: String,
    /// The message.
    pub message: Publish,
}

/// The reply to a request.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Reply {
    /// The request was carried out; there is nothing to return.
    Done(()),
    /// The participant joined the room.
    Joined(Connected),
    /// The room after the request.
    Room(RoomInfo),
    /// The dispatch after the request, or before its deletion.
    Dispatch(
        #[cfg_attr(feature = "serde", serde(serialize_with = "agent_proto::recording::message::serialize"))]
        wire::AgentDispatch,
    ),
    /// The participant after the request.
    Participant(Arc<Participant>),
    /// The track after the request.
    Track(Track),
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Refusal {
    /// The object of the request does not exist.
    #[error("requested {what} does not exist")]
    NotFound {
        /// `room`, `participant`, `track` or `dispatch`.
        what: &'static str,
    },
    /// The token does not permit the join.
    #[error("{problem}")]
    NotAdmitted {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A job with this id exists.
    #[error("a job with id {id:?} exists already")]
    JobIdTaken {
        /// The id.
        id: String,
    },
    /// The participant lacks a permission, or a value is too large.
    #[error(transparent)]
    Command(RoomError),
    /// The machine did not reply, or with another type: a bug in the machine.
    #[error("the server machine did not reply")]
    NoReply,
}

/// The reason why a command was not carried out, as a room's error.
impl From<Refusal> for RoomError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Command(error) => error,
            refusal => Self::Refused { detail: refusal.to_string() },
        }
    }
}

impl Refusal {
    pub(crate) const ROOM: Self = Self::NotFound { what: "room" };
    pub(crate) const PARTICIPANT: Self = Self::NotFound { what: "participant" };
    pub(crate) const TRACK: Self = Self::NotFound { what: "track" };
    pub(crate) const DISPATCH: Self = Self::NotFound { what: "dispatch" };
}

/// A request with the type of its reply.
pub trait Call: Into<Request> {
    /// The type of the reply.
    type Reply;

    /// The reply to this request; `None` if `reply` belongs to another one.
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
