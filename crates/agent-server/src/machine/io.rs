//! Inputs and outputs of the server machine: inputs are facts and requests, outputs are commands and replies.

use agent_proto::livekit as wire;
use agent_room::{
    CommandId, DataTrackFrame, DisconnectReason, RoomEvent, RpcCall, RpcError, RpcRequest, Speaker,
    StreamEvent, Track,
};

use super::event::ServerEvent;
use super::request::{Grant, MemberId, Refusal, Reply, Request, RequestId};

/// The id of one worker connection. The driver chooses a new one for each.
pub type WorkerId = u64;

/// An input of the machine.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// A worker's connection is established.
    WorkerConnected {
        /// The new connection's id.
        worker: WorkerId,
    },
    /// A worker sent a message.
    WorkerMessage {
        /// The worker.
        worker: WorkerId,
        /// The message.
        #[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::message"))]
        message: Box<wire::WorkerMessage>,
    },
    /// A worker sent something other than a message.
    WorkerGarbage {
        /// The worker.
        worker: WorkerId,
        /// What is wrong with it.
        problem: String,
    },
    /// A worker's connection ended: its jobs are forgotten, their agents stay in their rooms.
    WorkerGone {
        /// The worker.
        worker: WorkerId,
    },
    /// A participant's connection ended, or has to end. Ignored if the participant has left already.
    MemberLeft {
        /// The member.
        member: MemberId,
        /// The reason.
        reason: DisconnectReason,
    },
    /// The active speakers of a room changed.
    SpeakersChanged {
        /// The name of the room.
        room: String,
        /// All active speakers, with their levels.
        speakers: Vec<Speaker>,
    },
    /// A participant calls a method of another one, answered by one [`Output::CallDone`].
    Called {
        /// The caller.
        member: MemberId,
        /// The id of the call, chosen by the driver and repeated in the result.
        id: CommandId,
        /// The call.
        call: RpcCall,
    },
    /// A request, answered by exactly one [`Output::Reply`] before the outputs are drained.
    Requested {
        /// The request's id, chosen by the driver and repeated in the reply.
        id: RequestId,
        /// The request.
        request: Request,
    },
}

/// An output of the machine, to be carried out in order.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Output {
    /// Send a message to a worker.
    Send {
        /// The worker.
        worker: WorkerId,
        /// The message.
        #[cfg_attr(feature = "serde", serde(serialize_with = "agent_proto::recording::message::serialize"))]
        message: Box<wire::ServerMessage>,
    },
    /// Create a token from the grant, and send the assignment to the worker.
    Assign {
        /// The worker.
        worker: WorkerId,
        /// The job.
        #[cfg_attr(feature = "serde", serde(serialize_with = "agent_proto::recording::message::serialize"))]
        job: Box<wire::Job>,
        /// The grant of the token.
        grant: Box<Grant>,
    },
    /// Close a worker's connection.
    Close {
        /// The worker.
        worker: WorkerId,
        /// The reason in the close frame.
        reason: &'static str,
    },
    /// Notify a member of an event in its room.
    Notify {
        /// The member.
        member: MemberId,
        /// The event.
        event: RoomEvent,
    },
    /// Notify a member of an event of a stream that it receives.
    Stream {
        /// The member.
        member: MemberId,
        /// The event.
        event: StreamEvent,
    },
    /// Pass a frame of a data track to a member, which is subscribed to it.
    DataFrame {
        /// The member.
        member: MemberId,
        /// The track's sid.
        sid: String,
        /// The frame.
        frame: DataTrackFrame,
    },
    /// Notify a member of the state of a track that it has published with a command.
    LocalTrack {
        /// The member.
        member: MemberId,
        /// The id of the command.
        id: CommandId,
        /// The track; `None`: it is not published any more.
        track: Option<Track>,
    },
    /// Pass a request to a member, which has registered the method and answers with
    /// [`RoomCommand::Respond`](agent_room::RoomCommand::Respond).
    Requested {
        /// The member.
        member: MemberId,
        /// The request.
        request: RpcRequest,
    },
    /// Report the result of a call to the caller.
    CallDone {
        /// The caller.
        member: MemberId,
        /// The id of [`Input::Called`].
        id: CommandId,
        /// The response, or the error.
        result: Result<String, RpcError>,
    },
    /// Answer a request.
    Reply {
        /// The id of [`Input::Requested`].
        id: RequestId,
        /// The result.
        reply: Result<Reply, Refusal>,
    },
    /// Append to the log.
    Log(ServerEvent),
}
