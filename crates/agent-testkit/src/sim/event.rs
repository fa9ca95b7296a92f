//! The events of a run.

use std::time::Duration;

use bytes::Bytes;

use agent_core::{Answer, AttemptEnd, Claim, ElectionInput, JobId, LinkError, OfferId, StoreError, Writer};
use agent_proto::livekit as wire;
use agent_room::{DisconnectReason, RoomEvent};
use agent_server::{MemberId, WorkerId};

/// A worker's process, and the number of its restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) worker: usize,
    pub(super) life: u32,
}

/// The content of a frame to a worker, as far as the checks need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FrameContent {
    Registered,
    Offer(JobId),
    Assignment(JobId),
    Termination(JobId),
    Pong,
    Garbage,
}

/// What happens next.
#[derive(Debug)]
pub(super) enum Event {
    /// A connection reaches the server, or fails.
    Opened { conn: WorkerId, result: Result<(), LinkError> },
    /// A message of a worker reaches the server; its number on the connection.
    ToServer { conn: WorkerId, number: u64, message: Box<wire::WorkerMessage> },
    /// Bytes that are no message reach the server.
    GarbageToServer { conn: WorkerId },
    /// The server learns that a connection is gone.
    ServerSeesEnd { conn: WorkerId },
    /// A member's connection to its room ends.
    MemberLeaves { member: MemberId, reason: DisconnectReason },
    /// A call reaches the store of checkpoints.
    StoreCall { place: Place, job: JobId, serial: u64, key: String, call: StoreCall },
    /// A call reaches the store of leases.
    LeaseCall { place: Place, number: u64, holder: String, call: LeaseCall },
    /// Something happens in a worker's process; it waits while the process is stopped.
    Inside { place: Place, what: Inside },
    /// A process starts, again perhaps.
    Start { worker: usize },
    /// A stopped process continues.
    Continue { place: Place },
    /// A dispatch, and other things that users of rooms do.
    Traffic,
    /// A person leaves a room.
    PersonLeaves { member: MemberId },
    /// The next fault strikes.
    Strike,
    /// A connection breaks, as part of a fault.
    Break { conn: WorkerId },
    /// The next part of the run begins.
    Part(Part),
    /// One of the dispatches after the faults.
    Fresh,
}

/// The parts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The faults end, and the rooms are closed.
    Heal,
    /// Everybody is back.
    Back,
    /// Nothing has happened for a while.
    Quiet,
    /// The workers are drained.
    Drain,
    /// They are done.
    Over,
}

/// What happens in a worker's process.
#[derive(Debug)]
pub(super) enum Inside {
    /// What is to be done before the first connection is done.
    Prepared,
    Connected {
        conn: WorkerId,
        result: Result<(), LinkError>,
    },
    Frame {
        conn: WorkerId,
        frame: Bytes,
        content: FrameContent,
    },
    Disconnected {
        conn: WorkerId,
    },
    /// The request handler is done; `None`: it panicked.
    Asked {
        offer: OfferId,
        job: JobId,
        answer: Option<Answer>,
    },
    Join {
        job: JobId,
        serial: u64,
    },
    End {
        job: JobId,
        serial: u64,
        end: AttemptEnd,
    },
    Cleaned {
        job: JobId,
        attempt: u32,
    },
    Room {
        job: JobId,
        member: MemberId,
        event: RoomEvent,
    },
    RoomLost {
        job: JobId,
        member: MemberId,
    },
    RoomBack {
        job: JobId,
        member: MemberId,
    },
    /// A job whose room is empty should have been cancelled by now.
    EmptyDue {
        job: JobId,
        since: u64,
    },
    /// A half-open connection should have been noticed by now.
    HalfOpenDue {
        conn: WorkerId,
        since: agent_proto::Time,
    },
    Save {
        job: JobId,
        serial: u64,
    },
    StoreAnswer {
        job: JobId,
        serial: u64,
        answer: StoreAnswer,
    },
    LeaseAnswer {
        number: u64,
        answer: ElectionInput,
    },
    /// A leader writes.
    LeaderWrites,
    /// A candidate begins.
    Candidate,
    /// The worker is told to accept nothing new (`true`), or jobs again.
    Quiet(bool),
    Drain {
        within: Duration,
    },
    Stop,
}

#[derive(Debug)]
pub(super) enum StoreCall {
    Claim,
    Write(Writer),
}

#[derive(Debug)]
pub(super) enum StoreAnswer {
    Claimed(Claim),
    Written(Writer),
    Failed(StoreError),
}

#[derive(Debug)]
pub(super) enum LeaseCall {
    Try,
    Renew { token: u64 },
    Release,
    Write { token: u64 },
}
