//! Scripts: what happens to a worker machine, as a list of steps; and the check of what it promises.
//!
//! A [`Script`] drives a machine by its contract, as a driver and a server do. After each step it compares
//! the outputs and the state of the machine with the promises that show from outside:
//!
//! | promise | |
//! |---|---|
//! | I1 | every offer gets exactly one answer, on its connection and within 2 s, which is counted once |
//! | I2 | one attempt of a job at a time, as many as the retry policy allows, none after a cancellation |
//! | I3 | every assignment ends exactly once |
//! | I5 | the server reads one final status of a job before its room is left, or had 5 s for it |
//! | I6 | one cleanup for each attempt, before its outcome, with a time limit |
//! | I7 | a worker that drains starts no attempt, and stops within limit + grace + 1 s |
//! | I9 | after a drain of its outputs every timer is in the future, and there is no loop of timers |
//! | I10 | slots are what the jobs hold, and at most `max_jobs` |
//!
//! `steps` is a script of what can happen (`step`), `driver` carries it out, `ledger` is the promises, with
//! what it knows of each job (`known`), `random` makes scripts of seeds, and `shrink` makes one smaller that
//! fails.

mod broken;
mod driver;
mod known;
mod ledger;
mod machine;
mod random;
mod run;
mod shrink;
mod step;
mod steps;

pub use broken::BrokenPromise;
pub use machine::{ScriptReport, WorkerMachine};
pub use random::MAX_RANDOM_STEPS;
pub use shrink::Shrinker;
pub use step::{End, Reply, Step};
pub use steps::Script;
