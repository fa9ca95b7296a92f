//! Inputs and outputs of a worker machine: inputs are facts in the past tense, outputs are commands.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use agent_proto::Secret;

use super::room_end::RoomEnd;
use super::room_rules::{JoinedRoom, Presence};
use crate::answer::{Answer, AnswerProblem, GivenAnswer};
use crate::descriptors::DescriptorBudget;
use crate::error_kind::JobErrorKind;
use crate::job::{Job, JobId, JobLabels};
use crate::outcome::{AttemptEnd, CancelReason, Lifecycle, Outcome};

/// One offer; an offer of the same job on another connection is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OfferId(pub(crate) u64);

impl OfferId {
    /// The offer of this number, for tests and tools: a machine counts its own from 0.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// What [`Output::Prepare`] asked for is done, or has failed with this text.
    Prepared(Result<(), String>),
    /// The WebSocket that [`Output::Connect`] asked for is open.
    Connected,
    /// It could not be opened.
    ConnectFailed(LinkError),
    /// It was closed or broke; not reported after [`Output::Disconnect`].
    Disconnected {
        /// For people.
        reason: String,
    },
    /// A binary frame came.
    FrameReceived(#[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::bytes"))] Bytes),
    /// A text frame came, which servers do not send.
    TextReceived,
    /// A ping or pong of the WebSocket came: the connection is alive.
    Activity,
    /// The user's request handler answered an [`Output::Ask`].
    Answered {
        /// Which question.
        offer: OfferId,
        /// Its job.
        job: JobId,
        /// The answer.
        answer: Answer,
    },
    /// The user's request handler panicked on an [`Output::Ask`].
    RequestPanicked {
        /// Which question.
        offer: OfferId,
        /// Its job.
        job: JobId,
    },
    /// The room is joined and the handler was called.
    HandlerStarted {
        /// Which job.
        job: JobId,
    },
    /// The attempt is over; also reported when the room could not be joined.
    AttemptEnded {
        /// Which job.
        job: JobId,
        /// How it ended.
        end: AttemptEnd,
        /// Whether the room was joined and lost: there is no other attempt without it.
        room_gone: bool,
    },
    /// The cleanup of [`Output::Clean`] is done, or was dropped at its time limit.
    Cleaned {
        /// Which job.
        job: JobId,
        /// Which attempt of it.
        attempt: u32,
    },
    /// The handler of a job, or the program, requests its cancellation.
    CancelRequested {
        /// Which job.
        job: JobId,
        /// Why.
        reason: CancelReason,
    },
    /// The room of a job was joined, or its description changed since.
    RoomJoined {
        /// Which job.
        job: JobId,
        /// The room as it is now.
        room: JoinedRoom,
    },
    /// The connection to the room of a job was lost, and restored into another room of the same name.
    RoomReplaced {
        /// Which job.
        job: JobId,
    },
    /// The room of a job ended, entirely or for its agent.
    RoomEnded {
        /// Which job.
        job: JobId,
        /// How it ended.
        end: RoomEnd,
    },
    /// The participants in the room of a job changed, or were determined for the first time.
    PresenceChanged {
        /// Which job.
        job: JobId,
        /// Who is there now.
        presence: Presence,
    },
    /// The handler of a job reports progress.
    Progressed {
        /// Which job.
        job: JobId,
    },
    /// The file descriptors of the process, when the worker starts.
    DescriptorsFound(DescriptorBudget),
    /// Jobs of other workers that use descriptors of this process.
    OtherJobs {
        /// The number.
        count: usize,
    },
    /// A file or socket could not be opened because the process, or the machine, has no file descriptor left.
    DescriptorsExhausted,
    /// The user's load function was sampled: 0 idle, 1 or more full.
    LoadSampled(#[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::float"))] f32),
    /// Accept nothing new until [`UndrainRequested`](Self::UndrainRequested), and go on with the jobs that
    /// there are, retries included. Without effect while the worker drains.
    QuietRequested,
    /// Accept jobs again after [`QuietRequested`](Self::QuietRequested). A drain cannot be taken back.
    UndrainRequested,
    /// Accept nothing new, and stop when the running jobs have ended, or were cancelled after this long.
    DrainRequested {
        /// How long jobs may continue.
        within: Duration,
    },
    /// Stop now: abort the running jobs and report their outcomes.
    StopRequested,
}

/// Why a connection could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum LinkError {
    /// The server answered with an HTTP status instead of a WebSocket.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Human-readable.
        message: String,
        /// The wait that the server asks for (`Retry-After`).
        retry_after: Option<Duration>,
    },
    /// Anything else: unreachable, TLS, timeout.
    Failed {
        /// For people.
        message: String,
    },
}

