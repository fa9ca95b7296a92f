//! What the server machine is made with, what it wants done, and what it tells.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_proto::livekit as wire;
use agent_room::{Permissions, RoomEvent};
use serde::Serialize;

/// The connection of one worker.
pub type WorkerId = u64;
/// One stay of one participant in one room.
pub type MemberId = u64;

/// The numbers in the server's rules, as livekit-server 1.13.5 has them.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Decides ids and which worker is asked first.
    pub seed: u64,
    /// The time of day at which the machine was made, in milliseconds since 1970.
    pub epoch_ms: i64,
    /// How long the first message of a worker may take.
    pub register_timeout: Duration,
    /// The time for all workers that are asked for one job, together.
    pub job_budget: Duration,
    /// Workers with this load count as full, unless there are others beside them.
    pub target_load: f32,
    /// How long after an assignment the server still does not know the job: a final status in this time is lost.
    pub bookkeeping: Duration,
    /// How long after it has looked for workers anew the server's rooms do not know of the jobs that they start.
    pub cold_cache: Duration,
    /// How long a dispatch takes inside the server.
    pub dispatch_delay: Duration,
    /// How long after an agent was thrown out of its room its worker hears that the job is over.
    pub termination_delay: Duration,
    /// How long after its dispatch was deleted an agent is removed from its room.
    pub removal_delay: Duration,
    /// How long a room stays to which nobody came.
    pub empty_timeout: Duration,
    /// How long a room stays that everybody but agents has left.
    pub departure_timeout: Duration,
    /// How many jobs that are over are remembered, and how many data messages.
    pub history: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            seed: 0,
            epoch_ms: 0,
            register_timeout: Duration::from_secs(10),
            job_budget: Duration::from_secs(3),
            target_load: 0.7,
            bookkeeping: Duration::ZERO,
            cold_cache: Duration::ZERO,
            dispatch_delay: Duration::ZERO,
            termination_delay: Duration::from_millis(5),
            removal_delay: Duration::from_secs(3),
            empty_timeout: Duration::from_secs(300),
            departure_timeout: Duration::from_secs(20),
            history: 100_000,
        }
    }
}

