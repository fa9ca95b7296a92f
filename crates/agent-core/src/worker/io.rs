//! What a worker machine takes and gives: inputs are facts in the past tense, outputs are commands.

use super::room_end::RoomEnd;
use super::room_rules::{JoinedRoom, Presence};
use crate::answer::{Answer, AnswerProblem, GivenAnswer};
use crate::descriptors::Descriptors;
use crate::error_kind::JobErrorKind;
use crate::job::{Job, JobId, JobLabels};
use crate::outcome::{AttemptEnd, CancelReason, Lifecycle, Outcome};
use agent_proto::Secret;
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One offer; an offer of the same job on another connection is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OfferId(pub(crate) u64);

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Input {
    /// The WebSocket that [`Output::Connect`] asked for is open.
    Connected,
    /// It could not be opened.
    ConnectFailed(ConnectError),
    /// It was closed or broke; not told after [`Output::Disconnect`].
    Disconnected {
        /// For people.
        reason: String,
    },
    /// A binary frame came.
    FrameReceived(#[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::bytes"))] Bytes),
    /// A text frame came, which no server sends to us.
    TextReceived,
    /// A ping or pong of the WebSocket itself came: a sign of life.
    Heard,
    /// The user's request handler answered an [`Output::Ask`].
    Answered {
        /// Which question.
        offer: OfferId,
        /// Its job.
        job: JobId,
        /// What it said.
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
    /// The attempt is over; also told when the room could not be joined.
    AttemptEnded {
        /// Which job.
        job: JobId,
        /// How.
        end: AttemptEnd,
        /// Whether the room was joined and is no longer: there is no other attempt without it.
        room_gone: bool,
    },
    /// What [`Output::Clean`] asked for is done, or was dropped when its time was over.
    Cleaned {
        /// Which job.
        job: JobId,
        /// Which attempt of it.
        attempt: u32,
    },
    /// Something asks a job to stop: its handler, the program.
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
    /// The room of a job ended: for good, or for its agent.
    RoomEnded {
        /// Which job.
        job: JobId,
        /// How.
        end: RoomEnd,
    },
    /// Who is in the room of a job changed, or was looked at for the first time.
    PresenceChanged {
        /// Which job.
        job: JobId,
        /// Who is there now.
        presence: Presence,
    },
    /// The handler of a job says that it gets on.
    Progressed {
        /// Which job.
        job: JobId,
    },
    /// The file descriptors of the process, when the worker starts.
    DescriptorsFound(Descriptors),
    /// Jobs of other workers that take descriptors of this process.
    OtherJobs {
        /// How many.
        count: usize,
    },
    /// Something could not be opened because the process, or the machine, has no file descriptor left.
    DescriptorsExhausted,
    /// The user's load function was sampled: 0 idle, 1 or more full.
    LoadSampled(#[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::float"))] f32),
    /// Take nothing new and stop when what runs has ended, or has been cancelled after this long.
    DrainRequested {
        /// How long jobs may go on.
        within: Duration,
    },
    /// Stop now: abort what runs, report it, and go.
    StopRequested,
}

/// Why a connection could not be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum ConnectError {
    /// The server answered with an HTTP status instead of a WebSocket.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Human-readable.
        message: String,
        /// When the server wants to be asked again, counted from now (`Retry-After`).
        retry_after: Option<Duration>,
    },
    /// Anything else: unreachable, TLS, timeout.
    Failed {
        /// For people.
        message: String,
    },
}

/// What to do, in this order.
#[derive(Clone, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Output {
    /// Open a WebSocket to the server, then tell [`Input::Connected`] or [`Input::ConnectFailed`].
    Connect,
    /// Close the WebSocket, or give up opening it.
    Disconnect,
    /// Write a binary frame. A [`Leave`](Output::Leave) behind it waits until the frame has left.
    Send(#[cfg_attr(feature = "serde", serde(with = "agent_proto::recording::bytes"))] Bytes),
    /// Ask the user's request handler, then tell [`Input::Answered`] or [`Input::RequestPanicked`].
    Ask {
        /// Which question.
        offer: OfferId,
        /// The job.
        job: Arc<Job>,
    },
    /// Join the room, call the handler (tell [`Input::HandlerStarted`]), and tell [`Input::AttemptEnded`] when it is over.
    Start {
        /// The job.
        job: Arc<Job>,
        /// The token for its room.
        token: Secret,
        /// The server of the room, when it is not the worker's own.
        url: Option<String>,
        /// How long ago it was accepted; `None` for one that was not asked for.
        waited: Option<Duration>,
    },
    /// The same once more, with the room that is joined already, if it is, and with fresh streams of its events.
    StartAgain {
        /// Which job.
        job: JobId,
        /// Which attempt it is; [`Start`](Output::Start) is 1.
        attempt: u32,
    },
    /// Tell the handler to stop.
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
    },
    /// The attempt is over, or cannot be aborted: cancel the tasks that it left behind, run its cleanup callbacks, the last one
    /// first, drop what is not done in time, and tell [`Input::Cleaned`]. Told exactly once for each attempt.
    Clean {
        /// Which job.
        job: JobId,
        /// Which attempt of it.
        attempt: u32,
        /// How long all of it may take.
        within: Duration,
    },
    /// The job is over, its status is sent: leave its room and forget it.
    Leave {
        /// Which job.
        job: JobId,
    },
    /// Tell the user how an assignment ended; told exactly once for each.
    Ended(EndedJob),
    /// Tell the user's hook that a job reached a lifecycle state.
    Moved {
        /// The job.
        job: Arc<Job>,
        /// Where it is now.
        to: Lifecycle,
    },
    /// Tell the logs and counters.
    Notice(Notice),
    /// The machine has stopped; nothing comes after this.
    Stopped(Result<DrainReport, StopError>),
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
    /// From its assignment to its outcome. With the feature `serde` in seconds.
    #[cfg_attr(feature = "serde", serde(with = "agent_proto::seconds"))]
    pub duration: Duration,
    /// How long the last attempt took, without its cleanup. With the feature `serde` in seconds.
    #[cfg_attr(feature = "serde", serde(with = "agent_proto::seconds"))]
    pub last_attempt: Duration,
    /// Whether the room was deleted or closed before the outcome could be sent. The server then has recorded the failure "agent worker
    /// left the room" by itself, whatever the outcome says (but for a job that is a few seconds old).
    pub room_closed: bool,
}