/// Commands, to be carried out in this order.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Output {
    /// Do what is to be done before the first connection, then report [`Input::Prepared`]. Nothing else is
    /// output before it, unless the worker stops.
    Prepare,
    /// Open a WebSocket to the server, then report [`Input::Connected`] or [`Input::ConnectFailed`].
    Connect,
    /// Close the WebSocket, or cancel opening it.
    Disconnect,
    /// Write a binary frame. A later [`Leave`](Output::Leave) waits until the frame was sent.
    Send(#[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::bytes"))] Bytes),
    /// Call the user's request handler, then report [`Input::Answered`] or [`Input::RequestPanicked`].
    Ask {
        /// Which question.
        offer: OfferId,
        /// The job.
        job: Arc<Job>,
    },
    /// Join the room, call the handler (report [`Input::HandlerStarted`]), and report [`Input::AttemptEnded`]
    /// when it is over.
    Start {
        /// The job.
        job: Arc<Job>,
        /// The token for its room.
        token: Secret,
        /// The server of the room, when it is not the worker's own.
        url: Option<String>,
        /// How long after its offer it was accepted; `None` for one that was not accepted.
        answered: Option<Duration>,
        /// How long ago it was accepted; `None` for one that was not accepted.
        waited: Option<Duration>,
    },
    /// Start another attempt, in the room if it is joined already, and with fresh streams of its events.
    Retry {
        /// Which job.
        job: JobId,
        /// Which attempt it is; [`Start`](Output::Start) is 1.
        attempt: u32,
    },
    /// Cancel the handler.
    Cancel {
        /// Which job.
        job: JobId,
        /// Why.
        reason: CancelReason,
    },
    /// Drop the handler's task.
    Abort {
        /// Which job.
        job: JobId,
        /// Why.
        cause: AbortCause,
    },
    /// The attempt is over, or cannot be aborted: cancel its remaining tasks, run its cleanup callbacks, last
    /// registered first, drop what is not done in time, and report [`Input::Cleaned`]. Output exactly once
    /// for each attempt.
    Clean {
        /// Which job.
        job: JobId,
        /// Which attempt of it.
        attempt: u32,
        /// How long all of it may take.
        within: Duration,
    },
    /// The job is over and its status was sent: leave its room and drop its state.
    Leave {
        /// Which job.
        job: JobId,
    },
    /// Notify the user how an assignment ended; output exactly once for each.
    Ended(EndedJob),
    /// Notify the user's hook that a job reached a lifecycle state.
    Moved {
        /// The job.
        job: Arc<Job>,
        /// Where it is now.
        to: Lifecycle,
    },
    /// Log and count this.
    Notice(Notice),
    /// The machine has stopped; nothing comes after this.
    Stopped(Result<DrainReport, StopError>),
}

/// Why the task of a handler is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum AbortCause {
    /// The handler did not return within its grace after it was cancelled.
    GraceOver,
    /// The worker was to stop at once ([`Input::StopRequested`]).
    StopRequested,
    /// The worker has stopped: its connection failed for good, or its drain is over.
    WorkerStopped,
}

