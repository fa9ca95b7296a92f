//! The simulator: workers, a server, rooms and stores on virtual time, all from one seed, with faults.
//!
//! One run has three to five worker machines and the server machine, the very ones that workers and the mock
//! server use, and in place of sockets, rooms, handlers and stores a simulation of them. The seed decides
//! everything: which kinds of faults there are ([`Fault`]), what users do, how long each message takes. First
//! there are faults; then they end, and everything has to come to rest: workers are back, dispatches are
//! served, drains end. All the while the promises of the workers are checked ([`Check`]).
//!
//! ```
//! use agent_testkit::sim::{Options, run_seed};
//!
//! let run = run_seed(7, Options::default());
//! assert!(run.failures.is_empty(), "{:?}", run.failures);
//! assert!(run.jobs >= 50 && run.events >= 500);
//! ```
//!
//! That is for the SDK itself. For a handler of yours there is [`Sim`]: many seeds, in each of which others
//! do something else in its room, and something else goes wrong.
//!
//! A failure names its seed; `cargo xtask replay SEED` prints what happened, line by line:
//!
//! ```
//! use agent_testkit::sim::{Options, run_seed};
//!
//! let run = run_seed(7, Options::default().recorded());
//! assert!(run.timeline.iter().any(|line| line.contains("worker 0: starts")));
//! ```

mod attempts;
mod chaos;
mod check;
mod digest;
mod ending;
mod event;
mod fault;
mod handler;
mod model;
mod net;
mod options;
mod plan;
#[cfg(test)]
mod planted;
mod process;
mod queue;
mod report;
mod rooms;
mod run;
mod script;
mod server;
mod shown;
mod slots;
mod stores;
mod subject;
#[cfg(test)]
mod tests;
mod timeline;
mod traffic;
mod truth;
mod world;

pub use check::{Check, Failure};
pub use fault::Fault;
pub use handler::{Sim, SimFinding};
pub use options::Options;
pub use report::{SimReport, run_seeds};
pub use run::{SimRun, run_seed};
