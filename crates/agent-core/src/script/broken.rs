//! A promise that a worker machine broke.

use agent_proto::Time;

/// A promise that a worker machine broke while a script ran, in plain words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} ({id}: {})\nat {at}, in {step}", self.promise())]
#[non_exhaustive]
pub struct BrokenPromise {
    /// The promise: `I1` to `I12`, as the documentation of the script lists them.
    pub id: &'static str,
    /// What happened.
    pub what: String,
    /// The machine's time.
    pub at: Time,
    /// The step: its number, counted from 1, and its code; or that the script was over.
    pub step: String,
}

/// What a script checks: the promises of a worker that show from outside.
const PROMISES: &[(&str, &str)] = &[
    ("I1", "every offer gets exactly one answer, on its connection and within 2 s"),
    ("I2", "one attempt of a job at a time, numbered from 1"),
    ("I3", "every assignment ends exactly once"),
    ("I5", "the server reads one final status of a job before its room is left"),
    ("I6", "one cleanup for each attempt, before its outcome"),
    ("I7", "a worker that drains accepts nothing, and stops in time"),
    ("I9", "no spinning: a timer is later than now"),
    ("I10", "slots are what the jobs of the worker hold, and at most `max_jobs`"),
];

impl BrokenPromise {
    /// The promise in words.
    #[must_use]
    pub fn promise(&self) -> &'static str {
        PROMISES.iter().find(|(id, _)| *id == self.id).map_or("", |(_, words)| words)
    }
}
