//! What the server machine takes and gives: inputs are facts and requests, outputs are commands and replies.

use agent_proto::livekit as wire;
use agent_room::{DisconnectReason, RoomEvent, Speaker};

use super::event::ServerEvent;
use super::request::{Grant, MemberId, Refusal, Reply, Request, RequestId};

/// The connection of one worker. Chosen by the driver, another one each time.
pub type WorkerId = u64;

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// A worker's connection is established.
    WorkerConnected {
        /// Its id from now on.
        worker: WorkerId,
    },
    /// A worker sent a message.
    WorkerMessage {
        /// Which worker.
        worker: WorkerId,
        /// What it sent.
        #[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::message"))]
        message: Box<wire::WorkerMessage>,
    },
    /// A worker sent something that is no message.
    WorkerGarbage {
        /// Which worker.
        worker: WorkerId,
        /// What is wrong with it.
        problem: String,
    },
    /// A worker's connection is gone: its jobs are forgotten, their agents stay in their rooms.
    WorkerGone {
        /// Which worker.
        worker: WorkerId,
    },
    /// A participant's connection is gone, or is to be ended. Nothing happens if it is out already.
    MemberLeft {
        /// Whose.
        member: MemberId,
        /// Why.
        reason: DisconnectReason,
    },
    /// It changed who speaks in a room.
    SpeakersChanged {
        /// The name of the room.
        room: String,
        /// Who speaks now, and how loud; nobody else does.
        speakers: Vec<Speaker>,
    },
    /// A request: answered by exactly one [`Output::Reply`] before the outputs are drained.
    Requested {
        /// Chosen by the driver; the reply has it, too.
        id: RequestId,
        /// What for.
        request: Request,
    },
}

/// What the machine wants done, in this order.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Output {
    /// Write to a worker.
    Send {
        /// To whom.
        worker: WorkerId,
        /// What.
        #[cfg_attr(feature = "serde", serde(serialize_with = "agent_proto::recording::message::serialize"))]
        message: Box<wire::ServerMessage>,
    },
    /// Make a token of the grant, and send both to the worker.
    Assign {
        /// To whom.
        worker: WorkerId,
        /// The job.
        #[cfg_attr(feature = "serde", serde(serialize_with = "agent_proto::recording::message::serialize"))]
        job: Box<wire::Job>,
        /// What the token says.
        grant: Box<Grant>,
    },
    /// Close a worker's connection.
    Close {
        /// Whose.
        worker: WorkerId,
        /// What is said with it.
        reason: &'static str,
    },
    /// Tell a member what happened in its room.
    Tell {
        /// Whom.
        member: MemberId,
        /// What.
        event: RoomEvent,
    },
    /// Answer a request.
    Reply {
        /// That of [`Input::Requested`].
        id: RequestId,
        /// What became of it.
        reply: Result<Reply, Refusal>,
    },
    /// Write to the log.
    Log(ServerEvent),
}
