//! One table of everything that a worker machine waits for.

use crate::job::JobId;
use crate::time::Time;
use std::collections::{BTreeMap, BTreeSet};

/// Why a worker machine wants to be woken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Timer {
    // First, since of two timers of one moment the earlier one here fires first: a job that is found stuck in the drain's
    // last moment is still counted.
    /// A job waits for something.
    Job(JobId, JobTimer),
    /// Try to connect again.
    Reconnect,
    /// Opening the connection takes too long.
    Connect,
    /// The answer to the registration takes too long.
    Register,
    /// Ping the server.
    Ping,
    /// The server takes too long to say that it has read what was sent.
    Receipt,
    /// Nothing came for too long.
    Silence,
    /// The connection has stood long enough to forget the failures before it.
    Stable,
    /// The drain's time is over: cancel what still runs.
    DrainLimit,
    /// Cancelled jobs had their time, too: stop without them.
    DrainEnd,
}

/// What a job waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum JobTimer {
    /// The user's answer, the assignment, the end of the grace, of the abort, of the cleanup or of the wait for the next attempt, as
    /// its state says.
    Step,
    /// The end of its time.
    Deadline,
    /// The repeat of its final status.
    Repeat,
    /// Somebody to come back into the room.
    Empty,
    /// A word of the handler that it gets on.
    Stale,
}

#[derive(Default)]
pub(super) struct Timers {
    by_time: BTreeSet<(Time, Timer)>,
    by_name: BTreeMap<Timer, Time>,
}

impl Timers {
    /// Sets or moves a timer.
    pub(super) fn set(&mut self, timer: Timer, at: Time) {
        self.clear(&timer);
        self.by_name.insert(timer.clone(), at);
        self.by_time.insert((at, timer));
    }

    pub(super) fn clear(&mut self, timer: &Timer) {
        if let Some(at) = self.by_name.remove(timer) {
            self.by_time.remove(&(at, timer.clone()));
        }
    }

    pub(super) fn is_set(&self, timer: &Timer) -> bool {
        self.by_name.contains_key(timer)
    }

    /// Takes the earliest timer that is due.
    pub(super) fn take_due(&mut self, now: Time) -> Option<Timer> {
        let (at, timer) = self.by_time.first()?;
        if *at > now {
            return None;
        }
        let timer = timer.clone();
        self.clear(&timer);
        Some(timer)
    }

    pub(super) fn next(&self) -> Option<(Time, Timer)> {
        self.by_time.first().cloned()
    }

    pub(super) fn clear_all(&mut self) {
        self.by_time.clear();
        self.by_name.clear();
    }
}
