//! What happened on the server, as its log has it.

use serde::Serialize;

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