/// How an assignment ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct EndedJob {
    /// The job.
    pub job: Arc<Job>,
    /// How it ended.
    pub outcome: Outcome,
    /// What kind of failure it was; `None` for a success.
    pub kind: Option<JobErrorKind>,
    /// How many attempts began; 0 when it was failed without one.
    pub attempts: u32,
    /// The time from its assignment to its outcome. With the feature `serde` in seconds.
    #[cfg_attr(feature = "serde", serde(with = "agent_proto::seconds"))]
    pub duration: Duration,
    /// How long the last attempt took, without its cleanup. With the feature `serde` in seconds.
    #[cfg_attr(feature = "serde", serde(with = "agent_proto::seconds"))]
    pub last_attempt: Duration,
    /// Whether the room was deleted or closed before the outcome could be sent. The server has then recorded
    /// the failure "agent worker left the room", whatever the outcome is (except for a job that is a few
    /// seconds old).
    pub room_closed: bool,
}

/// An event for logs and counters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Notice {
    /// The worker is registered.
    Registered {
        /// The worker's id on this connection, `AW_…`.
        worker_id: String,
        /// The server's version; empty if it does not send one.
        server_version: String,
        /// Whether this is not the first registration.
        reregistered: bool,
    },
    /// The connection was lost; the next attempt comes after `wait`.
    ConnectionLost {
        /// What happened.
        reason: String,
        /// The wait before the next attempt.
        wait: Duration,
        /// Consecutive failed attempts.
        failures: u32,
    },
    /// An offer was answered. Repeated offers are reported once for each answer.
    OfferAnswered {
        /// Which job.
        job: JobLabels,
        /// What it is.
        answer: GivenAnswer,
        /// How long after the offer; `None` when the user's request handler was not called.
        after: Option<Duration>,
    },
    /// A job of a kind that this version does not know was assigned, and failed at once.
    UnknownKind {
        /// Which job.
        job: JobLabels,
    },
    /// The request handler's answer cannot be sent; the offer was declined.
    BadAnswer {
        /// Which job.
        job: JobLabels,
        /// The problem.
        problem: AnswerProblem,
    },
    /// The server did not assign a job that we accepted.
    NotAssigned {
        /// Which job.
        job: JobLabels,
    },
    /// An attempt failed, and the next one begins after `wait`.
    Retrying {
        /// Which job.
        job: JobId,
        /// Which attempt failed.
        attempt: u32,
        /// The error.
        error: String,
        /// The wait before the next attempt.
        wait: Duration,
    },
    /// A cleanup callback could not be dropped; the job continues without it.
    CleanupStuck {
        /// Which job.
        job: JobId,
    },
    /// An attempt could not be aborted; its slot stays held.
    Stuck {
        /// Which job.
        job: JobId,
    },
    /// A handler that has reported progress before has not done so for too long.
    Stale {
        /// Which job.
        job: JobId,
        /// For how long it was silent.
        silent_for: Duration,
    },
    /// The room of a job closes too soon after its last participant leaves for the configured wait, or for
    /// any.
    ShortRoom {
        /// Which job.
        job: JobId,
        /// How long after the last participant leaves the server closes the room.
        departure_timeout: Duration,
        /// The wait of [`EndWhen`](crate::EndWhen).
        configured: Duration,
        /// How long the job waits instead.
        wait: Duration,
    },
    /// The room of a job was closed before the server confirmed the outcome: it may have recorded a failure.
    ClosedUnconfirmed {
        /// Which job.
        job: JobId,
    },
    /// There is no file descriptor left: offers are declined until `wait` has passed without another failure.
    DescriptorsExhausted {
        /// How long.
        wait: Duration,
    },
    /// The worker is full, by its slots or the user's load function (`true`), or no longer. Not while
    /// draining.
    Full(bool),
    /// The worker accepts nothing new until it is told to, or accepts jobs again.
    Quiet {
        /// Which of both.
        quiet: bool,
        /// Jobs that hold a slot.
        jobs: usize,
    },
    /// The worker drains: nothing new is accepted.
    Draining {
        /// Jobs that hold a slot.
        jobs: usize,
        /// How long they may continue.
        within: Duration,
    },
    /// The worker drains, and waits for jobs; every ten seconds.
    StillDraining {
        /// Jobs that hold a slot, or whose outcome the server has not confirmed.
        jobs: usize,
        /// How long it waits at most.
        left: Duration,
    },
    /// The other side violated the protocol, or the driver the contract.
    Violation(Violation),
}

