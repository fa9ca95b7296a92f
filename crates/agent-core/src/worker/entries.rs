//! State of a worker machine: its connection, its slots, the ended jobs, and its drain.

use std::sync::Arc;
use std::time::Duration;

use agent_proto::Time;

use super::io::{DrainReport, OfferId};
use super::join_timing::JoinTiming;
use super::room_rules::RoomWatch;
use crate::answer::Accept;
use crate::job::lifecycle::JobState;
use crate::job::{Job, JobId};
use crate::outcome::{Lifecycle, Outcome};

/// The connection to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// The program prepares for jobs, before the first connection.
    Preparing,
    Connecting,
    Registering,
    Registered,
    Waiting,
    Stopped,
}

/// A taken slot.
pub(super) struct Entry {
    pub(super) job: Arc<Job>,
    pub(super) state: JobState,
    /// The lifecycle state for users and hooks: it only advances, also when an attempt is retried.
    pub(super) lifecycle: Lifecycle,
    pub(super) offer: OfferId,
    /// The number of offers of this job that wait for the same answer.
    pub(super) owed: u32,
    /// Our acceptance, to be repeated when the offer is repeated.
    pub(super) accept: Accept,
    /// When it was offered, until it is assigned.
    pub(super) assigned_at: Time,
    /// When we accepted it, if we were asked.
    pub(super) accepted_at: Option<Time>,
    pub(super) join: JoinTiming,
    /// The registration on which it was assigned.
    pub(super) epoch: u64,
    /// The deadline of the job, if it has a time limit.
    pub(super) deadline: Option<Time>,
    /// When the last attempt began, and how long it took, once it has ended.
    pub(super) attempt_at: Time,
    pub(super) took: Option<Duration>,
    /// Whether the last attempt ended without its room.
    pub(super) room_gone: bool,
    /// The wait before the next attempt, while backing off.
    pub(super) retry_wait: Duration,
    pub(super) room: RoomWatch,
    /// The server closed the room, and with it the job.
    pub(super) room_closed: bool,
    /// Of the last attempt that ended with one, shortened.
    pub(super) last_error: Option<Arc<str>>,
}

/// One grant of a job to us.
pub(super) struct Assignment {
    pub(super) job: Arc<Job>,
    pub(super) at: Time,
    /// The registration on which it came.
    pub(super) epoch: u64,
    /// How many attempts were made, and how long the last one took.
    pub(super) attempts: u32,
    pub(super) last_attempt: Duration,
    /// Whether the server closed the room first.
    pub(super) room_closed: bool,
    /// Whether it may be in a room.
    pub(super) has_room: bool,
}

impl Entry {
    /// Whether the job is in a room or on its way into one: not if its handler was called without one.
    fn has_room(&self) -> bool {
        self.lifecycle < Lifecycle::Running || self.room.has_joined()
    }

    pub(super) fn assignment(&self, now: Time) -> Assignment {
        Assignment {
            job: Arc::clone(&self.job),
            at: self.assigned_at,
            epoch: self.epoch,
            attempts: self.state.attempt(),
            last_attempt: self.took.unwrap_or(now - self.attempt_at),
            room_closed: self.room_closed,
            has_room: self.has_room(),
        }
    }
}

/// The load that was last reported to the server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ReportedLoad {
    pub(super) full: bool,
    /// Full because of its jobs or its load.
    pub(super) busy: bool,
    pub(super) draining: bool,
    pub(super) load: f32,
    pub(super) jobs: usize,
}

/// A job that has its outcome. It holds no slot.
pub(super) struct Closing {
    pub(super) outcome: Outcome,
    /// Whether it may be in a room, and so has the file descriptors of a connection until it leaves.
    pub(super) has_room: bool,
    /// Whether it is still in its room: `Leave` was not issued yet.
    pub(super) in_room: bool,
    pub(super) step: Step,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Waits for the next registration.
    Unsent,
    /// Sent, and to be sent once more when the timer `Repeat` fires.
    Settling,
    /// Sent. The server has read it once the ping of this round is answered.
    Unread { round: u64 },
}

/// Pings that prove that earlier messages were read; one at a time, for all jobs that ended before it.
#[derive(Default)]
pub(super) struct Receipts {
    /// The timestamp of the last ping: each is larger than the one before.
    pub(super) stamp: i64,
    /// The timestamp of the pending ping.
    pub(super) asked: Option<i64>,
    /// The timestamp of the ping that was sent after the registration, until it is answered.
    pub(super) registration: Option<i64>,
    pub(super) round: u64,
    /// Jobs that end with this round, and with the next one.
    pub(super) waiting: Vec<JobId>,
    pub(super) next: Vec<JobId>,
}

/// A worker that stops.
pub(super) struct Drain {
    pub(super) report: DrainReport,
    /// When it stops without the remaining jobs.
    pub(super) end: Time,
}

impl Drain {
    pub(super) const fn count(&mut self, outcome: &Outcome) {
        if outcome.is_success() {
            self.report.succeeded += 1;
        } else {
            self.report.failed += 1;
        }
    }
}
