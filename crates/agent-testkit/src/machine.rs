//! The worker machine, without I/O: for tests of the core itself, with scripts or by hand.
//!
//! A [`Worker`] of this module is the machine inside of [`agent_worker::Worker`]: each event is passed as an
//! [`Input`] with its [`Time`], and each action is returned as an [`Output`]. A [`Script`] drives one by the
//! contract below and checks its promises; it prints as code, so that one that failed can be kept as a test.
//! [`Script::random`] makes one of a seed, [`Script::minimize`] a smaller one that fails as well, and with
//! the feature `proptest` [`strategies`](crate::strategies) has both for proptest.
//!
//! ```
//! use agent_testkit::machine::{Config, End, Reply, Script, Step};
//!
//! let script = Script::new([
//!     Step::Connect,
//!     Step::Offer(1),
//!     Step::Answer(1, Reply::Accept),
//!     Step::Assign(1),
//!     Step::Started(1),
//!     Step::Cut,
//!     Step::End(1, End::Ok),
//!     Step::Cleaned(1),
//! ]);
//! let report = script.check(Config::default())?;
//! assert_eq!((report.answers, report.attempts, report.outcomes), (1, 1, 1));
//! # Ok::<(), agent_testkit::machine::BrokenPromise>(())
//! ```
//!
//! # The contract
//! Call `handle_input(input, now)` when something happened, and `handle_timeout(now)` at the time of
//! `poll_timeout()`. After each call take the outputs until `poll_output()` returns `None`, and carry them
//! out in that order. Then `poll_timeout()` is later than `now`. Early and repeated timeouts do nothing, and
//! nothing that a server sends can make the machine fail.
//!
//! ```
//! use agent_testkit::machine::{Config, Input, Output, Time, Worker};
//!
//! let mut worker = Worker::new(Config::default(), 7);
//! assert!(matches!(worker.poll_output(), Some(Output::Connect)));
//! worker.handle_input(Input::Connected, Time::ZERO);
//! assert!(matches!(worker.poll_output(), Some(Output::Send(_))));
//! ```
//!
//! A [`Recorder`] around a machine keeps its inputs; the [`Recording`] replays them in a new machine. A fault
//! to test the check with is a type of your own that is a [`WorkerMachine`].

pub use agent_core::{
    AbortCause, Answer, AttemptEnd, BrokenPromise, CancelReason, Config, DescriptorBudget, DrainReport, End,
    EndWhen, EndedJob, GivenAnswer, Input, Job, JobErrorKind, JobId, JobTimer, JoinedRoom, Lifecycle,
    LinkError, MAX_RANDOM_STEPS, Notice, OfferId, Outcome, Output, Presence, Reply, RetryPolicy, RoomEnd,
    Script, ScriptReport, Shrinker, SlotCounts, Step, StopError, Time, Timer, Violation, Worker,
    WorkerMachine,
};
pub use agent_proto::recording::{Machine, Recorder, Recording};