/// What the machine wants done, in this order.
#[derive(Debug)]
pub enum Output {
    /// Write to a worker.
    Send {
        /// To whom.
        worker: WorkerId,
        /// What.
        message: Box<wire::ServerMessage>,
    },
    /// Make a token of the grant, and send both to the worker.
    Assign {
        /// To whom.
        worker: WorkerId,
        /// The job.
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
    /// Write to the log.
    Log(ServerEvent),
}

/// What a token to join a room says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

/// Something that happened on the server, in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ServerEvent {
    /// A worker registered.
    Registered {
        /// `AW_…`
        worker_id: String,
        /// The name that dispatches ask for; empty: it gets every room.
        agent_name: String,
        /// `JT_ROOM`, `JT_PUBLISHER` or `JT_PARTICIPANT`.
        job_type: String,
        /// Its deployment; mostly empty.
        deployment: String,
    },
    /// A worker's connection ended; its jobs are forgotten.
    Disconnected {
        /// `AW_…`; empty if it never registered.
        worker_id: String,
        /// How many jobs it ran, as far as the server knew.
        jobs: usize,
    },
    /// A worker says that it takes no more jobs, or that it takes some again. At first it takes them.
    Full {
        /// `AW_…`
        worker_id: String,
        /// Whether it is full.
        full: bool,
    },
    /// A worker says which jobs it still runs from an earlier connection. The server takes no notice of it.
    Migrated {
        /// `AW_…`
        worker_id: String,
        /// `AJ_…` each.
        job_ids: Vec<String>,
    },
    /// A worker was asked to take a job.
    Offered {
        /// `AJ_…`
        job_id: String,
        /// `AW_…`
        worker_id: String,
        /// `AD_…`; empty if the server made the job by itself.
        dispatch_id: String,
        /// The room's name.
        room: String,
    },
    /// A worker answered.
    Answered {
        /// `AJ_…`
        job_id: String,
        /// `AW_…`
        worker_id: String,
        /// What.
        answer: OfferAnswer,
    },
    /// A job was given to a worker.
    Assigned {
        /// `AJ_…`
        job_id: String,
        /// `AW_…`
        worker_id: String,
        /// The identity of its agent in the room.
        identity: String,
    },
    /// A worker says that the handler of a job runs.
    Running {
        /// `AJ_…`
        job_id: String,
        /// `AW_…`
        worker_id: String,
    },
    /// A job ended. At most once for each job.
    Ended {
        /// `AJ_…`
        job_id: String,
        /// `AW_…`
        worker_id: String,
        /// `JS_SUCCESS` or `JS_FAILED`.
        status: RecordedStatus,
        /// The error of a failed job.
        error: String,
    },
    /// A worker was told to stop a job. Not every job that ends without its worker is told of so.
    Terminated {
        /// `AJ_…`
        job_id: String,
        /// `AW_…`
        worker_id: String,
    },
    /// Nobody took a job: it is gone for good.
    Unserved {
        /// `AJ_…`; empty if there was no worker to make a job for.
        job_id: String,
        /// `AD_…`; empty if the server made the job by itself.
        dispatch_id: String,
        /// Why.
        reason: String,
    },
    /// A final status came for a job that the server does not know (yet, or any more), and was dropped.
    UnknownJob {
        /// `AJ_…`
        job_id: String,
        /// `AW_…`
        worker_id: String,
    },
    /// A worker did what no worker should.
    Misdeed {
        /// `AW_…`; empty if it never registered.
        worker_id: String,
        /// `AJ_…`; empty if it is about no job.
        job_id: String,
        /// What.
        misdeed: Misdeed,
    },
    /// A participant is in a room.
    Joined {
        /// The room's name.
        room: String,
        /// Who.
        identity: String,
        /// Whether it is an agent.
        agent: bool,
    },
    /// The join of a room was refused, as `MockServer::refuse_joins` asks for.
    JoinRefused {
        /// The HTTP status.
        status: u16,
    },
    /// A participant is no longer in a room.
    Left {
        /// The room's name.
        room: String,
        /// Who.
        identity: String,
        /// Why, in the protocol's words, such as `CLIENT_INITIATED`.
        reason: String,
    },
    /// A data message went through a room.
    Data {
        /// The room's name.
        room: String,
        /// The identity of the sender; empty: the server's API.
        from: String,
        /// What it is about; may be empty.
        topic: String,
        /// The length of its payload, in bytes.
        len: usize,
        /// Its payload as text: at most 100 characters of it, what is no text as �.
        text: String,
    },
    /// The system gives no more connections, mostly at its limit of open files; the server tries again each second. Not repeated until it
    /// has accepted one.
    AcceptFailed {
        /// What the system says.
        reason: String,
    },
    /// A room is over.
    RoomClosed {
        /// The room's name.
        room: String,
    },
}

/// What a worker said to an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OfferAnswer {
    /// It takes the job.
    Accept,
    /// Another worker should be asked.
    Decline,
    /// Nobody should run the job: it is recorded as a success.
    Dismiss,
}

/// How the server records the end of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum RecordedStatus {
    /// Ended well.
    #[serde(rename = "JS_SUCCESS")]
    Success,
    /// Ended badly.
    #[serde(rename = "JS_FAILED")]
    Failed,
}

/// Something that no worker should do. A correct worker never causes one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Misdeed {
    /// It answered an offer that it had answered before.
    AnsweredTwice,
    /// It answered when the job was gone already.
    AnsweredLate,
    /// It answered an offer that it never got.
    AnsweredUnasked,
    /// It did not answer while the job waited for it.
    NeverAnswered,
    /// Its agent left the room before it said how the job ended: that is recorded as a failure.
    LeftBeforeStatus,
    /// It told another end of a job than before.
    SecondOutcome,
    /// It told the end of a job that it never had.
    ForeignJob,
    /// It broke the protocol, and was disconnected.
    Protocol(String),
}
