//! Scripts: what happens to a worker machine, as a list of steps; and the check of what it promises.
//!
//! `steps` is a script of what can happen (`step`), `driver` carries it out, `ledger` is the promises, with
//! what it knows of each job (`known`), `random` makes scripts of seeds, and `shrink` makes a script smaller
//! that fails.

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
#[cfg(test)]
mod tests;

pub use broken::BrokenPromise;
pub use machine::{ScriptReport, WorkerMachine};
pub use random::MAX_RANDOM_STEPS;
pub use shrink::Shrinker;
pub use step::{End, Reply, Step};
pub use steps::Script;
