//! The steps of a script, and how they are written as code.

use std::fmt;

use crate::worker::RoomEnd;

/// One thing that happens to a worker machine. Jobs are numbers: job 1 is `AJ_1`; a job with an odd number
/// has the target participant `ada`.
///
/// What cannot happen is skipped: a handler of a job that does not run cannot end. Its `Debug` is the code
/// that makes it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The connection opens, and the server answers the registration. First waits until the worker requests a
    /// connection.
    Connect,
    /// The connection opens, and the server does not answer. First waits as [`Connect`](Self::Connect) does.
    Open,
    /// The server answers a registration, perhaps a second time.
    Register,
    /// The connection cannot be opened: the server answers with this HTTP status, or not at all (0).
    Refuse(u16),
    /// The connection is lost.
    Cut,
    /// The server offers this job.
    Offer(u8),
    /// The request handler answers the last offer of this job.
    Answer(u8, Reply),
    /// The server assigns this job, whether it was offered or not.
    Assign(u8),
    /// The server terminates this job, whether it was assigned or not.
    Terminate(u8),
    /// The server answers the oldest ping without an answer.
    Pong,
    /// These bytes come in a binary frame.
    Frame(Vec<u8>),
    /// A text frame comes, which servers do not send.
    Text,
    /// The handler of this job was called.
    Started(u8),
    /// The handler of this job reports progress.
    Progress(u8),
    /// The current attempt of this job ends.
    End(u8, End),
    /// The oldest cleanup of this job is done.
    Cleaned(u8),
    /// The program cancels this job.
    Cancel(u8),
    /// The room of this job is described: its id is `RM_` and this number (0: unknown yet), and it closes so
    /// many seconds after the last participant left, or without any (0: unknown).
    Room {
        /// The job.
        job: u8,
        /// The number of the room's id.
        sid: u8,
        /// The departure timeout, in seconds.
        departure: u8,
        /// The empty timeout, in seconds.
        empty: u8,
    },
    /// The room of this job was replaced by another one of the same name.
    Replaced(u8),
    /// The room of this job ends.
    RoomEnds(u8, RoomEnd),
    /// This number of people is in the room of this job, and its target in the session of this number (0: it
    /// is not there).
    Present {
        /// The job.
        job: u8,
        /// The number of people.
        people: u8,
        /// The number of the target's session.
        target: u8,
    },
    /// The load function returns this, in percent.
    Load(u8),
    /// The process has no file descriptor left.
    NoDescriptors,
    /// This number of milliseconds passes; timers fire at their times.
    Wait(u32),
    /// The worker is to accept nothing new, until [`Undrain`](Self::Undrain).
    Quiet,
    /// The worker is to accept jobs again.
    Undrain,
    /// The worker is to drain: jobs may continue for this number of seconds.
    Drain(u16),
    /// The worker is to stop at once.
    Stop,
}

/// How the request handler answers an offer.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// It accepts.
    Accept,
    /// It accepts with an identity that no server takes, so the offer is declined.
    AcceptUnnamed,
    /// It declines.
    Decline,
    /// It dismisses the job.
    Dismiss,
    /// It panics.
    Panic,
}

/// How an attempt ends.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The handler returns `Ok`.
    Ok,
    /// The handler returns an error that is not worth a retry.
    Fatal,
    /// The handler returns an error that asks for a retry after this number of seconds.
    Retryable(u8),
    /// The handler returns because it was cancelled.
    Cancelled,
    /// The handler panics.
    Panic,
    /// The task of the handler was dropped.
    Aborted,
    /// The handler returns a retryable error, and the room is gone.
    RoomGone,
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("Step::Connect"),
            Self::Open => f.write_str("Step::Open"),
            Self::Register => f.write_str("Step::Register"),
            Self::Refuse(status) => write!(f, "Step::Refuse({status})"),
            Self::Cut => f.write_str("Step::Cut"),
            Self::Offer(job) => write!(f, "Step::Offer({job})"),
            Self::Answer(job, reply) => write!(f, "Step::Answer({job}, {reply:?})"),
            Self::Assign(job) => write!(f, "Step::Assign({job})"),
            Self::Terminate(job) => write!(f, "Step::Terminate({job})"),
            Self::Pong => f.write_str("Step::Pong"),
            Self::Frame(bytes) => write!(f, "Step::Frame(vec!{bytes:?})"),
            Self::Text => f.write_str("Step::Text"),
            Self::Started(job) => write!(f, "Step::Started({job})"),
            Self::Progress(job) => write!(f, "Step::Progress({job})"),
            Self::End(job, end) => write!(f, "Step::End({job}, {end:?})"),
            Self::Cleaned(job) => write!(f, "Step::Cleaned({job})"),
            Self::Cancel(job) => write!(f, "Step::Cancel({job})"),
            Self::Room { job, sid, departure, empty } => {
                write!(f, "Step::Room {{ job: {job}, sid: {sid}, departure: {departure}, empty: {empty} }}")
            }
            Self::Replaced(job) => write!(f, "Step::Replaced({job})"),
            Self::RoomEnds(job, end) => write!(f, "Step::RoomEnds({job}, RoomEnd::{end:?})"),
            Self::Present { job, people, target } => {
                write!(f, "Step::Present {{ job: {job}, people: {people}, target: {target} }}")
            }
            Self::Load(percent) => write!(f, "Step::Load({percent})"),
            Self::NoDescriptors => f.write_str("Step::NoDescriptors"),
            Self::Wait(millis) => write!(f, "Step::Wait({millis})"),
            Self::Quiet => f.write_str("Step::Quiet"),
            Self::Undrain => f.write_str("Step::Undrain"),
            Self::Drain(seconds) => write!(f, "Step::Drain({seconds})"),
            Self::Stop => f.write_str("Step::Stop"),
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "Reply::Accept",
            Self::AcceptUnnamed => "Reply::AcceptUnnamed",
            Self::Decline => "Reply::Decline",
            Self::Dismiss => "Reply::Dismiss",
            Self::Panic => "Reply::Panic",
        })
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => f.write_str("End::Ok"),
            Self::Fatal => f.write_str("End::Fatal"),
            Self::Retryable(seconds) => write!(f, "End::Retryable({seconds})"),
            Self::Cancelled => f.write_str("End::Cancelled"),
            Self::Panic => f.write_str("End::Panic"),
            Self::Aborted => f.write_str("End::Aborted"),
            Self::RoomGone => f.write_str("End::RoomGone"),
        }
    }
}
