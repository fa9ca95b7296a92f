//! Events in the log of the server.

use serde::Serialize;

use crate::api_call::ApiCall;

/// An event on the server, in the order of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum ServerEvent {
    /// A worker registered.
    Registered {
        /// `AW_…`
        worker_id: String,
        /// The agent name that dispatches request; empty: the worker is offered every room.
        agent_name: String,
        /// `JT_ROOM`, `JT_PUBLISHER` or `JT_PARTICIPANT`.
        job_type: String,
        /// The worker's deployment; usually empty.
        deployment: String,
    },
    /// A worker's connection ended; its jobs are forgotten.
    Disconnected {
        /// `AW_…`; empty if it never registered.
        worker_id: String,
        /// Number of jobs that it ran, as far as the server knew.
        jobs: usize,
    },
    /// A worker reported whether it is full. Initially it is not.
    Full {
        /// `AW_…`
        worker_id: String,
        /// Whether it is full.
        full: bool,
    },
    /// A worker reported the jobs that it still runs from an earlier connection. The server ignores this.
    Migrated {
        /// `AW_…`
        worker_id: String,
        /// The jobs' ids (`AJ_…`).
        job_ids: Vec<String>,
    },
    /// A worker was offered a job.
    Offered {
        /// `AJ_…`
        job_id: String,
        /// `AW_…`
        worker_id: String,
        /// The dispatch's id (`AD_…`); empty if the server created the job itself.
        dispatch_id: String,
        /// The room's name.
        room: String,
    },
    /// A worker answered an offer.
    Answered {
        /// `AJ_…`
        job_id: String,
        /// `AW_…`
        worker_id: String,
        /// The answer.
        answer: OfferAnswer,
    },
    /// A job was assigned to a worker.
    Assigned {
        /// `AJ_…`
        job_id: String,
        /// `AW_…`
        worker_id: String,
        /// The identity of the job's agent in the room.
        identity: String,
    },
    /// A worker reported that the handler of a job runs.
    Running {
        /// `AJ_…`
        job_id: String,
        /// `AW_…`
        worker_id: String,
    },
    /// A job ended. Logged at most once for each job.
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
    /// A worker was instructed to stop a job. Not every job that ends without its worker is terminated in
    /// this way.
    Terminated {
        /// `AJ_…`
        job_id: String,
        /// `AW_…`
        worker_id: String,
    },
    /// No worker accepted a job: it is dropped.
    Unserved {
        /// The job's id (`AJ_…`); empty if no job was created because there was no worker.
        job_id: String,
        /// The dispatch's id (`AD_…`); empty if the server created the job itself.
        dispatch_id: String,
        /// The reason.
        reason: String,
    },
    /// A final status for a job that the server does not know (yet, or any more), which was dropped.
    UnknownJob {
        /// `AJ_…`
        job_id: String,
        /// `AW_…`
        worker_id: String,
    },
    /// A worker violated the protocol.
    Violation {
        /// `AW_…`; empty if it never registered.
        worker_id: String,
        /// The job's id (`AJ_…`); empty if the violation concerns no job.
        job_id: String,
        /// The violation.
        violation: Violation,
    },
    /// A participant joined a room.
    Joined {
        /// The room's name.
        room: String,
        /// The participant's identity.
        identity: String,
        /// Whether it is an agent.
        agent: bool,
    },
    /// The server's API was called. What the call changed follows.
    ApiCalled {
        /// The call.
        call: ApiCall,
    },
    /// A call of the server's API was refused.
    ApiRefused {
        /// Service and method.
        method: String,
        /// The Twirp code, such as `not_found` or `unauthenticated`.
        code: String,
        /// The reason.
        reason: String,
    },
    /// The join of a room was refused, as requested by `MockServer::refuse_joins`.
    JoinRefused {
        /// The HTTP status.
        status: u16,
    },
    /// A participant left a room.
    Left {
        /// The room's name.
        room: String,
        /// The participant's identity.
        identity: String,
        /// The protocol's name of the reason, such as `CLIENT_INITIATED`.
        reason: String,
    },
    /// A data message was sent in a room.
    Data {
        /// The room's name.
        room: String,
        /// The identity of the sender; empty: the server's API.
        from: String,
        /// The topic; may be empty.
        topic: String,
        /// The length of its payload, in bytes.
        len: usize,
        /// The payload as text: at most its first 100 characters, with � for what is not UTF-8.
        text: String,
    },
    /// A telephone key was sent in a room.
    Dtmf {
        /// The room's name.
        room: String,
        /// The identity of the sender.
        from: String,
        /// The key.
        digit: char,
    },
    /// A text stream was sent in a room. Logged when it is over.
    Text {
        /// The room's name.
        room: String,
        /// The identity of the sender.
        from: String,
        /// The topic; may be empty.
        topic: String,
        /// The length of the text, in bytes.
        len: u64,
        /// At most its first 100 characters.
        text: String,
        /// Why it is not complete; empty: it is.
        error: String,
    },
    /// A byte stream was sent in a room. Logged when it is over.
    Bytes {
        /// The room's name.
        room: String,
        /// The identity of the sender.
        from: String,
        /// The topic; may be empty.
        topic: String,
        /// The name, for example that of a file.
        name: String,
        /// The length of the content, in bytes.
        len: u64,
        /// Why it is not complete; empty: it is.
        error: String,
    },
    /// A participant called a method of another one. Logged with the result.
    Called {
        /// The room's name.
        room: String,
        /// The identity of the caller.
        caller: String,
        /// The identity of the participant that was called.
        destination: String,
        /// The method.
        method: String,
        /// At most the first 100 characters of the argument.
        payload: String,
        /// The code of the error; `None`: it succeeded.
        code: Option<u32>,
    },
    /// What a participant is sent of a track of another one changed, at its request.
    SubscriptionChanged {
        /// The room's name.
        room: String,
        /// The identity of the participant.
        identity: String,
        /// The track (`TR_…`).
        track_sid: String,
        /// Whether it is subscribed to the track.
        subscribed: bool,
        /// Whether it has not paused the track.
        enabled: bool,
    },
    /// The system accepts no more connections, usually at its limit of open files; the server retries every
    /// second. Not logged again until a connection was accepted.
    AcceptFailed {
        /// The system's error.
        reason: String,
    },
    /// A room was closed.
    RoomClosed {
        /// The room's name.
        room: String,
    },
}

/// A worker's answer to an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OfferAnswer {
    /// The worker accepts the job.
    Accept,
    /// Another worker should be asked.
    Decline,
    /// Nobody should run the job: it is recorded as a success.
    Dismiss,
}

/// The recorded end of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum RecordedStatus {
    /// The job succeeded.
    #[serde(rename = "JS_SUCCESS")]
    Success,
    /// The job failed.
    #[serde(rename = "JS_FAILED")]
    Failed,
}

/// A violation of the protocol by a worker. A correct worker never causes one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Violation {
    /// It answered an offer twice.
    AnsweredTwice,
    /// It answered after the job was gone.
    AnsweredLate,
    /// It answered an offer that it never received.
    AnsweredUnasked,
    /// It did not answer while the job waited for it.
    NeverAnswered,
    /// Its agent left the room before its final status, which is recorded as a failure.
    LeftBeforeStatus,
    /// It reported a different outcome than before.
    SecondOutcome,
    /// It reported the outcome of a job that it never had.
    ForeignJob,
    /// It violated the protocol and was disconnected.
    Protocol(String),
}