/// Something that people may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Notice {
    /// The server knows us now.
    Registered {
        /// The worker's id on this connection, `AW_…`.
        worker_id: String,
        /// The server's version; empty when it does not say.
        server_version: String,
        /// Whether this is not the first registration.
        again: bool,
    },
    /// The connection is gone; the next try comes after `wait`.
    ConnectionLost {
        /// What happened.
        reason: String,
        /// How long until the next try.
        wait: Duration,
        /// Failed tries in a row.
        failures: u32,
    },
    /// An offer got its answer. An offer that is repeated is told once for each answer.
    OfferAnswered {
        /// Which job.
        job: JobLabels,
        /// What it is.
        answer: GivenAnswer,
        /// How long after the offer; `None` when the user was not asked for this answer.
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
        /// What is wrong.
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
        /// With what error.
        error: String,
        /// How long until the next one.
        wait: Duration,
    },
    /// A cleanup callback cannot be dropped; the job goes on without it.
    CleanupStuck {
        /// Which job.
        job: JobId,
    },
    /// An attempt cannot be aborted; its slot stays held.
    Stuck {
        /// Which job.
        job: JobId,
    },
    /// A handler that has said that it gets on has not said so for too long.
    Stale {
        /// Which job.
        job: JobId,
        /// For how long.
        silent_for: Duration,
    },
    /// The room of a job closes too soon after its last person leaves for the wait that is configured, or for any.
    ShortRoom {
        /// Which job.
        job: JobId,
        /// How long after the last person left the server closes the room.
        departure_timeout: Duration,
        /// The wait of [`EndWhen`](crate::EndWhen).
        configured: Duration,
        /// How long the job waits instead.
        wait: Duration,
    },
    /// The room of a job was closed before the server confirmed the outcome that was sent: it may have recorded a failure.
    ClosedUnconfirmed {
        /// Which job.
        job: JobId,
    },
    /// There is no file descriptor left: offers are declined until `wait` has passed without another failure.
    DescriptorsExhausted {
        /// How long.
        wait: Duration,
    },
    /// All slots are taken, or the user's load function says so (`true`), or no longer. Not while draining.
    Full(bool),
    /// Nothing new is taken any more.
    Draining {
        /// Jobs that hold a slot.
        jobs: usize,
        /// How long they may go on.
        within: Duration,
    },
    /// The other side did something odd.
    Violation(Violation),
}

/// Something odd that the other side, or the driver, did. Counted, never fatal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum Violation {
    /// A frame that is no message of the protocol, or too large.
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
    /// An assignment that we did not ask for, or no longer expect.
    UnexpectedAssignment,
    /// A termination of a job that we do not have.
    UnknownTermination,
    /// Something that cannot happen to a job in its state.
    OddJobInput,
    /// More ended jobs wait for the server to read how they ended than the list holds.
    ClosingOverflow,
}

impl Violation {
    /// What it was in one word, as metrics count it.
    #[must_use]
    pub const fn word(self) -> &'static str {
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
            Self::OddJobInput => "odd_job_input",
            Self::ClosingOverflow => "closing_overflow",
        }
    }
}

/// What became of the jobs of a worker that stopped.
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
    /// Final statuses that no server could be told.
    pub unsent: usize,
}

impl DrainReport {
    /// The report of two workers together.
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

/// Why a worker stopped by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum StopError {
    /// The server refused the first connection in a way that no retry changes: a wrong key or secret, no LiveKit server, or a
    /// server that has moved.
    #[error("the server refused the worker: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// For people: what was said, and what to do.
        message: String,
    },
    /// As many tries to connect failed as the configuration allows.
    #[error(
        "gave up after {attempts} failed tries to connect, as `max_connect_attempts` says; the last: {last}"
    )]
    GaveUp {
        /// How many.
        attempts: u32,
        /// What happened at the last one.
        last: String,
    },
}

/// How the slots are used (promise I10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SlotCounts {
    /// The user is being asked.
    pub offered: usize,
    /// Accepted, not yet assigned.
    pub accepted: usize,
    /// Joining, running, or being stopped.
    pub running: usize,
    /// Waiting for the next attempt.
    pub backing_off: usize,
    /// Running their cleanup callbacks.
    pub cleaning: usize,
    /// Not to be aborted.
    pub stuck: usize,
}

impl SlotCounts {
    /// Slots that are taken.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.offered + self.accepted + self.running + self.backing_off + self.cleaning + self.stuck
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { message, .. } | Self::Failed { message } => f.write_str(message),
        }
    }
}
