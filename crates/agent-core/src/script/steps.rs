//! A script: its steps, and how it is written as code.

use std::fmt;

use super::step::Step;

/// What happens to a worker machine, in this order.
///
/// Its `Debug` is the code that makes it, for a test:
///
/// ```
/// use agent_core::script::{End, Reply, Script, Step};
/// use agent_core::{Config, Worker};
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
/// # Ok::<(), agent_core::script::BrokenPromise>(())
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
