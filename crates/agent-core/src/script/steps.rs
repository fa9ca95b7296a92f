//! A script: its steps, and how it is written as code.

use std::fmt;

use super::step::Step;

/// What happens to a worker machine, in this order, and the check of what it promises.
///
/// A script drives a machine by its contract, as a driver and a server do. After each step it compares the
/// outputs and the state of the machine with the promises that show from outside:
///
/// | promise | |
/// |---|---|
/// | I1 | every offer gets exactly one answer, on its connection and within 2 s, which is counted once |
/// | I2 | one attempt of a job at a time, as many as the retry policy allows, none after a cancellation |
/// | I3 | every assignment ends exactly once |
/// | I5 | the server reads one final status of a job before its room is left, or had 5 s for it |
/// | I6 | one cleanup for each attempt, before its outcome, with a time limit |
/// | I7 | a worker that drains retries nothing, and stops within limit + grace + 1 s |
/// | I9 | after a drain of its outputs every timer is in the future, and there is no loop of timers |
/// | I10 | slots are what the jobs hold, and at most `max_jobs` |
///
/// Its `Debug` is the code that makes it, for a test:
///
/// ```
/// use agent_core::{Config, End, Reply, Script, Step, Worker};
///
/// let script = Script::new([
///     Step::Connect,
///     Step::Offer(1),
///     Step::Answer(1, Reply::Accept),
///     Step::Assign(1),
///     Step::Started(1),
///     Step::Wait(60_000),
///     Step::End(1, End::Ok),
///     Step::Cleaned(1),
/// ]);
/// let report = script.run(&mut Worker::new(Config::default(), 7))?;
/// assert_eq!((report.answers, report.outcomes), (1, 1));
/// # Ok::<(), agent_core::BrokenPromise>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Script {
    pub(super) steps: Vec<Step>,
}

impl Script {
    /// A script of these steps.
    #[must_use]
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect() }
    }

    /// The steps.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script::new([\n")?;
        for step in &self.steps {
            writeln!(f, "    {step:?},")?;
        }
        f.write_str("])")
    }
}