/// A violation of the protocol by the other side, or of the contract by the driver. Counted, never fatal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum Violation {
    /// A frame that is not a valid message, or too large.
    BadFrame,
    /// A message without content, or of a kind that this version does not know.
    UnknownMessage,
    /// A text frame.
    TextFrame,
    /// An offer or assignment without a usable job.
    NoJob,
    /// A second registration answer on a connection.
    Registration,
    /// An offer or assignment before the registration was answered.
    Early,
    /// An assignment of a job that we already have.
    DuplicateAssignment,
    /// An assignment that we did not accept, or no longer expect.
    UnexpectedAssignment,
    /// A termination of a job that we do not have.
    UnknownTermination,
    /// An input that is not expected in the job's state.
    UnexpectedJobInput,
    /// More ended jobs wait for the server to read their outcomes than the list holds.
    ClosingOverflow,
}

impl Violation {
    /// The value of the metric label for this violation.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::BadFrame => "bad_frame",
            Self::UnknownMessage => "unknown_message",
            Self::TextFrame => "text_frame",
            Self::NoJob => "no_job",
            Self::Registration => "registration",
            Self::Early => "early",
            Self::DuplicateAssignment => "duplicate_assignment",
            Self::UnexpectedAssignment => "unexpected_assignment",
            Self::UnknownTermination => "unknown_termination",
            Self::UnexpectedJobInput => "unexpected_job_input",
            Self::ClosingOverflow => "closing_overflow",
        }
    }
}

/// The results of the jobs of a drained worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct DrainReport {
    /// Jobs that ended with success after the drain began.
    pub succeeded: usize,
    /// Jobs that ended with failure after the drain began.
    pub failed: usize,
    /// Attempts that could not be aborted and were left behind.
    pub stuck: usize,
    /// Final statuses that could not be sent.
    pub unsent: usize,
}

impl DrainReport {
    /// The sum of two reports.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            succeeded: self.succeeded + other.succeeded,
            failed: self.failed + other.failed,
            stuck: self.stuck + other.stuck,
            unsent: self.unsent + other.unsent,
        }
    }
}

/// Why a worker stopped on its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum StopError {
    /// What is to be done before the first connection has failed, or took too long.
    #[error("the worker could not start: {message}")]
    NotPrepared {
        /// The error, or what to do about the time limit.
        message: String,
    },
    /// The server refused the first connection permanently: a wrong key or secret, not a LiveKit server, or a
    /// server that has moved.
    #[error("the server refused the worker: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Human-readable: the server's answer, and what to do.
        message: String,
    },
    /// The configured number of connection attempts has failed.
    #[error("gave up after {attempts} failed connection attempts (`max_connect_attempts`): {last}")]
    GaveUp {
        /// The number.
        attempts: u32,
        /// The error of the last attempt.
        last: String,
    },
}

/// How the slots are used (promise I10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SlotCounts {
    /// The request handler was called.
    pub offered: usize,
    /// Accepted, not yet assigned.
    pub accepted: usize,
    /// Joining, running, or being stopped.
    pub running: usize,
    /// Waiting for the next attempt.
    pub backing_off: usize,
    /// Running their cleanup callbacks.
    pub cleaning: usize,
    /// Attempts that could not be aborted.
    pub stuck: usize,
}

impl SlotCounts {
    /// The number of used slots.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.offered + self.accepted + self.running + self.backing_off + self.cleaning + self.stuck
    }
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { message, .. } | Self::Failed { message } => f.write_str(message),
        }
    }
}
